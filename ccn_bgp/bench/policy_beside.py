"""The same policy over the same routes in FRR and GoBGP.

In: routes by number, the attribute sets that they share, a policy. Out: the CPU time of each peer
with the policy and without any. They learn the routes over a session in either run, so the policy's
own share is the difference; a policy that rejects part of the routes spares them the keeping, which
is in their favour. Both must accept as many routes as ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ccn_bgp.bench.learning import timed
from ccn_bgp.bench.policy_peers import PEERS, PolicyFrr, PolicyGoBgp
from ccn_bgp.bench.policy_text import frr, gobgp
from ccn_bgp.bench.sender import ADDRESS, Sender
from ccn_bgp.model.bgp import Asn, Family, Prefix
from ccn_bgp.model.path import PathAttributes, Unicast
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.session.encode import encode_updates

PEER = Asn(65101)
OWN = 64601


class Beside(NamedTuple):
    """CPU seconds of one peer until it held all that it accepts."""

    bare: float
    with_policy: float


class Load(NamedTuple):
    """Prefixes, which of the attribute sets each has, and how many of them the policy accepts."""

    prefixes: Sequence[Prefix]
    which: Sequence[int]
    sets: Sequence[PathAttributes]
    accepted: int


def beside(
    load: Load, policies: PolicySet, names: Sequence[str], say: Callable[[str], None]
) -> dict[str, Beside]:
    """Every peer that is installed, by name. CcnError: one does not accept what ours does."""
    groups: list[list[Unicast]] = [[] for _ in load.sets]
    for prefix, number in zip(load.prefixes, load.which, strict=True):
        groups[number].append(Unicast(prefix))
    messages = b"".join(encode_updates(list(zip(load.sets, groups, strict=True))))
    words = {PolicyFrr: frr, PolicyGoBgp: gobgp}
    found = {}
    for kind in PEERS:
        if missing := kind.missing():
            say(f"{kind.name}: not measured, {missing} is not installed")
            continue
        policy = words[kind](policies, names, "reject", OWN)
        times = Beside(
            _learned(kind, "", messages, len(load.prefixes)),
            _learned(kind, policy, messages, load.accepted),
        )
        say(
            f"{kind.name}: {times.with_policy:.2f} s of CPU with the policy,"
            f" {times.bare:.2f} s without"
        )
        found[kind.name] = times
    return found


def _learned(
    kind: type[PolicyFrr] | type[PolicyGoBgp], policy: str, messages: bytes, wanted: int
) -> float:
    feeder = Sender(ADDRESS, asn=PEER, family=Family.IPV4_UNICAST)
    with feeder, kind([feeder], policy) as peer:
        feeder.establish(60, peer.dial, peer.check)
        begun = cpu(peer.pid)
        timed(
            [feeder],
            [messages],
            peer.check,
            lambda: peer.held() == wanted,
            peer.poll,
            gentle=True,
        )
        return cpu(peer.pid) - begun


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, in all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
