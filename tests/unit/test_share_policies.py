"""Policies on shares: they narrow what a consumer takes and change its attributes there alone,
whether the provider is on this gateway or on another one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent, topology_findings
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.policy_traces import share_traces
from ccn_bgp.gateway.policy_views import policy
from ccn_bgp.gateway.rehearsal import lines
from ccn_bgp.learn.compaction import Compaction
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.policy.trace import trace_lines

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
EXAMPLE = (TOPOLOGIES / "shared-services.yaml").read_text()
FAR = """  ss-gw2:
    region: hongkong
    asn: 64602
    vtep: 198.51.100.32
    uplinks: [{port: eth1, address: 198.51.100.32/24, via: 198.51.100.1}]

vpcs:
  far: {region: hongkong, vni: 309, cidrs: [10.100.2.0/24]}
"""
PREFIXES = ("10.100.0.0/24", "10.100.2.0/24", "10.100.2.0/25", "10.100.2.128/25")


def files(folder: Path, share: str, policies: str, *edits: tuple[str, str]) -> Path:
    """services shares 10.100.0.0/16 with blue; the VPC dns is here, far in Hong Kong."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "p.yaml").write_text(policies)
    text = EXAMPLE.replace("vpcs:\n", FAR, 1).replace("vpc/dns,", "vpc/dns, vpc/far,")
    text = text.replace("to: blue, prefixes: [10.100.0.0/24]", f"to: blue, {share}")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder / "t.yaml").write_text(text + "policies: [p.yaml]\n")
    return folder / "t.yaml"


def intent_of(folder: Path, share: str, policies: str, *edits: tuple[str, str]) -> Intent:
    return read_intent(files(folder, share, policies, *edits), "ss-gw1")


def say(rib: Rib, *prefixes: str, targets: tuple[str, ...] = ("64600:30",)) -> None:
    communities = tunnel_communities(
        [RouteTarget.parse(t) for t in targets], Mac.parse("02:cc:c6:33:64:20")
    )
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
        next_hop=Ip.parse("198.51.100.32"),
        extended_communities=communities,
    )
    rd = RouteDistinguisher.parse("198.51.100.32:30")
    nlris = [EvpnPrefix(rd, bytes(10), 0, Prefix.parse(p), None, 3030) for p in prefixes]
    rib.receive("ss-gw2", nlris, [], attributes)
    rib.settle()


def held(rib: Rib, ccn: str) -> dict[str, int | None]:
    """Shared prefixes of a table, with their local preference."""
    routes = rib.tables[f"ss-gw1/{ccn}"].routes
    return {str(p): routes[p].path.attributes.local_pref for p in routes if str(p) in PREFIXES}


SHARE = "prefixes: [10.100.0.0/16]"
SETS = """prefix-sets:
  dns: [10.100.0.0/24]
  lower: [{prefix: 10.100.2.0/25}]
vpc-sets: {far: [far], dns: [dns]}
region-sets: {hk: [hongkong]}
ccn-sets: {services: [services], blue: [blue]}
neighbor-sets: {gateways: ["ss-*"]}
policies:
"""


@pytest.mark.parametrize(
    ("share", "statements", "found"),
    [
        ("", "[{then: accept}]", dict.fromkeys(PREFIXES)),
        ("import: [p], ", "[{match: {prefix-set: dns}, then: reject}]", set(PREFIXES[1:])),
        ("export: [p], ", "[{match: {prefix-set: dns}, then: reject}]", set(PREFIXES[1:])),
        (
            "import: [p], ",
            "[{match: {prefix-set: dns}, then: accept}, {then: reject}]",
            {PREFIXES[0]},
        ),
        (
            "import: [p], ",
            "[{match: {prefix-set: lower}, then: reject}]",
            {*PREFIXES} - {PREFIXES[2]},
        ),
        ("import: [p], ", "[{match: {vpc-set: far}, then: reject}]", {PREFIXES[0]}),
        ("import: [p], ", "[{match: {region-set: hk}, then: reject}]", {PREFIXES[0]}),
        ("import: [p], ", "[{match: {origin-kind: vpc}, then: reject}]", set()),
        ("import: [p], ", "[{match: {ccn-set: services}, then: reject}]", set()),
        ("import: [p], ", "[{match: {ccn-set: blue}, then: reject}]", set(PREFIXES)),
        ("import: [p], ", "[{match: {neighbor-set: gateways}, then: reject}]", set(PREFIXES)),
        ("import: [p], ", "[{then: reject}]", set()),
        (
            "import: [p], ",
            "[{match: {prefix-set: dns}, set: {local-pref: 50}, then: accept}]",
            {PREFIXES[0]: 50, **dict.fromkeys(PREFIXES[1:])},
        ),
        (
            "import: [p], ",
            "[{match: {vpc-set: far}, set: {local-pref: 70}, then: accept}]",
            {PREFIXES[0]: None, **dict.fromkeys(PREFIXES[1:], 70)},
        ),
    ],
)
def test_a_consumer_takes_what_the_policies_of_the_share_let_pass(
    tmp_path: Path, share: str, statements: str, found: dict[str, int | None] | set[str]
) -> None:
    intent = intent_of(tmp_path, share + SHARE, f"{SETS}  p: {statements}\n")
    rib = new_rib(intent)
    say(rib, *PREFIXES[1:])
    taken = held(rib, "blue")
    assert (taken if isinstance(found, dict) else set(taken)) == found
    assert held(rib, "services") == dict.fromkeys(PREFIXES), "the provider's own are as they were"
    assert set(held(rib, "red")) == {PREFIXES[0]}, "and so is another share"
    proved = Guard(intent, rib).prove()
    assert not [f for f in proved.findings if f.stands]


