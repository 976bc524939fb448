"""What a speaker tells the gateway, in the order in which it happened.

In: frames of the child (channel.py). Out: values; ``Block`` carries the messages of the hot path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccn_bgp.model.bgp import Asn, Family, Ip


@dataclass(frozen=True, slots=True)
class OpenFacts:
    """What the two OPENs agreed on (RFC 4271 §4.2, 4724, 4760, 6793, 7313, 8654).

    ``hold_time`` in seconds and ``families`` are the negotiated ones. ``restart_time`` is None if
    the peer has no graceful restart; ``restarted`` is its R bit, ``restart_families`` the families
    it named and ``forwarding`` those of them with the F bit.
    """

    asn: Asn
    router_id: Ip
    hold_time: int
    asn4: bool
    families: frozenset[Family]
    route_refresh: bool
    enhanced_refresh: bool
    max_message: int
    restart_time: int | None
    restarted: bool
    restart_families: frozenset[Family]
    forwarding: frozenset[Family]

    @property
    def extended_message(self) -> bool:
        """True if messages of up to 65535 octets may be sent."""
        return self.max_message > 4096

    @classmethod
    def of(cls, facts: dict[str, Any]) -> OpenFacts:
        """From the launcher's JSON (launcher.open_facts)."""
        restart = facts.get("restart") or {}
        return cls(
            asn=Asn(facts["asn"]),
            router_id=Ip.parse(facts["router-id"]),
            hold_time=facts["hold-time"],
            asn4=facts["asn4"],
            families=_families(facts["families"]),
            route_refresh=facts["route-refresh"],
            enhanced_refresh=facts["enhanced-refresh"],
            max_message=facts["max-message"],
            restart_time=restart.get("time"),
            restarted=restart.get("restarted", False),
            restart_families=_families(restart.get("families", ())),
            forwarding=_families(restart.get("forwarding", ())),
        )


CHILD_DOWN = "the speaker is down"
"""The reason of a SessionDown that the peer is not to blame for."""


@dataclass(frozen=True, slots=True)
class SessionUp:
    """Established. Everything that is to be known to the peer must be sent again."""

    peer: str
    open_received: OpenFacts


@dataclass(frozen=True, slots=True)
class SessionDown:
    """The session ended; what was being sent is lost."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A connection ended before it was a session. Said again at most once a minute."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """Whole UPDATE and ROUTE-REFRESH messages of one session, in the order of arrival."""

    peer: str
    messages: bytes


@dataclass(frozen=True, slots=True)
class Room:
    """The peer has taken so much of what was sent to it that there is room for more, as was asked
    for (``Speaker.ask_room``)."""

    peer: str


@dataclass(frozen=True, slots=True)
class SpeakerUp:
    """The child runs and has its configuration."""


@dataclass(frozen=True, slots=True)
class SpeakerDown:
    """The child is gone; a SessionDown for each of its sessions came before."""

    reason: str


Event = SessionUp | SessionDown | AttemptFailed | Block | Room | SpeakerUp | SpeakerDown


def _families(pairs: Sequence[Sequence[int]]) -> frozenset[Family]:
    known = {f.value: f for f in Family}
    return frozenset(known[key] for p in pairs if (key := (p[0], p[1])) in known)
