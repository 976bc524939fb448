"""Files that are no topologies: one clear line each, soon, and never a traceback."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError

MIB = 1 << 20


def bomb() -> bytes:
    lines = ["name: x", "vpcs:", "  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        inner = ", ".join(f"*a{level - 1}" for _ in range(9))
        lines.append(f"  a{level}: &a{level} [{inner}]")
    return "\n".join(lines).encode()


HOSTILE = {
    "empty": (b"", "the file is empty"),
    "blank": (b"\n \n", "the file is empty"),
    "comment": (b"# nothing\n", "the file is empty"),
    "null": (b"null\n", "the file is empty"),
    "text": (b"hello\n", "must begin with a key"),
    "list": (b"- a\n- b\n", "must begin with a key"),
    "half": (b"name: x\nfabric: {asn: 646", "not YAML"),
    "quote": (b'name: "x\n', "not YAML"),
    "tab": (b"name: x\nfabric:\n\tasn: 1\n", "indent with blanks, never with tabs"),
    "colons": (b"a: b: c\n", "indent the line as deep as its neighbours"),
    "latin": (b"name: caf\xe9\n", "is not UTF-8 text"),
    "utf-16": ("name: x\n".encode("utf-16"), "is not UTF-8 text"),
    "nul": (b"name: \0\n", "not YAML"),
    "escape": (b'name: "\\UFFFFFFFF"\n', "not YAML"),
    "tag": (b"name: !!python/object/apply:os.system [id]\n", "is not used here"),
    "two documents": (b"name: x\n---\nname: y\n", "a second document"),
    "bomb": (bomb(), "aliases expanded"),
    "alias of itself": (b"name: x\nvpcs: &a {b: *a}\n", "no anchor before it"),
    "alias of nothing": (b"name: *b\n", "alias"),
    "deep": (b"vpcs: " + b"[" * 100_000, "nested deeper"),
    "deep mapping": (b"vpcs: " + b"{a: " * 100_000, "nested deeper"),
    "key is a list": (b"name: x\n? [a]\n: b\n", "a key must be plain text"),
    "other file": (b"".join(b"key%d: x\n" % n for n in range(100)), "too many unknown keys"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_files_cost_one_line(tmp_path: Path, name: str) -> None:
    data, expected = HOSTILE[name]
    file = tmp_path / "t.yaml"
    file.write_bytes(data)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_topology(file)
    assert time.monotonic() - began < 5
    assert len(caught.value.problems) == 1
    line = str(caught.value)
    assert expected in line
    assert "\n" not in line
    assert line.startswith(f"{file}:")


@pytest.mark.parametrize(
    "data",
    [os.urandom(10 * MIB), b"\0" * 10 * MIB, b"[" * 10 * MIB, b"a: b\n" * 2 * MIB],
    ids=["random", "zeros", "brackets", "one key"],
)
def test_ten_megabytes_of_garbage(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "t.yaml"
    file.write_bytes(data)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_topology(file)
    assert time.monotonic() - began < 5
    assert len(caught.value.problems) == 1


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    for path, expected in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path / "none" / "t.yaml", "No such file"),
        (Path("/dev/zero"), "larger than"),
        (Path("/proc/self/mem"), "cannot be read"),
        (tmp_path / "a\0b", "cannot be read"),
    ):
        with pytest.raises(InputError) as caught:
            load_topology(path)
        assert expected in str(caught.value)
        assert len(caught.value.problems) == 1


def test_file_that_vanishes_while_the_link_stays(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="No such file"):
        load_topology(file)


def test_every_cut_of_a_good_file_is_refused_or_whole(tmp_path: Path) -> None:
    """A half-written file, cut anywhere: an InputError or a topology, never anything else."""
    source = Path(__file__).parents[2] / "topologies" / "quickstart.yaml"
    text = source.read_text()
    file = tmp_path / "t.yaml"
    for end in range(0, len(text), 37):
        file.write_text(text[:end])
        try:
            load_topology(file)
        except InputError as error:
            assert error.problems


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text('name: "\\e[31mred\\a"\n')
    with pytest.raises(InputError) as caught:
        load_topology(file)
    assert "\x1b" not in str(caught.value)
    assert "\a" not in str(caught.value)
