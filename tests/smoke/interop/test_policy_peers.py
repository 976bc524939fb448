"""The same policies in our words, FRR's and GoBGP's, over the same real routes: who is accepted and
with which attributes. The peers tell over iBGP what they have accepted, so nothing is hidden."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from oracle.drawn_policies import NEIGHBOR, Drawn
from typer.testing import CliRunner

from ccn_bgp.bench import full_table
from ccn_bgp.bench.policies import fifty_statements
from ccn_bgp.bench.policy_peers import PolicyFrr, PolicyGoBgp, accepted
from ccn_bgp.bench.policy_text import frr, gobgp
from ccn_bgp.bench.sender import ADDRESS, Sender
from ccn_bgp.bench.sites import GATEWAY_ASN
from ccn_bgp.cli.main import app
from ccn_bgp.model.bgp import Asn, Family, Ip, Prefix
from ccn_bgp.model.path import PathAttributes, Unicast
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.routes import read_attributes
from ccn_bgp.session.encode import encode_updates

pytestmark = pytest.mark.smoke

ROUTES = Path(__file__).parents[2] / "data" / "ris-rrc15-routes.jsonl.gz"
NEXT_HOP = "198.51.100.21"
PEER = 65101
OWN = 64999
"""What is prepended as ours: a peer does not say on what has its own AS in the path."""
READER = "127.0.0.9"
PEERS = ((PolicyFrr, frr), (PolicyGoBgp, gobgp))
Entry = dict[str, Any]

EVERY_WORD = """
prefix-sets:
  longish: [{prefix: 0.0.0.0/0, ge: 22, le: 24}]
  odd: [{prefix: 64.0.0.0/8, ge: 20, le: 22}, {prefix: 64.0.0.0/8, ge: 24, le: 24}, 12.6.40.0/24,
        {prefix: 200.0.0.0/6, ge: 23}]
  exact: [{prefix: 12.0.0.0/8, le: 23}, 88.226.128.0/17]
  nested: [{prefix: 189.0.0.0/8, ge: 20, le: 20}, {prefix: 189.64.0.0/10, ge: 24, le: 26}]
community-sets:
  most: ["1916:300"]
  many: ["1916:*", "17379:*"]
  threes: [{regex: "^1916:3[0-9]*$"}, {regex: ":2"}]
  marked: ["64600:1", "64600:2"]
as-path-sets:
  cut: [_7018_, _3356_]
  sets: ["[{]"]
  in-sets: [{contains: 64801}]
  began: [{origin-as: 8151}, {contains: 701}]
  starts: ["^65101 1916 20080"]
neighbor-sets: {there: [127.0.0.3]}
policies:
  first:
    - name: mark
      match: {prefix-set: longish}
      set: {med: "+7", local-pref: 150, community: {add: ["64600:1", "64600:2"]}}
      then: next-statement
    - {name: seen, match: {community-set: {all: marked}}, set: {as-path-prepend: 2},
       then: next-statement}
    - name: path
      match: {as-path-set: cut, prefix-set: {invert: odd}}
      set: {community: {remove: [{set: many}]}, med: 12}
      then: next-statement
    - name: bare
      match: {community-set: {invert: many}, as-path-set: {invert: began}}
      set: {local-pref: 99, as-path-prepend: {count: 1, asn: 65000}}
      then: accept
    - {name: told, match: {community-set: threes, as-path-set: starts, neighbor-set: there},
       set: {local-pref: 77}, then: next-statement}
    - {name: in-sets, match: {as-path-set: in-sets}, set: {local-pref: 6}, then: accept}
    - {name: no, match: {as-path-set: began}, then: reject}
  second:
    - {name: nested, match: {prefix-set: nested}, set: {community: {replace: ["64600:9"]}},
       then: accept}
    - {name: sets, match: {as-path-set: sets}, set: {local-pref: 7}, then: accept}
    - {name: odd, match: {prefix-set: [odd, exact]}, set: {local-pref: 20}, then: accept}
    - {name: longish, match: {prefix-set: longish, community-set: most}, then: accept}