def test_the_export_of_the_provider_is_asked_before_the_import_of_the_consumer(
    tmp_path: Path,
) -> None:
    policies = "policies:\n  out: [{set: {tag: 7}, then: accept}]\n  in:\n"
    policies += (
        "    - {match: {tag: 7}, set: {local-pref: 7}, then: accept}\n    - {then: reject}\n"
    )
    rib = new_rib(intent_of(tmp_path, f"export: [out], import: [in], {SHARE}", policies))
    say(rib, *PREFIXES[1:])
    assert held(rib, "blue") == dict.fromkeys(PREFIXES, 7)


def test_two_shares_of_one_provider_have_policies_of_their_own(tmp_path: Path) -> None:
    """The first that covers a prefix and lets it pass decides."""
    policies = (
        "policies:\n  low: [{set: {local-pref: 10}, then: accept}]\n  none: [{then: reject}]\n"
    )
    share = "import: [low], prefixes: [10.100.2.0/25]}\n"
    share += "  - {from: services, to: blue, import: [none], prefixes: [10.100.2.0/24]}\n"
    share += "  - {from: services, to: blue, prefixes: [10.100.2.128/25]"
    rib = new_rib(intent_of(tmp_path, share, policies))
    say(rib, *PREFIXES[1:])
    assert held(rib, "blue") == {"10.100.2.0/25": 10, "10.100.2.128/25": None}


class AlwaysDue(Compaction):
    def due(self, words: Vocabulary, judge: object) -> bool:
        return True


def test_what_differs_by_table_survives_compaction_and_a_withdrawal(tmp_path: Path) -> None:
    policies = (
        f"{SETS}  p: [{{match: {{prefix-set: lower}}, set: {{local-pref: 9}}, then: accept}}]\n"
    )
    rib = new_rib(intent_of(tmp_path, f"import: [p], {SHARE}", policies))
    rib._compaction = AlwaysDue()
    say(rib, *PREFIXES[1:])
    want = {**dict.fromkeys(PREFIXES), "10.100.2.0/25": 9}
    assert held(rib, "blue") == want
    say(rib, "10.100.200.0/24")
    assert held(rib, "blue") == want
    rd = RouteDistinguisher.parse("198.51.100.32:30")
    gone = EvpnPrefix(rd, bytes(10), 0, Prefix.parse("10.100.2.0/25"), None, 3030)
    rib.receive("ss-gw2", [], [gone], None)
    rib.settle()
    del want["10.100.2.0/25"]
    assert held(rib, "blue") == want
    assert held(rib, "services") == dict.fromkeys(want)


def test_an_edit_is_applied_to_what_was_heard(tmp_path: Path) -> None:
    old = new_rib(intent_of(tmp_path / "old", SHARE, "policies: {}\n"))
    say(old, *PREFIXES[1:])
    for share, found in ((f"import: [none], {SHARE}", {}), (SHARE, dict.fromkeys(PREFIXES))):
        new = new_rib(intent_of(tmp_path / "new", share, "policies:\n  none: [{then: reject}]\n"))
        new.adopt(old)
        new.settle()
        assert held(new, "blue") == found
        old = new


def test_names_and_targets_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_topology(files(tmp_path, f"import: [nme], {SHARE}", "policies: {name: []}\n"))
    assert "policy 'nme' is not defined (did you mean 'name'?)" in str(caught.value)
    sets = "[{set: {route-target: {add: ['64600:30']}}, then: accept}]"
    topology = load_topology(files(tmp_path, f"import: [p], {SHARE}", f"policies:\n  p: {sets}\n"))
    (found,) = [f for f in topology_findings(topology) if f.rule == "policy-target"]
    assert found.message.endswith("a share sets no route target, and so not 64600:30")
    assert found.witness["chain"][0] == "share services to blue"


