"""Loc-RIB of one CCSI: candidates in, Routes out, one decision per prefix that changed.

In: Candidates placed and taken away by rib.py. Out: ``routes`` (resolved winners), ``best`` (what
may be re-announced), ``unresolved`` and the reason of every loser. Holds no sockets and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ccn_bgp.learn.bestpath import select, select_vm, why_not
from ccn_bgp.learn.candidate import Candidate, Source
from ccn_bgp.learn.resolve import resolve
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Nlri
from ccn_bgp.model.reason import Reason, Refused, Unresolved
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.model.topology import IdcRouter

Slot = tuple[str, bytes]
"""Who said it and which NLRI: what a withdrawal takes away."""


def owner(table: str) -> str:
    """The CCN of a table by its name, ``gateway/ccn``."""
    return table.rpartition("/")[2]


class LocRib:
    """The decisions of one CCSI. ``dirty`` are the prefixes to decide again."""

    def __init__(
        self,
        ccsi: Ccsi,
        taps: dict[str, str],
        next_table: Callable[[NextHop], str],
    ) -> None:
        self.ccsi = ccsi
        self.taps = taps
        self.next_table = next_table
        self.routers: dict[str, IdcRouter] = {r.name: r for r in ccsi.routers}
        self.candidates: dict[Prefix, dict[Slot, Candidate]] = {}
        self.vms: dict[Ip, dict[Slot, Candidate]] = {}
        self.dependents: dict[Ip, set[Prefix]] = {}
        self.routes: dict[Prefix, Route] = {}
        self.best: dict[Prefix, Candidate] = {}
        self.contenders: dict[Prefix, frozenset[tuple[str, str]]] = {}
        self.refused: dict[tuple[Prefix, Slot], Refused] = {}
        self.dirty: set[Prefix] = set()
        self.changed = True
        self.decided = 0
        """How often a prefix was decided: who remembers it sees that something was asked again."""

    def place(self, prefix: Prefix, candidate: Candidate) -> None:
        """Add or replace one candidate of a prefix."""
        slot = (candidate.path.peer, candidate.key)
        held = self.candidates.setdefault(prefix, {})
        before = held.get(slot)
        if before == candidate:
            return
        held[slot] = candidate
        if before is not None:
            old = before.path.nlri
            if isinstance(old, EvpnPrefix) and old.gateway is not None:
                self._depends_no_more(prefix, old.gateway, held)
        nlri = candidate.path.nlri
        if isinstance(nlri, EvpnPrefix) and nlri.gateway is not None:
            self.dependents.setdefault(nlri.gateway, set()).add(prefix)
        self.dirty.add(prefix)

    def remove(self, prefix: Prefix, slot: Slot) -> None:
        """Take one candidate away, if it is there."""
        held = self.candidates.get(prefix)
        gone = held.pop(slot, None) if held is not None else None
        if held is None or gone is None:
            return
        nlri = gone.path.nlri
        if isinstance(nlri, EvpnPrefix) and nlri.gateway is not None:
            self._depends_no_more(prefix, nlri.gateway, held)
        if not held:
            del self.candidates[prefix]
        self.dirty.add(prefix)

    def _depends_no_more(self, prefix: Prefix, gateway: Ip, held: dict[Slot, Candidate]) -> None:
        """Forget a gateway IP that no path of the prefix has any more: peers may invent them."""
        for other in held.values():
            nlri = other.path.nlri
            if isinstance(nlri, EvpnPrefix) and nlri.gateway == gateway:
                return
        prefixes = self.dependents[gateway]
        prefixes.discard(prefix)
        if not prefixes:
            del self.dependents[gateway]

    def decide_again(self, nlri: Nlri) -> None:
        """What ranks a path has changed, not the path."""
        if isinstance(nlri, EvpnMacIp):
            self.dirty |= self.dependents.get(nlri.ip or Ip(b""), set())
        elif not isinstance(nlri, EvpnOther):
            self.dirty.add(nlri.prefix)

    def place_vm(self, ip: Ip, candidate: Candidate) -> None:
        """Add or replace a type 2; what resolves through the address is decided again."""
        self.vms.setdefault(ip, {})[(candidate.path.peer, candidate.key)] = candidate
        self.dirty |= self.dependents.get(ip, set())

    def remove_vm(self, ip: Ip, slot: Slot) -> None:
        """Take a type 2 away."""
        held = self.vms.get(ip, {})
        if held.pop(slot, None) is not None:
            if not held:
                del self.vms[ip]
            self.dirty |= self.dependents.get(ip, set())

    def find_vm(self, ip: Ip, origin: str) -> Candidate | None:
        """The chosen type 2 of an address in the CCN of a path's origin: a share may bring the same
        address of two CCNs here."""
        ccn = owner(origin)
        held = [(c.path, c) for c in self.vms.get(ip, {}).values() if owner(c.origin) == ccn]
        return select_vm(held) if held else None

    def accused(self, prefix: Prefix, peer: str, sides: Collection[str] = ()) -> list[Slot]:
        """Which of the paths of a peer a finding is about: a reflector says the good and the bad.

        Without ``sides`` it is the row; with them, the tables that both claim the prefix, it is
        what comes from another CCN, and the row only where its rival is the CCN's own.
        """
        held = {s: c for s, c in self.candidates.get(prefix, {}).items() if s[0] == peer}
        best = self.best.get(prefix)
        row = (best.path.peer, best.key) if best is not None else None
        if not sides:
            return [row] if row is not None and row in held else sorted(held)
        own = self.ccsi.ccn
        found = [s for s, c in held.items() if c.origin in sides and owner(c.origin) != own]
        if all(owner(side) != own for side in sides):
            found = [s for s in found if s != row]
        return sorted(found or held)

    def refuse(self, prefix: Prefix, slot: Slot, refused: Refused) -> None:
        """Quarantine one path of a prefix."""
        self.refused[prefix, slot] = refused
        self.dirty.add(prefix)

    def release(self) -> None:
        """End every quarantine; the next check decides anew."""
        for prefix, _ in self.refused:
            self.dirty.add(prefix)
        self.refused.clear()

    def answer(self, candidate: Candidate) -> NextHop | Unresolved:
        """What a packet would do by this candidate."""
        peer = candidate.path.peer
        return resolve(candidate, self.find_vm, self.routers.get(peer), self.taps.get(peer, ""))

    def decide(self, prefix: Prefix) -> bool:
        """Choose and resolve one prefix again; True if what may be re-announced has changed."""
        self.decided += 1
        held = self.candidates.get(prefix)
        old_best = self.best.get(prefix)
        usable: list[Candidate] = []
        answers: dict[Slot, NextHop] = {}
        if held:
            for slot, candidate in held.items():
                if self.refused and (prefix, slot) in self.refused:
                    continue
                answer = self.answer(candidate)
                if isinstance(answer, NextHop):
                    usable.append(candidate)
                    answers[slot] = answer
        if not usable:
            if self.routes.pop(prefix, None) is not None:
                self.changed = True
            self.best.pop(prefix, None)
            self.contenders.pop(prefix, None)
            return old_best is not None
        best = select(usable)
        next_hop = answers[best.path.peer, best.key]
        route = Route(
            table=self.ccsi.name,
            prefix=prefix,
            origin=best.origin,
            next_hop=next_hop,
            next_table=self.next_table(next_hop),
            path=best.path,
        )
        old = self.routes.get(prefix)
        if old != route:
            self.routes[prefix] = route
            self.changed = True
        self._contend(prefix, best, usable)
        self.best[prefix] = best
        return old_best != best

    def _contend(self, prefix: Prefix, best: Candidate, usable: Sequence[Candidate]) -> None:
        """Keep losers that began in another CCN: `ambiguous-owner` is found from them."""
        if len(usable) == 1 and prefix not in self.contenders:
            return
        owner = best.origin.rpartition("/")[2]
        others = frozenset(
            (c.origin, c.path.peer) for c in usable if c.origin.rpartition("/")[2] != owner
        )
        if others != self.contenders.get(prefix, frozenset()):
            self.changed = True
        if others:
            self.contenders[prefix] = others
        else:
            self.contenders.pop(prefix, None)

    def reason(self, prefix: Prefix, candidate: Candidate) -> Reason | None:
        """Why a candidate is not the row, or None if it is."""
        if refused := self.refused.get((prefix, (candidate.path.peer, candidate.key))):
            return refused
        answer = self.answer(candidate)
        if isinstance(answer, Unresolved):
            return answer
        best = self.best.get(prefix)
        if best is None or best == candidate:
            return None
        usable = [
            c
            for slot, c in self.candidates.get(prefix, {}).items()
            if (prefix, slot) not in self.refused and isinstance(self.answer(c), NextHop)
        ]
        return why_not(candidate, usable)

    def declared(self, prefix: Prefix) -> Candidate | None:
        """The declared candidate that is announced whatever else is heard; blackholes are not."""
        for candidate in self.candidates.get(prefix, {}).values():
            dropped = candidate.fixed is not None and candidate.fixed.kind is Kind.DROP
            if candidate.source is Source.DECLARED and not dropped:
                return candidate
        return None

    def exportable(self, prefix: Prefix) -> Candidate | None:
        """The winner, if this CCSI may say it on: its own, an IDC's, or anything if it re-exports
        (but never what another gateway said)."""
        best = self.best.get(prefix)
        if best is None or self.routes[prefix].next_hop.kind is Kind.DROP:
            return None
        if best.source in (Source.DECLARED, Source.IDC):
            return best
        if best.source is Source.LOCAL_IMPORT and self.ccsi.reexport:
            return best
        return None
