"""Very much is refused: a change tries again what it can reach, and nothing else."""

from pathlib import Path as FilePath
from random import Random

from ccn_bgp.gateway import guard
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.quarantine import Quarantine, Reach
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType

INTENT = read_intent(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml", "bj-gw1")
TABLE = "bj-gw1/retail"
RETAIL, FINANCE = 100, 200
SAID = PathAttributes(
    as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
    next_hop=Ip.parse("198.51.100.21"),
    extended_communities=tunnel_communities(
        [RouteTarget.parse("64600:100")], Mac.parse("02:cc:c6:33:64:15")
    ),
)


def route(text, ccn):
    """What the other gateway says to ``retail``, as of this CCN."""
    rd = RouteDistinguisher.parse(f"198.51.100.21:{ccn}")
    return EvpnPrefix(rd, bytes(10), 0, Prefix.parse(text), None, 20000 + ccn)


def finding(prefix):
    return Finding(rule="hijack", message="", where="", table=TABLE, prefix=str(prefix))


def test_only_what_a_change_reaches_is_decided_again():
    rib = new_rib(INTENT)
    prover = Guard(INTENT, rib)
    table = rib.tables[TABLE]
    rib.receive("hk-gw1", [route("20.0.0.0/12", RETAIL)], [], SAID)
    bad = [route(f"20.0.{n >> 8}.{n & 255}/32", FINANCE) for n in range(guard.FEW + 100)]
    rib.receive("hk-gw1", bad, [], SAID)
    before = prover.prove()
    assert {f.rule for f in before.findings} == {"hijack"} and len(before.findings) == len(bad)
    decided = table.decided
    rib.receive("hk-gw1", [route("20.1.0.0/24", RETAIL)], [], SAID)
    assert len(prover.prove().findings) == len(bad)
    assert table.decided <= decided + 1, "what is refused was not touched"
    rib.receive("hk-gw1", [route("20.0.0.0/30", RETAIL)], [], SAID)
    assert len(prover.prove().findings) == len(bad)
    assert 0 < table.decided - decided < 20, "four of them lie in it"
    rib.receive("hk-gw1", [route("20.0.0.7/32", RETAIL)], [], SAID)  # its own, and a rival
    own = {(f.rule, f.prefix) for f in prover.prove().findings}
    rib.receive("hk-gw1", [], [bad[0]], None)
    after = prover.prove()
    assert len(after.findings) == len(own) - 1
    fresh = new_rib(INTENT)
    for nlri in ("20.0.0.0/12", "20.1.0.0/24", "20.0.0.0/30", "20.0.0.7/32"):
        fresh.receive("hk-gw1", [route(nlri, RETAIL)], [], SAID)
    fresh.receive("hk-gw1", bad[1:], [], SAID)
    again = Guard(INTENT, fresh).prove()
    assert again.findings == after.findings and again.snapshot.digest == after.snapshot.digest
    rib.receive("hk-gw1", [], [route("20.0.0.0/12", RETAIL)], None)
    wide = prover.prove()
    fresh.receive("hk-gw1", [], [route("20.0.0.0/12", RETAIL)], None)
    assert wide.findings == Guard(INTENT, fresh).prove().findings, "what covers all reaches all"


def test_overlapping_rows_are_found():
    random = Random(1)

    def some(count):
        octets = (bytes((10, 0, random.randrange(4), random.randrange(256))) for _ in range(count))
        four = [Prefix.of(o, random.randrange(20, 33)) for o in octets]
        return [*four, Prefix.parse("0.0.0.0/0"), Prefix.parse("fd00::/64"), Prefix.parse("::/0")]

    held = Quarantine()
    rows = set(random.sample(some(60), 40))
    for prefix in rows:
        held.add(TABLE, prefix, finding(prefix))
    assert held.count([TABLE, "other"]) == len(rows) == len(held.findings())
    for _ in range(50):
        changed = random.sample(some(5), 3)
        reach = Reach(changed)
        assert held.overlapping(TABLE, reach) == {
            row
            for row in rows
            for c in changed
            if len(row) == len(c) and row.first <= c.last and c.first <= row.last
        }
        assert all(reach.holds(c) for c in changed) and not reach.add(changed)
    assert held.overlapping("other", reach) == set()
    gone = sorted(rows)[:5]
    held.drop(TABLE, gone)
    assert len(held.findings()) == len(rows) - 5
    held.clear(TABLE)
    assert held.findings() == [] and held.count([TABLE]) == 0
