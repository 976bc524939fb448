"""What a peer makes of the changes it is sent is what it should hold, whatever came in which form.

The peer is a plain dictionary: withdrawals take out, announcements put in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.portions import parts, whole

from ccn_bgp.config.load import load_topology
from ccn_bgp.learn import portions
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.outbound import Outbound
from ccn_bgp.learn.told_difference import difference
from ccn_bgp.model.bgp import Family, Ip, Prefix, RouteDistinguisher
from ccn_bgp.model.ccsi import Peer, peers
from ccn_bgp.model.outgoing import NOTHING, Origination, OutRows, type5
from ccn_bgp.model.path import EvpnPrefix, Nlri, Path, PathAttributes, Unicast
from ccn_bgp.model.reason import Denied

TOPOLOGY = load_topology(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml")
PEERS = {p.name: p for p in peers(TOPOLOGY, TOPOLOGY.gateways["bj-gw1"])}
GATEWAY, ROUTER = PEERS["hk-gw1"], PEERS["lf-r1"]
ORIGINATIONS = {
    t: Origination(RouteDistinguisher.parse(f"192.0.2.11:{t}"), 20000 + t) for t in (1, 2, 300)
}
PREFIXES = [
    Prefix.parse(p) for p in ("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "9.0.0.0/8")
]
SIX = [Prefix.parse(p) for p in ("::/0", "2001:db8::/32", "2001:db8::/64", "ff00::/8")]
SETS = [PathAttributes(next_hop=Ip(bytes(4)), med=med) for med in (None, 0, 1, 2)]
SETS += [replace(SETS[1]), replace(SETS[2], extended_communities=(ROUTER.site,))]
DENIED = Denied("p", "s")


def policy(_: Peer, path: Path) -> PathAttributes | Denied:
    """Looks at the attributes and, by one set of prefixes, at the prefix."""
    nlri = path.nlri
    assert isinstance(nlri, EvpnPrefix | Unicast)
    if path.attributes.med == 2 and nlri.prefix[0] == 10:
        return DENIED
    return path.attributes


def classes(address: Any, length: Any) -> Any:
    return (address[:, 0] == 10).astype(np.uint32)


@pytest.fixture(autouse=True, scope="module")
def small_portions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "PORTION", 2)
        yield


@dataclass
class Listener:
    """A peer and what it has made of the UPDATEs."""

    held: dict[bytes, tuple[Nlri, PathAttributes]] = field(default_factory=dict)

    def hear(self, changes: Changes, again: frozenset[bytes] = frozenset()) -> None:
        """``again``: what may be said once more because its form has changed."""
        for nlri in changes.withdrawn():
            assert self.held.pop(nlri.key)
        for attributes, nlris in changes.announced():
            for nlri in nlris:
                said = self.held.get(nlri.key) == (nlri, attributes)
                assert not said or nlri.key in again, "said twice"
                self.held[nlri.key] = (nlri, attributes)


wanted = st.one_of(st.none(), st.integers(0, len(SETS) - 1))
offers = st.lists(
    st.tuples(
        st.booleans(),  # in columns or one by one
        st.sampled_from(sorted(ORIGINATIONS)),
        st.sampled_from(PREFIXES + SIX),
        wanted,
    ),
    max_size=12,
)


def columns(chosen: list[tuple[int, Prefix, int | None]], evpn: bool) -> OutRows:
    octets = np.frombuffer(b"".join(p for _, p, _ in chosen), np.uint8).reshape(len(chosen), -1)
    return OutRows(
        np.array([t for t, _, _ in chosen], np.uint32) if evpn else None,
        octets[:, :-1],
        octets[:, -1],
        np.array([NOTHING if n is None else n for _, _, n in chosen], np.int64),
    )


def say(
    out: AdjRibOut,
    batch: list[tuple[bool, int, Prefix, int | None]],
    expected: dict[bytes, tuple[Nlri, PathAttributes]],
) -> None:
    """Offer one batch; a route that is told in columns is never also told one by one."""
    evpn = out.peer.router is None
    sent = Outbound()
    final: dict[tuple[int, Prefix], tuple[bool, int | None]] = {}
    for single, table, prefix, number in batch:
        if evpn or len(prefix) == 5:
            final[table if evpn else 0, prefix] = (single, number)
    for width in (4, 16):
        rows = [
            (table, prefix, None if single else number)
            for (table, prefix), (single, number) in final.items()
            if len(prefix) == width + 1
        ]
        if rows:
            out.offer_rows(columns(rows, evpn), SETS)
    for (table, prefix), (single, number) in final.items():
        nlri: Nlri = type5(out.originations[table], prefix) if evpn else Unicast(prefix)
        attributes = None if number is None else SETS[number]
        if attributes is not None and out.peer.site and number == len(SETS) - 1:
            attributes = None
        if evpn:
            held = (nlri, attributes) if single and attributes is not None else None
            out.offer_evpn(nlri.key, held)
        else:
            made = None
            if single and attributes is not None:
                judged = policy(out.peer, Path("", nlri, attributes))
                if not isinstance(judged, Denied):
                    made = sent(out.peer, judged)
            out.offer(nlri, made)
        expected.pop(nlri.key, None)
        if attributes is not None:
            judged = policy(out.peer, Path("", nlri, attributes))
            if not isinstance(judged, Denied):
                expected[nlri.key] = (nlri, sent(out.peer, judged))


@given(
    st.sampled_from([GATEWAY, ROUTER]), st.lists(offers, max_size=6), st.booleans(), st.booleans()
)
@settings(max_examples=400, deadline=None)
def test_a_peer_holds_what_was_offered(
    peer: Peer, batches: list[Any], compact: bool, named: bool
) -> None:
    peer = replace(peer, exports=("some",))
    out = AdjRibOut(peer, policy, ORIGINATIONS, None if named and peer.router else classes)
    listener, expected = Listener(), dict[bytes, tuple[Nlri, PathAttributes]]()
    singles = frozenset[bytes]()
    for batch in batches:
        say(out, batch, expected)
        if compact:
            out._compact_at = -1
        before = singles
        changes, singles = out.take(), frozenset(out.objects)
        listener.hear(changes, before ^ singles)
        assert listener.held == expected
        assert dict(out.told) == expected
        assert out.told.by_key() == sorted(expected.items())
        assert len(out.told) == len(expected)
        assert not out.take()
    newcomer = Listener()
    for changes in whole(out):
        newcomer.hear(changes)
    assert newcomer.held == expected
    assert not whole(out, Family.IPV6_UNICAST)
    for key, reason in out.denied.items():
        assert reason is DENIED
        assert key not in expected


@given(st.sampled_from([GATEWAY, ROUTER]), offers, offers, st.sampled_from([0, 1, 2]))
@settings(max_examples=300, deadline=None)
def test_the_difference_leads_from_one_to_the_other(
    peer: Peer, first: Any, second: Any, moved: int
) -> None:
    peer = replace(peer, exports=("some",))
    after = dict(ORIGINATIONS)
    if moved == 1:  # another VNI: the same routes, said again
        after[1] = after[1]._replace(vni=77)
    elif moved == 2:  # another distinguisher: other routes
        after[1] = after[1]._replace(rd=RouteDistinguisher.parse("9:9"))
    old, new = AdjRibOut(peer, policy, ORIGINATIONS, classes), AdjRibOut(peer, policy, after)
    new.classes = classes
    listener, expected = Listener(), dict[bytes, tuple[Nlri, PathAttributes]]()
    say(old, first, {})
    listener.hear(old.take())
    say(new, second, expected)
    new.take()
    for changes in parts(difference(old, new)):
        listener.hear(changes, frozenset(old.objects.keys() ^ new.objects.keys()))
    assert listener.held == expected
    assert not difference(new, new)


def test_what_is_said_follows_no_order_of_offers() -> None:
    made = []
    rows = [(table, prefix, i % 3) for table in ORIGINATIONS for i, prefix in enumerate(PREFIXES)]
    for order in (rows, rows[::-1]):
        out = AdjRibOut(GATEWAY, policy, ORIGINATIONS)
        for row in order:
            out.offer_rows(columns([row], True), SETS)
        made.append(list(out.take().announced()))
    assert made[0] == made[1]


def test_rows_of_the_wrong_kind_are_refused() -> None:
    out = AdjRibOut(ROUTER, policy, ORIGINATIONS)
    try:
        out.offer_rows(columns([(1, PREFIXES[0], 0)], True), SETS)
    except ValueError as error:
        assert "lf-r1 is not told routes of evpn" in str(error)
    else:
        raise AssertionError("an IDC router has no EVPN")