"""


def dressed(number: int, entry: Entry) -> Entry:
    """A real route as the router of a data centre tells it: its AS before the path, every seventh
    with a MED, every eleventh from an aggregate; every second over another session."""
    attributes = dict(entry["attributes"], **{"next-hop": NEXT_HOP})
    path = f"{PEER} {attributes['as-path']}"
    if number % 11 == 0:
        path += f" {{{64800 + number % 3},{64810 + number % 5}}}"
    attributes["as-path"] = path
    if number % 7 == 0:
        attributes["med"] = number % 50
    there = number % 2
    return {
        "prefix": entry["prefix"],
        "attributes": attributes,
        "neighbor": "there" if there else "here",
        "neighbor-address": NEIGHBOR if there else ADDRESS,
        "neighbor-as": PEER,
        "own-as": OWN,
    }


@pytest.fixture(scope="module")
def routes() -> list[Entry]:
    lines = gzip.decompress(ROUTES.read_bytes()).splitlines()
    return [dressed(number, json.loads(line)) for number, line in enumerate(lines)]


Sight = tuple[Any, ...]


def sight(attributes: PathAttributes) -> Sight:
    """What is compared; over iBGP a route without LOCAL_PREF is told with 100. Communities are a
    set: GoBGP says one twice that is added and was there."""
    a = attributes
    preference = 100 if a.local_pref is None else a.local_pref
    return a.origin, a.as_path_text, a.med, preference, frozenset(a.communities)


def ours(file: Path, names: Sequence[str], entries: Sequence[Entry]) -> dict[str, Sight]:
    """What ``ccn policy eval`` accepts."""
    words = ["policy", "eval", str(file), "--routes", "-", "--json"]
    words += [word for name in names for word in ("--policy", name)]
    done = CliRunner().invoke(app, words, input="".join(json.dumps(e) + "\n" for e in entries))
    assert done.exit_code == 0, done.output
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(entries)
    return {
        r["route"]["prefix"]: sight(read_attributes(r["attributes"]))
        for r in results
        if r["result"] == "accept"
    }


def sender(address: str, asn: int, keep: bool = False) -> Sender:
    return Sender(
        address, asn=Asn(asn), router_id=Ip.parse(address), family=Family.IPV4_UNICAST, keep=keep
    )


def told(entries: Sequence[Entry], address: str) -> bytes:
    """The UPDATEs of one session."""
    groups: dict[PathAttributes, list[Unicast]] = {}
    for entry in entries:
        if entry["neighbor-address"] == address:
            nlri = Unicast(Prefix.parse(entry["prefix"]))
            groups.setdefault(read_attributes(entry["attributes"]), []).append(nlri)
    return b"".join(encode_updates(list(groups.items())))


def theirs(kind: Any, policy: str, entries: Sequence[Entry], wanted: int) -> dict[str, Sight]:
    """What a real daemon accepts behind this policy."""
    feeders = [sender(ADDRESS, PEER), sender(NEIGHBOR, PEER)]
    with (
        feeders[0],
        feeders[1],
        sender(READER, GATEWAY_ASN, keep=True) as reader,
        kind(feeders, policy, reader) as peer,
    ):
        for session in (*feeders, reader):
            session.establish(60, peer.dial, peer.check)
        for feeder in feeders:
            feeder.send(told(entries, feeder.address))
        found = accepted(reader, wanted, 300)
        return {str(prefix): sight(a) for prefix, a in found.items()}


def compared(file: Path, names: Sequence[str], entries: Sequence[Entry], some: Any = PEERS) -> int:
    """All of them equal; how many routes were accepted."""
    mine = ours(file, names, entries)
    policies = load_policies([file])
    for kind, words in some:
        found = theirs(kind, words(policies, names, "reject", OWN), entries, len(mine))
        differ = [p for p in mine.keys() | found.keys() if mine.get(p) != found.get(p)]
        example = [(p, mine.get(p), found.get(p)) for p in sorted(differ)[:3]]
        assert not differ, f"{kind.name}: {len(differ)} of {len(entries)} routes: {example}"
    return len(mine)


def test_every_word_that_the_peers_have(routes: list[Entry], tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(EVERY_WORD)
    count = compared(file, ["first", "second"], routes)
    assert 500 < count < len(routes) - 500, "both accepted and rejected ones"


def test_the_policy_of_the_bench(routes: list[Entry], tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(fifty_statements())
    assert compared(file, ["from-idc"], routes[::3]) > 0


def test_a_chain_with_next_policy(routes: list[Entry], tmp_path: Path) -> None:
    """GoBGP has no word for it."""
    text = EVERY_WORD.replace("then: next-statement}", "then: next-policy}")
    assert text != EVERY_WORD
    file = tmp_path / "p.yaml"
    file.write_text(text)
    compared(file, ["first", "second"], routes[1::3], PEERS[:1])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_drawn_policies(routes: list[Entry], tmp_path: Path, seed: int) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps(Drawn(seed, routes).document(5 + seed * 7 % 30, 1 + seed % 3)))
    compared(file, sorted(load_policies([file]).policies), routes)


@pytest.mark.long
def test_a_full_table(tmp_path: Path) -> None:
    """Every prefix of a real table (CCN_BENCH_DATA), or of one drawn with its lengths."""
    data = os.environ.get("CCN_BENCH_DATA")
    table = full_table.entries(Path(data) if data else None, 600_000 if data else 200_000)
    entries = []
    for number, (nlri, origin) in enumerate(table):
        path = full_table.path_of(Asn(1916 + origin % 5), origin)
        prefix = Prefix(nlri[1:].ljust(4, b"\0") + nlri[:1])
        attributes = {"as-path": " ".join(map(str, path)), "communities": [f"1916:{origin % 400}"]}
        entries.append(dressed(number, {"prefix": str(prefix), "attributes": attributes}))
    file = tmp_path / "p.yaml"
    file.write_text(EVERY_WORD)
    count = compared(file, ["first", "second"], entries)
    assert count > len(entries) / 10
