"""What a decoded message says: Update and RouteRefresh, and how parsed fields become Updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from ccn_bgp.model.bgp import Family
from ccn_bgp.model.path import Nlri, PathAttributes
from ccn_bgp.model.reason import Malformed
from ccn_bgp.session.decode_faults import Fault, Verdict
from ccn_bgp.session.nlri import ParsedNlri


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE, judged; withdrawals count before announcements.

    ``announced`` holds usable routes only, all with ``attributes``; ``withdrawn`` also those that
    are treated as withdrawn. At a session reset both are empty and ``notification`` is the (code,
    subcode) to send. The verdict is that of the whole message: a malformed EVPN route makes it
    treat-as-withdraw, while the other routes of its message stay announced.
    """

    verdict: Verdict
    announced: tuple[Nlri, ...] = ()
    withdrawn: tuple[Nlri, ...] = ()
    attributes: PathAttributes | None = None
    errors: tuple[Malformed, ...] = ()
    end_of_rib: Family | None = None
    notification: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """ROUTE-REFRESH; ``subtype`` 0 asks for the routes (RFC 2918), 1 and 2 mark the beginning and
    the end of an answer (RFC 7313)."""

    family: Family
    subtype: int


Decoded = Update | RouteRefresh


def usable_update(
    verdict: Verdict,
    errors: tuple[Malformed, ...],
    fields: tuple[ParsedNlri, ...],
    classic_attributes: PathAttributes,
    shared: PathAttributes,
) -> tuple[Update, ...]:
    """The attributes are good; routes that are wrong by themselves are withdrawn."""
    before, gone, classic, nlri = fields
    taken = (*before.usable, *gone.usable, *gone.unusable, *nlri.unusable)
    if not nlri.usable:
        attributes = classic_attributes if classic.usable else None
        return (Update(verdict, tuple(classic.usable), taken, attributes, errors),)
    if not classic.usable:
        return (Update(verdict, tuple(nlri.usable), taken, shared, errors),)
    return (
        Update(verdict, tuple(classic.usable), taken, classic_attributes, errors),
        Update(verdict, tuple(nlri.usable), (), shared, errors),
    )


def withdrawn_update(
    verdict: Verdict, errors: tuple[Malformed, ...], fields: tuple[ParsedNlri, ...]
) -> Update:
    """No route of the message is usable."""
    routes = dict.fromkeys(chain.from_iterable((*f.usable, *f.unusable) for f in fields))
    return Update(verdict, (), tuple(routes), None, errors)


def reset_update(faults: Sequence[Fault]) -> Update:
    """The first fault that demands the reset also names its NOTIFICATION."""
    first = next(f for f in faults if f.verdict is Verdict.SESSION_RESET)
    return Update(
        Verdict.SESSION_RESET,
        errors=tuple(f.reason for f in faults),
        notification=first.notification,
    )