def test_explain_shows_the_statement(tmp_path: Path) -> None:
    policies = f"{SETS}  p:\n    - {{name: not-dns, match: {{prefix-set: dns}}, then: reject}}\n"
    policies += "    - {name: rest, set: {local-pref: 7}, then: accept}\n"
    intent = intent_of(tmp_path, f"import: [p], {SHARE}", policies)
    rib = new_rib(intent)
    say(rib, *PREFIXES[1:])
    running = SimpleNamespace(rib=rib, intent=intent)
    table = rib.tables["ss-gw1/blue"]
    found = share_traces(running, table, lambda p: str(p) in PREFIXES[:2])  # type: ignore[arg-type]
    told = {(one["prefix"], one["from"]): one for one in found}
    assert set(told) == {("10.100.2.0/24", "ss-gw2"), ("10.100.0.0/24", "table ss-gw1/services")}
    denied = told["10.100.0.0/24", "table ss-gw1/services"]
    assert denied["share"] == "services to blue"
    assert denied["result"].startswith("denied by policy p, statement not-dns (")
    accepted = told["10.100.2.0/24", "ss-gw2"]
    assert accepted["result"] == "accepted"
    assert any("local-pref unset → 7" in line for line in trace_lines(accepted["policies"][0]))
    assert not share_traces(running, rib.tables["ss-gw1/red"], lambda _: True)  # type: ignore[arg-type]


def test_an_edit_is_told_before_it_is_in_force(tmp_path: Path) -> None:
    low = "policies:\n  low: [{set: {local-pref: 9}, then: accept}]\n  none: [{then: reject}]\n"
    intents = [
        intent_of(tmp_path / str(number), f"{share}{SHARE}", low)
        for number, share in enumerate(
            ("", "import: [none], ", "import: [low], ", "import: [low], ")
        )
    ]
    told = []
    old = new_rib(intents[0])
    say(old, "10.100.2.0/24")
    for before, after in pairwise(intents):
        new = new_rib(after)
        new.adopt(old)
        new.settle()
        told.append(list(lines(before, old, after, new)))
        old = new
    about = "ss-gw2: 1 route is"
    services, both = "ss-gw1/services", "ss-gw1/blue, ss-gw1/services"
    taken = f"{about} taken by other tables, such as 10.100.2.0/24 (accepted → accepted; tables"
    assert told == [
        [f"{taken} {both} → {services})"],
        [f"{taken} {services} → {both})"],
        ["no route that has been heard is judged otherwise"],
    ]
    other = new_rib(intents[0])
    other.adopt(old)
    other.settle()
    (line,) = lines(intents[3], old, intents[0], other)
    assert line.startswith(f"{about} accepted with other attributes, such as 10.100.2.0/24 (")
    assert line.endswith("; local-pref 9 → unset)")


def counted(rib: Rib, intent: Intent) -> dict[tuple[str, str, str], tuple[int, str]]:
    """Hits and the last route, by share, direction and statement."""
    running = SimpleNamespace(rib=rib, intent=intent, sessions=SimpleNamespace(peers={}))
    assert policy(running, {"neighbor": "lf-r1"})["policy"] == []  # type: ignore[arg-type]
    rows = policy(running, {})["policy"]  # type: ignore[arg-type]
    return {
        (r["neighbor"], r["direction"], r["statement"]): (r["hits"], r.get("last", ""))
        for r in rows
    }


def test_show_policy_counts_what_the_statements_of_a_share_matched(tmp_path: Path) -> None:
    policies = f"{SETS}  out:\n    - {{name: low, match: {{prefix-set: lower}}, then: reject}}\n"
    policies += "    - {name: far, match: {vpc-set: far}, set: {tag: 1}, then: next-statement}\n"
    policies += "  in:\n    - {name: dns, match: {prefix-set: dns}, set: {med: 1}, then: accept}\n"
    intent = intent_of(tmp_path, f"export: [out], import: [in], {SHARE}", policies)
    rib = new_rib(intent)
    say(rib, *PREFIXES[1:], "10.100.3.0/24", "10.100.4.0/24")
    who, (dns, far, low, _) = "share services to blue", PREFIXES
    found = counted(rib, intent)
    assert found[who, "export", "low"] == (1, low)
    assert found[who, "export", "far"][0] == 2, "of what was not rejected"
    assert found[who, "export", "far"][1] in (far, PREFIXES[3])
    assert found[who, "export", "default"][0] == 6, "and of the provider's two that are here"
    assert found[who, "import", "dns"] == (1, dns)
    assert found[who, "import", "default"][0] == 5
    rib.settle()
    assert counted(rib, intent) == found, "nothing was judged anew"


def test_each_share_that_was_asked_is_counted(tmp_path: Path) -> None:
    policies = "policies:\n  no: [{name: no, then: reject}]\n  yes: [{name: yes, then: accept}]\n"
    share = f"import: [no], {SHARE}}}\n  - {{from: services, to: blue, import: [yes], {SHARE}"
    intent = intent_of(tmp_path, share.replace("yes", "'yes'"), policies.replace("yes", "'yes'"))
    rib = new_rib(intent)
    say(rib, *PREFIXES[1:])
    found = counted(rib, intent)
    who = "share services to blue"
    assert found[who, "import", "no"][0] == found[who, "import", "yes"][0] == len(PREFIXES) + 1
    assert {d for _, d, _ in found} == {"import"}, "no policy is asked on export"
