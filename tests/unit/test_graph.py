"""`ccn graph`: what a picture holds, that it is one file by itself, and the same every time."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ccn_bgp.cli.graph import FORMS, graph
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.intent import topology_findings
from ccn_bgp.observe.graph import MAX_BANDS, MAX_MARKS, Picture, picture_of
from ccn_bgp.observe.graph_svg import svg
from ccn_bgp.table.verify.declared import declared_world

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
FILES = sorted(
    [*TOPOLOGIES.glob("*.yaml"), *(p for p in TOPOLOGIES.glob("broken/*.yaml"))], key=str
)
FILES = [f for f in FILES if f.stem != "schema"]


def picture(file: Path) -> Picture:
    topology = load_topology(file)
    return picture_of(topology, declared_world(topology), topology_findings(topology))


def texts(drawn: str) -> list[str]:
    return [
        t.text or "" for t in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_form_is_whole_alone_and_always_the_same(file: Path, tmp_path: Path) -> None:
    for ending in FORMS:
        outs = [tmp_path / f"{n}{ending}" for n in "ab"]
        for out in outs:
            graph(file, out)
        text = outs[0].read_text()
        assert text == outs[1].read_text()
        # Nothing is fetched: the only address is the name of the namespace.
        assert set(re.findall(r"https?://[^\"' ]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"<(script|img|link|image|use)[^>]*(src|href)=", text)
        if ending == ".svg":
            ElementTree.fromstring(text)
        elif ending == ".html":
            start, end = text.index("<svg"), text.index("</svg>") + 6
            ElementTree.fromstring(text[start:end])
        else:
            assert text.startswith("digraph ")
            assert text.count("{") == text.count("}")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_each_finding_is_marked_where_its_witness_runs(file: Path) -> None:
    found = [f for f in topology_findings(load_topology(file)) if not f.suppressed]
    made = picture(file)
    assert sorted(m.finding.sort_key for m in made.marks) == sorted(f.sort_key for f in found)
    drawn = svg(made)
    words = texts(drawn)
    for mark in made.marks:
        assert f"{mark.number} {mark.finding.severity} {mark.finding.rule}" in words
        placed = words.count(str(mark.number))
        assert placed >= len(mark.path)
        hops = mark.finding.witness.get("hops") or mark.finding.witness.get("chain") or ()
        if all("/" in h for h in hops) and hops:
            assert set(mark.path) == set(hops)


def test_the_demo_shows_gateways_members_and_addresses() -> None:
    words = texts(svg(picture(TOPOLOGIES / "two-regions.yaml")))
    for text in ("bj-gw1", "hk-gw1", "ccn retail", "ccn finance", "vpc/web", "idc/langfang",
                 "10.99.0.0/24 via 10.2.0.10", "lf-r1 AS 65101 at bj-gw1 eth2.101"):  # fmt: skip
        assert text in words


def test_who_reaches_whom() -> None:
    made = picture(TOPOLOGIES / "shared-services.yaml")
    assert {(r.consumer, r.provider, r.prefixes, r.shared) for r in made.reaches} == {
        ("blue", "services", ("10.100.0.0/24",), True),
        ("services", "blue", ("10.21.0.0/24",), True),
        ("red", "services", ("10.100.0.0/24",), True),
        ("services", "red", ("10.22.0.0/24",), True),
    }
    assert 'class="arc bad"' not in svg(made)
    leaking = picture(TOPOLOGIES / "broken" / "rt-leak.yaml")
    assert {(r.consumer, r.provider, r.shared) for r in leaking.reaches} == {
        ("finance", "retail", False)
    }
    assert 'class="arc bad"' in svg(leaking)


def test_a_large_topology_is_drawn_in_part_and_says_so(tmp_path: Path) -> None:
    count = MAX_BANDS + 40
    lines = ["name: large", "fabric: {asn: 64600}", "gateways:"]
    lines += ["  gw: {region: r, asn: 64601, vtep: 192.0.2.1}", "vpcs:"]
    lines += [f"  v{n}: {{region: r, vni: {n + 1}, cidrs: [10.0.0.0/16]}}" for n in range(count)]
    lines += ["ccns:"]
    # The last one leaks: it must be in the picture although it is far down.
    extra = ', import-rts: ["64600:1"]'
    lines += [
        f"  c{n}: {{id: {n + 1}, vni: {n + 1001}, attach: [vpc/v{n}]"
        + (extra if n == count - 1 else "")
        + "}"
        for n in range(count)
    ]
    file = tmp_path / "large.yaml"
    file.write_text("\n".join(lines))
    made = picture(file)
    assert len(made.bands) == MAX_BANDS
    assert made.hidden == 40
    assert made.bands[-1].ccn == f"c{count - 1}"
    assert 0 < len(made.marks) <= MAX_MARKS
    assert "and 40 more CCNs" in texts(svg(made))


def test_names_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "a&b<c>.yaml"
    file.write_text((TOPOLOGIES / "broken" / "mtu.yaml").read_text())
    for ending in (".svg", ".html"):
        out = tmp_path / f"out{ending}"
        graph(file, out)
        assert "<c>" not in out.read_text()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("x.png", "the end of its name says no form (one of .svg, .html, .dot)"),
        ("none/x.svg", "cannot be written: No such file or directory"),
    ],
)
def test_a_wrong_output_costs_one_line(tmp_path: Path, out: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        graph(TOPOLOGIES / "quickstart.yaml", tmp_path / out)
    (problem,) = caught.value.problems
    assert words in str(problem)
