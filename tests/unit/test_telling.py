"""Update groups, from the Rib to octets: what each peer makes of what it is sent."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from weakref import ref

import numpy as np
import pytest

from ccn_bgp.gateway import at_length
from ccn_bgp.gateway.at_length import TEXTS, FirstWords
from ccn_bgp.gateway.at_length import encoded as at_length_encoded
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.out_feed import RowFeed
from ccn_bgp.gateway.pacing import AHEAD, Pacing
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.gateway.telling import ExportChanges, UpdateGroups
from ccn_bgp.learn import adj_rib_out, compaction, portions
from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Family, Ip, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.outgoing import NOTHING, OutRows
from ccn_bgp.model.path import Nlri, Path, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.model.topology import Interface
from ccn_bgp.policy import changes
from ccn_bgp.session.decode import Decoder, RouteRefresh, SessionParameters, Verdict
from ccn_bgp.session.events import OpenFacts

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"
INTENT = read_intent(TOPOLOGY, "bj-gw1")
PATH = (Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),)
SETS = [PathAttributes(as_path=PATH, next_hop=Ip.parse("192.0.2.11"), med=med) for med in (1, 2)]


def facts(*families: Family, asn4: bool = True, enhanced: bool = False) -> OpenFacts:
    return OpenFacts(
        asn=Asn(64602),
        router_id=Ip.parse("10.9.9.9"),
        hold_time=90,
        asn4=asn4,
        families=frozenset(families or (Family.EVPN,)),
        route_refresh=True,
        enhanced_refresh=enhanced,
        max_message=4096,
        restart_time=None,
        restarted=False,
        restart_families=frozenset(),
        forwarding=frozenset(),
    )


class Far:
    """The other end of a session: what it holds after all that was sent."""

    def __init__(self, peer: Peer, **how: bool) -> None:
        self.session = PeerSession(peer, INTENT.export_policy)
        self.how = how
        self.up()

    def up(self) -> None:
        families = [Family.EVPN] if self.session.peer.router is None else [Family.IPV4_UNICAST]
        self.session.establish(facts(*families, **self.how), Vocabulary())
        self.held: dict[bytes, tuple[Nlri, PathAttributes | None]] = {}
        self.ends: list[Family] = []
        self.heard = b""
        self.frames: list[int] = []
        self.takes = float("inf")
        peer = self.session.peer
        self.decoder = Decoder(
            SessionParameters(
                "us", peer.local_asn, peer.asn, asn4=self.how.get("asn4", True),
                families=self.session.families,
            )
        )  # fmt: skip

    def hear(self, pieces: Iterable[bytes]) -> None:
        octets = b"".join(pieces)
        self.heard += octets
        while octets:
            size = int.from_bytes(octets[16:18], "big")
            for item in self.decoder.message(octets[:size]):
                if isinstance(item, RouteRefresh):
                    self.frames.append(item.subtype)
                    continue
                assert item.verdict is Verdict.OK, item.errors
                if item.end_of_rib is not None:
                    self.ends.append(item.end_of_rib)
                for nlri in item.withdrawn:
                    del self.held[nlri.key]
                for nlri in item.announced:
                    self.held[nlri.key] = (nlri, item.attributes)
            octets = octets[size:]

    @property
    def prefixes(self) -> set[str]:
        return {str(getattr(n, "prefix", n)) for n, _ in self.held.values()}


def gateway(name: str, rib: Rib, **how: bool) -> Far:
    return Far(replace(rib.peers["hk-gw1"], name=name), **how)


class Wire:
    """What takes the pieces to the peers, and knows how many each still takes."""

    def __init__(self, fars: Iterable[Far]) -> None:
        self.fars = {far.session.peer.name: far for far in fars}
        self.sent: list[list[str]] = []

    def send(self, peers: Sequence[Peer], messages: bytes) -> None:
        to = [peer.name for peer in peers]
        if to not in self.sent:
            self.sent.append(to)
        for name in to:
            self.fars[name].takes -= 1
            self.fars[name].hear([messages])

    def hears(self, peer: Peer) -> bool:
        return True

    def backlog(self, peer: Peer) -> int:
        return 0 if self.fars[peer.name].takes > 0 else AHEAD

    def ask_room(self, peer: Peer, octets: int) -> None:
        assert self.backlog(peer) >= octets


def tell_on(groups: UpdateGroups, rib: Rib, fars: list[Far]) -> list[list[str]]:
    """All take what they are told at length; to whom pieces went."""
    wire = Wire(fars)
    pacing = Pacing(wire, lambda session: groups.next_piece(session, rib), faulty)
    pacing.go_on(far.session for far in fars)
    return wire.sent


def faulty(session: PeerSession) -> None:
    raise AssertionError(f"{session.peer.name} is reset")


def greet(groups: UpdateGroups, rib: Rib, *fars: Far) -> None:
    for far in fars:
        groups.greet(far.session, rib)
        tell_on(groups, rib, [far])


def regroup(groups: UpdateGroups, rib: Rib, far: Far) -> list[list[str]]:
    groups.regroup(far.session, rib)
    return tell_on(groups, rib, [far])


def deal(
    groups: UpdateGroups, rib: Rib, fars: list[Far], rows: RowFeed | None = None
) -> list[list[str]]:
    """Tell all; to whom pieces went."""
    changes = ExportChanges.of(rib, rows)
    by_session = {id(f.session): f for f in fars}
    sent = []
    for sessions, piece in groups.tell([f.session for f in fars], rib, changes):
        if piece is None:
            sent.append([f"reset {s.peer.name}" for s in sessions])
            continue
        sent.append([s.peer.name for s in sessions])
        for session in sessions:
            by_session[id(session)].hear([piece])
    rib.dirty_exports, rib.dirty_routes = set(), {}
    return sent + tell_on(groups, rib, fars)


def columns(table: int, numbers: dict[str, int]) -> OutRows:
    prefixes = sorted(Prefix.parse(p) for p in numbers)
    octets = np.frombuffer(b"".join(prefixes), np.uint8).reshape(len(prefixes), -1)
    return OutRows(
        np.full(len(prefixes), table, np.uint32),
        octets[:, :-1],
        octets[:, -1],
        np.array([numbers[str(p)] for p in prefixes], np.int64),
    )


@pytest.fixture
def rib() -> Rib:
    found = new_rib(INTENT)
    found.settle()
    return found


def idc(rib: Rib, prefix: str, announced: bool = True) -> None:
    nlri = [Unicast(Prefix.parse(prefix))]
    attributes = PathAttributes(as_path=PATH, next_hop=Ip.parse("169.254.1.2"))
    rib.receive("lf-r1", nlri if announced else [], [] if announced else nlri, attributes)
    rib.settle()


def test_peers_that_are_told_the_same_are_told_once(rib: Rib) -> None:
    groups, fars = UpdateGroups(), [gateway(f"g{n}", rib) for n in range(3)]
    narrow = gateway("narrow", rib, asn4=False)
    assert deal(groups, rib, [*fars, narrow]) == [["g0", "g1", "g2"], ["narrow"]]
    assert len({id(f.session.out) for f in fars}) == 1
    assert narrow.session.out is not fars[0].session.out
    assert fars[0].prefixes >= {"10.1.0.0/16"}
    assert fars[0].ends == [Family.EVPN]
    assert narrow.held.keys() == fars[0].held.keys()
    idc(rib, "172.16.7.0/24")
    assert deal(groups, rib, [*fars, narrow]) == [["g0", "g1", "g2"], ["narrow"]]
    assert all("172.16.7.0/24" in far.prefixes for far in (*fars, narrow))
    assert deal(groups, rib, [*fars, narrow]) == []


def test_who_comes_later_is_told_what_the_others_hold_and_goes_on_with_them(rib: Rib) -> None:
    groups, first, late = UpdateGroups(), gateway("first", rib), gateway("late", rib)
    greet(groups, rib, first)
    idc(rib, "172.16.7.0/24")
    deal(groups, rib, [first])
    greet(groups, rib, late)
    assert late.held == first.held
    assert late.ends == [Family.EVPN]
    idc(rib, "172.16.7.0/24", announced=False)
    idc(rib, "172.16.8.0/24")
    assert deal(groups, rib, [first, late]) == [["first", "late"]]
    assert late.held == first.held
    assert "172.16.8.0/24" in late.prefixes and "172.16.7.0/24" not in late.prefixes


def test_first_words_are_made_once_for_all_that_come_while_nothing_changes(
    rib: Rib, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encodings(monkeypatch)
    groups, fars = UpdateGroups(), [gateway(f"g{n}", rib) for n in range(3)]
    greet(groups, rib, fars[0])
    once = len(made)
    greet(groups, rib, fars[1])
    assert len(made) == once
    assert fars[0].held == fars[1].held != {}
    idc(rib, "172.16.7.0/24")
    deal(groups, rib, fars[:2])
    greet(groups, rib, fars[2])
    assert fars[2].held == fars[1].held and "172.16.7.0/24" in fars[2].prefixes


def test_first_words_that_are_too_many_are_not_kept(
    rib: Rib, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encodings(monkeypatch)
    groups, fars = UpdateGroups(kept=100), [gateway(f"g{n}", rib) for n in range(2)]
    greet(groups, rib, fars[0])
    once = len(made)
    greet(groups, rib, fars[1])
    assert len(made) == 2 * once
    assert fars[0].heard == fars[1].heard


def test_few_texts_are_kept_however_short_what_they_say_is(rib: Rib) -> None:
    """What a text is made of is as large as the table."""
    groups, texts = UpdateGroups(), []
    for number in range(TEXTS + 9):
        far = gateway(f"g{number}", rib)
        groups.greet(far.session, rib)
        assert isinstance(far.session.telling, FirstWords)
        texts.append(ref(far.session.telling._text))
        tell_on(groups, rib, [far])
        groups._groups.clear()
    assert [text() is not None for text in texts] == [False] * 9 + [True] * TEXTS


def encodings(monkeypatch: pytest.MonkeyPatch) -> list[Changes]:
    """What is encoded from now on."""
    made: list[Changes] = []

    def encoded(changes: Changes, facts: OpenFacts) -> Iterator[bytes]:
        made.append(changes)
        return at_length_encoded(changes, facts)

    monkeypatch.setattr(at_length, "encoded", encoded)
    return made


def test_who_leaves_and_comes_back_disturbs_nobody(rib: Rib) -> None:
    groups, stays, flaps = UpdateGroups(), gateway("stays", rib), gateway("flaps", rib)
    deal(groups, rib, [stays, flaps])
    before = stays.heard
    flaps.session.end("gone")
    assert len(flaps.session.out.told) == 0
    idc(rib, "172.16.7.0/24")
    assert deal(groups, rib, [stays, flaps]) == [["stays"]]
    after = stays.heard
    assert after != before
    flaps.up()
    greet(groups, rib, flaps)
    assert stays.heard == after
    assert flaps.held == stays.held
    assert flaps.session.out is stays.session.out


def test_who_is_left_behind_is_told_later_what_has_come_of_the_news(rib: Rib) -> None:
    """It reads nothing; the others hear all. Then it hears what differs, and not what has been."""
    groups, first, lagging = UpdateGroups(), gateway("first", rib), gateway("lagging", rib)
    deal(groups, rib, [first, lagging])
    idc(rib, "172.16.1.0/24")
    deal(groups, rib, [first, lagging])
    groups.leave_behind([lagging.session])
    lagging.takes = 0
    heard = len(lagging.heard)
    for number in (2, 3, 4):
        idc(rib, f"172.16.{number}.0/24")
        assert deal(groups, rib, [first, lagging]) == [["first"]]
    for number in (1, 3):
        idc(rib, f"172.16.{number}.0/24", announced=False)
        deal(groups, rib, [first, lagging])
    assert len(lagging.heard) == heard and "172.16.1.0/24" in lagging.prefixes
    assert len(lagging.session.out.told) == len(lagging.held)  # what is shown is what it knows
    lagging.takes = 9
    assert deal(groups, rib, [first, lagging]) == [["lagging"]]
    assert lagging.held == first.held
    assert len(lagging.heard) - heard < 400  # one withdrawal, two announcements
    idc(rib, "172.16.5.0/24")
    assert deal(groups, rib, [first, lagging]) == [["first", "lagging"]]


def test_a_group_all_of_whom_are_behind_goes_on(rib: Rib) -> None:
    groups, only = UpdateGroups(), gateway("only", rib)
    deal(groups, rib, [only])
    groups.leave_behind([only.session])
    only.takes = 0
    idc(rib, "172.16.1.0/24")
    assert deal(groups, rib, [only]) == []
    only.takes = 9
    deal(groups, rib, [only])
    assert "172.16.1.0/24" in only.prefixes


@pytest.mark.parametrize(
    ("community", "inside", "outside"),
    [
        (0xFFFFFF01, True, False),  # NO_EXPORT
        (0xFFFFFF02, False, False),  # NO_ADVERTISE
        (0xFFFFFF03, True, False),  # NO_EXPORT_SUBCONFED: every external peer is outside
        (0xFFFFFF04, True, True),  # NOPEER is no business of ours
    ],
)
def test_what_a_community_forbids_to_tell_is_not_told(
    rib: Rib, community: int, inside: bool, outside: bool
) -> None:
    """RFC 1997, of single routes and of columns alike."""
    groups, far = UpdateGroups(), gateway("far", rib)
    asn = rib.peers["hk-gw1"].local_asn
    near = Far(replace(rib.peers["hk-gw1"], name="near", asn=asn))
    routes = [Unicast(Prefix.parse("172.16.1.0/24"))]
    said = PathAttributes(
        as_path=PATH, next_hop=Ip.parse("169.254.1.2"), communities=(community, 65101 << 16)
    )
    rib.receive("lf-r1", routes, [], said)
    rib.settle()
    deal(groups, rib, [far, near])
    assert ("172.16.1.0/24" in near.prefixes) is inside
    assert ("172.16.1.0/24" in far.prefixes) is outside
    for session, told in ((near, inside), (far, outside)):
        (why,) = [str(d) for d in session.session.out.denied.values()] or [""]
        assert (why == "") is told and (told or "(RFC 1997)" in why)


def test_a_refresh_is_answered_to_the_one_who_asked(rib: Rib) -> None:
    groups, asks, other = UpdateGroups(), gateway("asks", rib, enhanced=True), gateway("other", rib)
    deal(groups, rib, [asks, other])
    held, asks.held = asks.held, {}
    heard = other.heard
    groups.again(asks.session, frozenset({Family.EVPN}))
    tell_on(groups, rib, [asks])
    assert asks.held == held
    assert asks.frames == [1, 2]
    assert other.heard == heard
    groups.again(other.session, frozenset({Family.IPV6_UNICAST}))
    assert tell_on(groups, rib, [other]) == []
    assert asks.session.out is other.session.out


def test_a_router_is_alone_with_its_site_and_a_host_is_told_nothing(rib: Rib) -> None:
    router = Far(rib.peers["lf-r1"])
    other = Far(replace(rib.peers["lf-r1"], name="lf-r2", site=b"\0\3" + b"other!"))
    host = Far(replace(rib.peers["hk-gw1"], name="host", role="host"))
    groups = UpdateGroups()
    idc(rib, "172.16.7.0/24")
    deal(groups, rib, [router, other, host])
    assert router.session.out is not other.session.out
    assert "172.16.7.0/24" in other.prefixes
    assert "172.16.7.0/24" not in router.prefixes
    assert router.prefixes == other.prefixes - {"172.16.7.0/24"}
    assert (host.held, host.ends) == ({}, [Family.EVPN])


def test_a_drained_peer_has_a_group_of_its_own(rib: Rib) -> None:
    drained: set[str] = set()
    groups = UpdateGroups(lambda peer: peer.name in drained)
    goes, stays = gateway("goes", rib), gateway("stays", rib)
    deal(groups, rib, [goes, stays])
    drained.add("goes")
    goes.session.policy = lambda _, path: replace(path.attributes, communities=(0xFFFF0000,))
    heard = stays.heard
    regroup(groups, rib, goes)
    assert {a.communities for _, a in goes.held.values() if a} == {(0xFFFF0000,)}
    assert goes.held.keys() == stays.held.keys()
    drained.clear()
    goes.session.policy = INTENT.export_policy
    regroup(groups, rib, goes)
    assert goes.held == stays.held
    assert goes.session.out is stays.session.out
    assert regroup(groups, rib, goes) == []
    assert stays.heard == heard


def test_who_is_drained_while_left_behind_hears_of_both_when_it_has_read(rib: Rib) -> None:
    drained: set[str] = set()
    groups = UpdateGroups(lambda peer: peer.name in drained)
    lags, stays = gateway("lags", rib), gateway("stays", rib)
    deal(groups, rib, [lags, stays])
    groups.leave_behind([lags.session])
    lags.takes = 0
    drained.add("lags")
    lags.session.policy = lambda _, path: replace(path.attributes, communities=(0xFFFF0000,))
    heard = lags.heard
    regroup(groups, rib, lags)
    assert lags.heard == heard  # there is no room for it
    idc(rib, "172.16.7.0/24")
    deal(groups, rib, [lags, stays])
    lags.takes = 9
    deal(groups, rib, [lags, stays])
    assert "172.16.7.0/24" in lags.prefixes
    assert {a.communities for _, a in lags.held.values() if a} == {(0xFFFF0000,)}
    assert lags.held.keys() == stays.held.keys()


def test_who_is_drained_in_the_midst_of_its_first_words_counts_what_it_has_been_told(
    rib: Rib, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION", 2)
    drained: set[str] = set()
    groups = UpdateGroups(lambda peer: peer.name in drained)
    for number in range(9):
        idc(rib, f"172.16.{number}.0/24")
    far = gateway("far", rib)
    groups.greet(far.session, rib)
    far.takes = 2
    tell_on(groups, rib, [far])
    drained.add("far")
    assert regroup(groups, rib, far) == []
    heard = len(far.held)
    assert 1 < heard < 9 and heard == far.session.told_count == len(far.session.out.told)
    far.takes = 99
    tell_on(groups, rib, [far])  # there is no group that it could join yet
    assert len(far.held) == heard
    deal(groups, rib, [far])
    assert len(far.held) > 9 and far.session.told_count == len(far.held)


def test_under_a_new_rib_only_the_difference_is_said(rib: Rib) -> None:
    groups, fars = UpdateGroups(), [gateway("a", rib), gateway("b", rib)]
    idc(rib, "172.16.7.0/24")
    idc(rib, "172.16.8.0/24")
    deal(groups, rib, fars)
    for far in fars:
        far.heard = b""
    later = new_rib(INTENT)
    later.settle()
    idc(later, "172.16.8.0/24")
    assert deal(groups, later, fars) == [["a", "b"]]
    assert fars[0].held == fars[1].held
    assert "172.16.7.0/24" not in fars[0].prefixes
    assert len(fars[0].heard) < 100, "one withdrawal"
    assert [regroup(groups, later, far) for far in fars] == [[], []]


def test_columns_are_told_beside_objects(rib: Rib) -> None:
    table = rib.tables["bj-gw1/retail"].ccsi
    everything = RowFeed(SETS, [columns(table.id, {"10.50.1.0/24": 0, "10.50.2.0/24": 1})])
    groups = UpdateGroups(whole=lambda _: everything)
    far, late = gateway("far", rib), gateway("late", rib)
    deal(groups, rib, [far])
    objects = len(rib.exports)
    assert len(far.held) == objects + 2 == len(far.session.out.told)
    (nlri, attributes) = next(v for v in far.held.values() if "10.50.2.0" in str(v[0]))
    assert nlri.key[:13] == b"\x05" + table.rd + bytes(4)
    assert attributes is not None
    assert (attributes.med, attributes.as_path_text) == (2, "64601 65101")
    assert dict(far.session.out.told)[nlri.key] == (nlri, attributes)
    changed = columns(table.id, {"10.50.1.0/24": 1, "10.50.2.0/24": NOTHING, "10.50.3.0/24": 0})
    deal(groups, rib, [far], RowFeed(SETS, [changed]))
    assert {p for p in far.prefixes if p.startswith("10.50")} == {"10.50.1.0/24", "10.50.3.0/24"}
    greet(groups, rib, late)
    assert late.held == far.held


def test_a_router_hears_the_columns_of_its_table_under_its_policy(rib: Rib) -> None:
    mine, other = rib.tables["bj-gw1/retail"].ccsi.id, rib.tables["bj-gw1/finance"].ccsi.id
    low, high = sorted((mine, other))
    numbers = {"10.50.1.0/24": 0, "10.50.2.0/24": 1}
    one, two = columns(low, numbers), columns(high, {"10.60.1.0/24": 0})
    assert one.table is not None and two.table is not None
    routes = OutRows(
        np.concatenate((one.table, two.table)),
        np.concatenate((one.address, two.address)),
        np.concatenate((one.length, two.length)),
        np.concatenate((one.attributes, two.attributes)),
    )
    wanted = {"10.50.1.0/24", "10.50.2.0/24"} if mine == low else {"10.60.1.0/24"}
    router = Far(rib.peers["lf-r1"])
    groups = UpdateGroups(
        classes=lambda peer: export_classes(INTENT.policies, peer, INTENT.contexts.members)
    )
    deal(groups, rib, [router])
    before = router.prefixes
    deal(groups, rib, [router], RowFeed(SETS, routes=[routes]))
    assert router.prefixes - before == wanted
    assert {a.next_hop for _, a in router.held.values() if a} == {Ip.parse("169.254.1.1")}
    silent = Far(replace(rib.peers["lf-r1"], name="silent", exports=()))
    deal(groups, rib, [silent], RowFeed(SETS, routes=[routes]))
    deal(groups, rib, [silent], RowFeed(SETS, routes=[routes]))
    assert silent.held == {}
    held_back = {key for key in silent.session.out.denied if len(key) == 5}
    assert {Prefix.parse(p) for p in wanted} <= held_back


def test_what_the_session_does_not_carry_is_not_counted_as_told(rib: Rib) -> None:
    """A hand-off in both families, a router that negotiated one (RFC 4760 §8)."""
    peer = rib.peers["lf-r1"]
    assert peer.router is not None
    theirs, ours = (Interface(Ip.parse(f"fd00:fe::{n}"), 64) for n in (2, 1))
    both = replace(peer.router, address6=theirs, gateway_address6=ours)
    table = rib.tables["bj-gw1/retail"].ccsi.id
    rows = [columns(table, {"10.50.1.0/24": 0}), columns(table, {"fd00:50::/64": 0})]
    groups, router = UpdateGroups(), Far(replace(peer, router=both))
    deal(groups, rib, [router])
    assert any(prefix.version == 6 for prefix in rib.tables["bj-gw1/retail"].routes)
    assert router.session.out.told.keys() == router.held.keys()
    deal(groups, rib, [router], RowFeed(SETS, routes=rows))
    assert "10.50.1.0/24" in router.prefixes
    assert router.session.out.told.keys() == router.held.keys()
    assert len(router.session.out.told) == len(router.held)
    assert not [key for key in router.session.out.denied if len(key) == 17]


def test_a_fault_of_ours_costs_one_group_its_sessions(rib: Rib) -> None:
    groups, bad, good = UpdateGroups(), gateway("bad", rib, asn4=False), gateway("good", rib)
    deal(groups, rib, [bad, good])

    def broken(_: Peer, path: Path) -> PathAttributes:
        raise ZeroDivisionError(path)

    bad.session.policy = broken
    idc(rib, "172.16.7.0/24")
    assert deal(groups, rib, [bad, good]) == [["reset bad"], ["good"]]
    assert "172.16.7.0/24" in good.prefixes
    bad.session.end("reset")
    bad.session.policy = INTENT.export_policy
    bad.up()
    greet(groups, rib, bad)
    assert bad.held == good.held


def test_attributes_that_a_router_invents_are_forgotten_everywhere(
    rib: Rib, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is said with other attributes again and again: none of them stays."""
    monkeypatch.setattr(compaction, "SPARE", 100)
    monkeypatch.setattr(adj_rib_out, "_FEW", 100)
    monkeypatch.setattr(changes, "_CACHE_BOUND", 100)
    rib._compaction = compaction.Compaction()
    groups, far = UpdateGroups(), gateway("far", rib)
    deal(groups, rib, [far])
    nlri = Unicast(Prefix.parse("172.16.7.0/24"))
    before = alive()
    for number in range(1000):
        path = (Segment(SegmentType.AS_SEQUENCE, (Asn(65101), Asn(number + 1))),)
        said = PathAttributes(as_path=path, next_hop=Ip.parse("169.254.1.2"))
        rib.receive("lf-r1", [nlri], [], said)
        rib.settle()
        deal(groups, rib, [far], RowFeed(*rib.row_exports.take()))
    (told,) = [a for n, a in far.held.values() if n.key.endswith(nlri.prefix)]
    assert told is not None and told.as_path[0].asns[-1] == 1000
    far.up()  # its own decoder remembers them
    assert alive() - before < 600


def alive() -> int:
    """Attribute sets that something refers to; the collector tells of them, but none is in a
    cycle."""
    return sum(isinstance(o, PathAttributes) for o in gc.get_objects())
