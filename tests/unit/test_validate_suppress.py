"""`suppress:` of a topology: accepted with a reason, still listed, honoured by the guard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from ccn_bgp.cli.validate import Form, validate
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError, RefusedError
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent, topology_findings
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
LEAK = "  - {rule: leak, ccn: finance, prefix: 10.2.0.0/16, reason: until the share is signed}\n"


def copy(tmp_path: Path, name: str, suppress: str = "", *edits: tuple[str, str]) -> Path:
    text = (TOPOLOGIES / name).read_text()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    (tmp_path / "policies").mkdir(exist_ok=True)
    idc = (TOPOLOGIES / "policies" / "idc.yaml").read_text()
    (tmp_path / "policies" / "idc.yaml").write_text(idc)
    file = tmp_path / "t.yaml"
    file.write_text(text + (f"suppress:\n{suppress}" if suppress else ""))
    return file


def documents(file: Path, capsys: pytest.CaptureFixture[str], code: int) -> tuple[dict, dict, str]:
    """JSON, SARIF and text of one file; each run must end with the exit code."""
    found = []
    for form in Form.JSON, Form.SARIF, Form.TEXT:
        try:
            validate(file, form=form)
            ended = 0
        except typer.Exit as stop:
            ended = stop.exit_code
        assert ended == code
        found.append(capsys.readouterr().out)
    return json.loads(found[0]), json.loads(found[1]), found[2]


def test_an_accepted_error_is_listed_with_its_reason_and_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, sarif, text = documents(copy(tmp_path, "broken/leak.yaml", LEAK), capsys, 0)
    (finding,) = document["findings"]
    assert document["ok"] is True
    assert (finding["rule"], finding["severity"]) == ("leak", "error")
    assert finding["suppressed"] == "until the share is signed"
    (result,) = sarif["runs"][0]["results"]
    assert result["suppressions"] == [
        {
            "kind": "inSource",
            "status": "accepted",
            "justification": "until the share is signed",
        }
    ]
    assert "suppressed error leak" in text
    assert "reason: until the share is signed" in text
    assert text.endswith("no errors, no warnings, 1 suppressed\n")


@pytest.mark.parametrize(
    "item",
    [
        "{rule: leak, ccn: retail, prefix: 10.2.0.0/16, reason: x}",
        "{rule: leak, ccn: finance, prefix: 10.3.0.0/16, reason: x}",
        "{rule: leak, ccn: finance, prefix: 10.2.0.0/24, reason: x}",
        "{rule: leak, ccn: finance, prefix: 10.2.0.0/16, where: vpcs.web, reason: x}",
        "{rule: hijack, ccn: finance, prefix: 10.2.0.0/16, reason: x}",
    ],
)
def test_what_does_not_fit_accepts_nothing_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], item: str
) -> None:
    document, _, _ = documents(copy(tmp_path, "broken/leak.yaml", f"  - {item}\n"), capsys, 3)
    rules = {f["rule"]: f for f in document["findings"]}
    assert rules.keys() == {"leak", "unused-suppression"}
    assert "suppressed" not in rules["leak"]
    assert rules["unused-suppression"]["severity"] == "warning"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("{rule: leak, reason: x}", "a suppression of leak must name 'ccn' and 'prefix'"),
        ("{rule: rt-leak, ccn: retail, reason: x}", "must name 'from'"),
        ("{rule: vni-collision, ccn: retail, reason: x}", "must name 'where'"),
        ("{rule: owned-space, reason: x}", "must name 'prefix'"),
        ("{rule: mtu}", "the key 'reason' is missing"),
        ("{rule: mtu, reason: ' '}", "the reason is empty"),
        ("{rule: mtuu, reason: x}", "'mtuu' is no finding; did you mean 'mtu'?"),
        ("{rule: schema, reason: x}", "'schema' cannot be suppressed"),
        ("{rule: unused-suppression, reason: x}", "is no finding"),
        ("{rule: mtu, ccn: retial, reason: x}", "ccn 'retial' is not defined (did you mean"),
        ("{rule: mtu, peer: bj-gw9, reason: x}", "peer 'bj-gw9' is not defined (did you mean"),
        ("{rule: mtu, where: fabric.mtuu, reason: x}", "there is no key 'fabric.mtuu'"),
        ("{rule: mtu, prefix: 10.1.1.0/16, reason: x}", "has host bits set"),
    ],
)
def test_bad_items_cost_one_line(tmp_path: Path, item: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_topology(copy(tmp_path, "broken/leak.yaml", f"  - {item}\n"))
    (problem,) = caught.value.problems
    assert words in str(problem)
    assert str(problem).startswith(f"{tmp_path}/t.yaml:18:")


def test_a_key_path_holds_for_all_beneath_it(tmp_path: Path) -> None:
    item = "  - {rule: no-authentication, where: idcs.langfang, reason: the router is old}\n"
    found = topology_findings(load_topology(copy(tmp_path, "two-regions.yaml", item)))
    accepted = {f.peer for f in found if f.suppressed}
    others = {f.peer for f in found if f.rule == "no-authentication" and not f.suppressed}
    assert (accepted, others) == ({"lf-r1"}, {"tj-r1"})


def test_a_chain_of_route_targets_is_accepted_by_both_its_ends(tmp_path: Path) -> None:
    edit = (
        "{id: 200, vni: 20200,",
        '{id: 200, vni: 20200, import-rts: ["64600:200", "64600:100"],',
    )
    for provider, stands in (("retail", False), ("finance", True)):
        item = f"  - {{rule: rt-leak, ccn: finance, from: {provider}, reason: moving}}\n"
        found = topology_findings(load_topology(copy(tmp_path, "two-regions.yaml", item, edit)))
        assert any(f.stands for f in found if f.rule == "rt-leak") is stands


# -- the running gateway ----------------------------------------------------------------------


def heard(prefix: str, vni: int) -> tuple[EvpnPrefix, PathAttributes]:
    rd = RouteDistinguisher.parse("198.51.100.21:100")
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
        next_hop=Ip.parse("198.51.100.21"),
        extended_communities=tunnel_communities(
            [RouteTarget.parse("64600:100")], Mac.parse("02:cc:c6:33:64:15")
        ),
    )
    return EvpnPrefix(rd, bytes(10), 0, Prefix.parse(prefix), None, vni), attributes


def from_router(prefix: str) -> tuple[Unicast, PathAttributes]:
    path = (Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),)
    return Unicast(Prefix.parse(prefix)), PathAttributes(
        as_path=path, next_hop=Ip.parse("169.254.1.2")
    )


def guard_of(file: Path) -> Guard:
    intent = read_intent(file, "bj-gw1")
    accept = lambda _, path: path.attributes  # noqa: E731
    return Guard(intent, Rib(intent.topology, intent.gateway, accept, intent.claims))


def rows(proved, ccn: str = "retail") -> set[str]:
    table = proved.snapshot.tables[f"bj-gw1/{ccn}"]
    return {str(table.v4.prefix(i)) for i in range(len(table.v4))}


def test_the_guard_lets_through_what_is_accepted_and_nothing_else(tmp_path: Path) -> None:
    item = "  - {rule: leak, ccn: retail, prefix: 10.77.0.0/16, reason: a migration}\n"
    guard = guard_of(copy(tmp_path, "two-regions.yaml", item))
    for prefix in ("10.77.0.0/16", "10.78.0.0/16"):
        nlri, attributes = heard(prefix, 20200)  # finance's VNI with retail's target
        guard.rib.receive("hk-gw1", [nlri], [], attributes)
    proved = guard.prove()
    assert "10.77.0.0/16" in rows(proved)
    assert "10.78.0.0/16" not in rows(proved)
    told = {f.prefix: f.suppressed for f in proved.findings if f.rule == "leak"}
    assert told == {"10.77.0.0/16": "a migration", "10.78.0.0/16": ""}
    assert proved.standing == ()


def test_what_a_peer_may_not_say_can_be_accepted_too(tmp_path: Path) -> None:
    item = "  - {rule: owned-space, peer: lf-r1, prefix: 172.20.0.0/16, reason: a new block}\n"
    guard = guard_of(copy(tmp_path, "two-regions.yaml", item))
    for prefix in ("172.20.4.0/24", "172.21.4.0/24"):
        nlri, attributes = from_router(prefix)
        guard.rib.receive("lf-r1", [nlri], [], attributes)
    proved = guard.prove()
    assert "172.20.4.0/24" in rows(proved)
    assert "172.21.4.0/24" not in rows(proved)
    told = {f.prefix: f.suppressed for f in proved.findings if f.rule == "owned-space"}
    assert told == {"172.20.4.0/24": "a new block", "172.21.4.0/24": ""}


def test_a_gateway_starts_on_accepted_errors_and_on_no_others(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="leak"):
        read_intent(copy(tmp_path, "broken/leak.yaml"), "bj-gw1")
    intent = read_intent(copy(tmp_path, "broken/leak.yaml", LEAK), "bj-gw1")
    assert len(intent.topology.suppressions) == 1
