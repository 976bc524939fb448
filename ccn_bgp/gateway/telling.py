"""What a session is told. In: a session's Adj-RIB-Out and the Rib. Out: whole BGP messages.

Everything here moves the session's Adj-RIB-Out on as if the messages had been sent; sessions.py
sends them. RFC 4271 §9.2, 2918, 4724 §3 (End-of-RIB), 7313.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Family, Prefix
from ccn_bgp.model.path import Nlri, PathAttributes
from ccn_bgp.session.encode import encode_updates, end_of_rib, route_refresh

EVPN_ROLES = ("gateway", "reflector")
"""Who hears what this gateway exports; a host hears nothing, an IDC router its CCN's routes."""


@dataclass(frozen=True, slots=True)
class ExportChanges:
    """What has changed since the peers were last told: exports by key, prefixes by table."""

    exports: tuple[tuple[bytes, tuple[Nlri, PathAttributes] | None], ...]
    routes: Mapping[str, set[Prefix]]

    @classmethod
    def of(cls, rib: Rib) -> ExportChanges:
        """In the order of the keys: the same changes make the same messages."""
        keys = sorted(rib.dirty_exports)
        return cls(tuple((key, rib.exports.get(key)) for key in keys), rib.dirty_routes)


def greeting(session: PeerSession, rib: Rib) -> bytes:
    """The first words on a new session: everything, then End-of-RIB of each family."""
    session.greeted = True
    _offer_all(session, rib)
    ends = sorted(session.families, key=lambda f: f.value)
    return _told(session) + b"".join(end_of_rib(family) for family in ends)


def news(session: PeerSession, rib: Rib, changes: ExportChanges) -> bytes:
    """What has changed, to a session that has been greeted."""
    if session.peer.role in EVPN_ROLES:
        for key, export in changes.exports:
            session.out.offer_evpn(key, export)
    elif (table := _table(session, rib)) is not None:
        for prefix in changes.routes.get(table.ccsi.name, ()):
            session.out.offer_route(prefix, table.routes.get(prefix), table.best.get(prefix))
    return _told(session)


def everything(session: PeerSession, rib: Rib) -> bytes:
    """What the session is to hold now, against what it holds: also what is no longer to be said."""
    for key in list(session.out.told):
        session.out.offer(session.out.told[key][0], None)
    _offer_all(session, rib)
    return _told(session)


def again(session: PeerSession, rib: Rib, family: Family) -> bytes:
    """Everything of one family once more, framed if the peer can tell the frame (RFC 7313)."""
    for key in [k for k, (nlri, _) in session.out.told.items() if nlri.family is family]:
        del session.out.told[key]
    _offer_all(session, rib)
    messages = _told(session)
    if session.open is not None and session.open.enhanced_refresh:
        return route_refresh(family, 1) + messages + route_refresh(family, 2)
    return messages


def _offer_all(session: PeerSession, rib: Rib) -> None:
    if session.peer.role in EVPN_ROLES:
        for key, export in rib.exports.items():
            session.out.offer_evpn(key, export)
    elif (table := _table(session, rib)) is not None:
        for prefix, route in table.routes.items():
            session.out.offer_route(prefix, route, table.best.get(prefix))


def _table(session: PeerSession, rib: Rib) -> LocRib | None:
    router = session.peer.router
    return rib.tables[f"{rib.gateway.name}/{router.ccn}"] if router is not None else None


def _told(session: PeerSession) -> bytes:
    """The messages of all that was offered, in the families of the session."""
    changes, facts = session.out.take(), session.open
    if not changes or facts is None:
        return b""
    return b"".join(
        encode_updates(
            [(a, n) for a, n in changes.announce if n[0].family in facts.families],
            [n for n in changes.withdraw if n.family in facts.families],
            asn4=facts.asn4,
            max_length=facts.max_message,
        )
    )


def pieces(messages: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    """Whole messages in pieces of about ``size`` octets: the speaker interleaves peers by piece."""
    begin = position = 0
    while position < len(messages):
        position += int.from_bytes(messages[position + 16 : position + 18], "big")
        if position - begin >= size:
            yield messages[begin:position]
            begin = position
    if begin < len(messages):
        yield messages[begin:]
