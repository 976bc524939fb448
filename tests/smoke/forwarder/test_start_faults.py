"""What the machine does not give a forwarder that starts: one line each with the way out, exit
code 1, and nothing left behind: no socket, no directory of DPDK's, no XDP, no promiscuous mode."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccn_bgp.forwarder.process import find_forwarder

pytestmark = pytest.mark.smoke

HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
"""Of a pcap file."""
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--")
HIDDEN = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys && exec "$@"', "sh")
"""A machine that says nothing of its CPUs."""


def pages(total: int, free: int) -> tuple[str, ...]:
    """A machine that says that it has so many hugepages."""
    said = ";".join(
        f"s/^\\(HugePages_{k}:\\).*/\\1 {n}/" for k, n in (("Total", total), ("Free", free))
    )
    script = (
        f"sed '{said}' /proc/meminfo >{{tmp}}/meminfo &&"
        ' mount --bind {tmp}/meminfo /proc/meminfo && exec "$@"'
    )
    return ("unshare", "-m", "sh", "-c", script, "sh")


def faulty(directory: Path, *words: str, before: tuple[str, ...] = ()) -> str:
    """The one line that it says."""
    name = f"faults-{os.getpid()}"
    command = [*before, str(find_forwarder()), "--socket", f"{directory}/s", "--name", name, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines), done.stdout) == (1, 1, ""), done.stderr
    assert lines[0].startswith("ccn-forwarder: ")
    assert "(" in lines[0]  # the way out
    assert not (directory / "s").exists()
    for base in ("/var/run", os.environ.get("XDG_RUNTIME_DIR", "/tmp"), "/tmp"):
        assert not Path(base, "dpdk", f"ccn-{name}").exists()
    return lines[0]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that everybody may use."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.name.startswith(("pytest-", "popen-")):  # pytest's own, closed to others
            parent.chmod(0o755)
    (tmp_path / "in.pcap").write_bytes(HEAD)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "before", "expected"),
    [
        ("--port a=null --huge --memory 65536", (), "MB of hugepages are free, 65536 are needed"),
        ("--port a=af_packet:nodev0", (), "no network device 'nodev0'"),
        ("--port a=dpdk:0000:ff:1f.7", (), "DPDK has no driver for '0000:ff:1f.7'"),
        ("--port a=dpdk:carrier_pigeon0", (), "DPDK has no driver for 'carrier_pigeon0'"),
        ("--port a=af_xdp:lo", NOBODY, "run as root"),
        ("--port a=af_packet:lo", NOBODY, "run as root or with CAP_NET_RAW"),
        ("--port a=pcap:{tmp}/in.pcap --workers 2", (), "the ports have too few queues"),
        (
            "--port a=null",
            ("prlimit", "--as=300000000", "--"),
            "DPDK cannot start: ",
        ),
        (
            "--port a=null",
            ("prlimit", "--nofile=12", "--"),
            "Too many open files",
        ),
        (
            "--port a=null --memory 64 --workers 32",
            (),
            "--memory 64: too little for the queues of 32 workers",
        ),
        (
            "--port a=null --huge",
            pages(65536, 65536),
            "DPDK cannot start: Cannot get hugepage info",
        ),
        ("--port a=null --huge", pages(300, 10), "20 MB of hugepages are free, 256 are needed"),
        ("--port a=null --huge", pages(300, 10), "`sysctl vm.nr_hugepages=418`"),
        ("--port a=null", HIDDEN, "DPDK cannot start: core 0 unavailable"),
        ("--port a=pcap:{tmp}/in.pcap,{tmp}/no/x", (), "cannot write {tmp}/no/x: No such file"),
        ("--port a=pcap:/dev/null,{tmp}/x", (), "is each IN a pcap file?"),
        ("--port a=dpdk:", (), "DPDK has no driver for ''"),
    ],
)
def test_faults_of_the_machine(place, arguments, before, expected):
    words = [word.replace("{tmp}", f"{place}") for word in (*before, "--", *arguments.split())]
    cut = words.index("--", len(before))
    said = faulty(place, *words[cut + 1 :], before=tuple(words[:cut]))
    assert expected.replace("{tmp}", f"{place}") in said


@pytest.mark.parametrize(
    ("mode", "path", "expected"),
    [(0o700, "s", "Permission denied"), (0o755, "s", "Permission denied")],
)
def test_a_directory_that_is_closed(place, mode, path, expected):
    (place / "own").mkdir(mode=mode)
    command = (
        *NOBODY,
        str(find_forwarder()),
        "--socket",
        f"{place}/own/{path}",
        "--port",
        "a=null",
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"--socket {place}/own/s: Permission denied (choose a directory" in done.stderr
    assert list((place / "own").iterdir()) == []


def test_a_socket_without_a_path():
    command = (str(find_forwarder()), "--socket", "", "--port", "a=null")
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--socket is empty (give the path" in done.stderr


class Cable:
    """Two devices of a network namespace that are joined."""

    def __init__(self) -> None:
        self.where = f"start-{os.getpid()}"
        self.inside = ("ip", "netns", "exec", self.where)
        self("netns", "add", self.where)
        self.here("link", "add", "a0", "type", "veth", "peer", "name", "a1")
        for name in ("a0", "a1"):
            self.here("link", "set", name, "up")

    def __call__(self, *words: str) -> str:
        return subprocess.run(
            ["ip", *words], check=True, capture_output=True, text=True, timeout=20
        ).stdout

    def here(self, *words: str) -> str:
        return self("-n", self.where, *words)

    def untouched(self) -> bool:
        found = json.loads(self.here("-json", "link", "show", "a0"))[0]
        return "PROMISC" not in found["flags"] and "xdp" not in found


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    yield made
    made("netns", "del", made.where)


def test_one_device_has_one_forwarder(cable, place, forwarder):
    for kind in ("af_xdp", "af_packet"):
        _, process = forwarder({"p0": f"{kind}:a0"}, netns=cable.where)
        for other in ("af_xdp", "af_packet"):
            said = faulty(place, "--port", f"a={other}:a0", before=cable.inside)
            assert f"port a: a0 is in use by another forwarder, pid {process.pid}" in said
        assert not cable.untouched()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert cable.untouched()
    _, process = forwarder({"p0": "af_xdp:a1"}, netns=cable.where)
    process.kill()  # so that it cannot clean up
    process.wait(5)
    forwarder({"p0": "af_xdp:a1"}, netns=cable.where)


def test_a_start_that_fails_later_gives_devices_back(cable, place):
    words = ("--port", "a=af_xdp:a0", "--port")
    assert "no network device" in faulty(place, *words, "b=af_xdp:no0", before=cable.inside)
    assert cable.untouched()
    assert "a0 is another port's already" in faulty(
        place, *words, "b=af_packet:a0", before=cable.inside
    )
    assert cable.untouched()


def test_an_xdp_program_of_something_else_stays(cable, place):
    (place / "x.c").write_text(
        '__attribute__((section("xdp"), used)) int others(void *c) { return 2; }\n'
    )
    compiler = ("clang", "-O2", "-target", "bpf", "-c", f"{place}/x.c", "-o", f"{place}/x.o")
    subprocess.run(compiler, check=True, timeout=20)
    cable.here("link", "set", "a0", "xdp", "obj", f"{place}/x.o", "sec", "xdp")
    said = faulty(place, "--port", "a=af_xdp:a0", before=cable.inside)
    assert "XDP program 'others' is on it, and `ip link set a0 xdp off` takes it off" in said
    assert json.loads(cable.here("-json", "link", "show", "a0"))[0]["xdp"]
