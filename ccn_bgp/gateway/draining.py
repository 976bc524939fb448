"""Draining of peers (RFC 8326): traffic leaves a session before the session ends.

In: which peers are drained, as declared and as the operator says. Out: what that makes of the
attributes heard from a peer and told to it. No route is lost by it: what has no other way stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ccn_bgp.model.ccsi import Peer, peers
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.topology import Gateway, Topology

GRACEFUL_SHUTDOWN = 0xFFFF0000
"""The well-known community 65535:0 (RFC 8326 §3)."""
LEAST = 0
"""The local preference of what is to be left: lower than any other."""
_REMEMBERED = 1 << 14


class Drain:
    """The drained peers of one gateway. Equal attributes stay one object: grouping is by it."""

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self.names = names
        self._made: dict[tuple[int, int], tuple[PathAttributes, PathAttributes]] = {}

    def heard(self, peer: Peer, attributes: PathAttributes) -> PathAttributes:
        """After import policy: the least preferred, if the peer is drained or says that it goes.

        A drained peer's routes also carry the community on, so that the other gateways, to which
        an eBGP session tells no local preference, leave them as well (§4.2).
        """
        if peer.name in self.names:
            return self._once(attributes, _marked)
        if peer.external and GRACEFUL_SHUTDOWN in attributes.communities:
            return self._once(attributes, _least)
        return attributes

    def told(self, peer: Peer, attributes: PathAttributes) -> PathAttributes:
        """After export policy: a drained peer is asked to send its traffic elsewhere (§4.2)."""
        return self._once(attributes, _marked) if peer.name in self.names else attributes

    def reason(self, peer: Peer, attributes: PathAttributes) -> str:
        """Why a path of this peer is preferred least, for ``ccn explain``; empty if it is not."""
        if peer.name in self.names:
            return f"neighbor {peer.name} is being drained (RFC 8326): local-pref {LEAST}"
        if peer.external and GRACEFUL_SHUTDOWN in attributes.communities:
            return f"it carries GRACEFUL_SHUTDOWN (RFC 8326): local-pref {LEAST}"
        return ""

    def _once(
        self, attributes: PathAttributes, make: Callable[[PathAttributes], PathAttributes]
    ) -> PathAttributes:
        key = (id(attributes), id(make))
        found = self._made.get(key)
        if found is None or found[0] is not attributes:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()  # a peer may invent attributes for ever
            found = self._made[key] = (attributes, make(attributes))
        return found[1]


def _least(attributes: PathAttributes) -> PathAttributes:
    return replace(attributes, local_pref=LEAST)


def _marked(attributes: PathAttributes) -> PathAttributes:
    others = (c for c in attributes.communities if c != GRACEFUL_SHUTDOWN)
    return replace(attributes, local_pref=LEAST, communities=(*others, GRACEFUL_SHUTDOWN))


def declared(topology: Topology, gateway: Gateway) -> frozenset[str]:
    """The peers with ``drained: true`` in the file."""
    return frozenset(p.name for p in peers(topology, gateway) if p.drained)


def carried(
    names: frozenset[str], before: frozenset[str], now: frozenset[str], known: frozenset[str]
) -> frozenset[str]:
    """Who is drained after a reload: the operator's word stands until the file says otherwise.

    ``names`` were drained, ``before`` and ``now`` are declared so by the old and the new file,
    ``known`` are the peers that there still are.
    """
    asked, spared = names - before, before - names
    return ((now - spared) | asked) & known
