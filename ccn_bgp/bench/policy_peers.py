"""FRR's bgpd and GoBGP behind an import policy of theirs, and what they make of routes.

In: the Senders that announce, the policy in their language, and perhaps a Sender that is told what
was accepted, over iBGP, with all its attributes. Out: running daemons; Paths by prefix.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence

from ccn_bgp.bench.learners import (
    BGPD,
    FRR,
    FRR_MAPS,
    FRR_NEIGHBOR,
    GOBGP,
    GOBGP_FAMILY,
    GOBGP_NEIGHBOR,
    GOBGP_SILENCE,
    Frr,
    GoBgp,
)
from ccn_bgp.bench.policy_text import MAP
from ccn_bgp.bench.sender import Sender
from ccn_bgp.bench.sites import GATEWAY_ASN
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Family, Prefix
from ccn_bgp.model.path import PathAttributes, Unicast
from ccn_bgp.session.decode import Decoder, SessionParameters, Update

_FRR_READER = """\
 neighbor {address} remote-as {asn}
 neighbor {address} port {port}
 neighbor {address} timers connect 1
 neighbor {address} advertisement-interval 0
 address-family ipv4 unicast
  neighbor {address} activate
  neighbor {address} route-map nothing in
  neighbor {address} route-map everything out
 exit-address-family
"""
_FRR_IMPORT = """\
 address-family ipv4 unicast
  neighbor {address} route-map {map} in
 exit-address-family
"""
_GOBGP_READER = """\
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{address}"
    peer-as = {asn}
  [neighbors.transport.config]
    passive-mode = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
"""
QUIET = 2.0
"""Seconds without an octet after which nothing more is waited for."""


class PolicyFrr(Frr):
    """bgpd whose neighbors' routes pass the route-map MAP; "" is no policy."""

    def __init__(
        self, sessions: Sequence[Sender], policy: str, reader: Sender | None = None
    ) -> None:
        super().__init__(sessions)
        self.policy, self.reader = policy, reader

    def command(self) -> list[str]:
        """Write bgpd.conf; its command line."""
        file = self.directory / "bgpd.conf"
        # maps that are read behind a neighbor take effect five seconds later
        lines = [self.policy, FRR_MAPS.removeprefix("exit\n"), "exit\n"]
        lines.append(FRR.format(asn=GATEWAY_ASN))
        for s in self.sessions:
            words = {"address": s.address, "asn": s.asn, "port": s.port, "says": "nothing"}
            lines.append(FRR_NEIGHBOR.format(**words, family="ipv4 unicast"))
            if self.policy:
                lines.append(_FRR_IMPORT.format(address=s.address, map=MAP))
        if (r := self.reader) is not None:
            lines.append(_FRR_READER.format(address=r.address, asn=r.asn, port=r.port))
        file.write_text("".join(lines))
        for path in (self.directory, file):
            shutil.chown(path, "frr", "frr")
        command = [str(BGPD), "--no_zebra", "-p", "0", "-P", "0"]
        command += ["--vty_socket", str(self.directory), "-i", str(self.directory / "bgpd.pid")]
        return [*command, "-f", str(file)]

    def ask(self, words: str) -> str:
        """What it answers to one command."""
        return self._ask(words)


class PolicyGoBgp(GoBgp):
    """gobgpd whose neighbors' routes pass a global import policy; "" is no policy."""

    def __init__(
        self, sessions: Sequence[Sender], policy: str, reader: Sender | None = None
    ) -> None:
        super().__init__(sessions)
        self.policy, self.reader = policy, reader

    def command(self) -> list[str]:
        """Write its configuration; its command line."""
        command = super().command()
        lines = [GOBGP.format(asn=GATEWAY_ASN, listen=self.dial)]
        policy = self.policy
        if self.reader is None and policy:
            silence = GOBGP_SILENCE.splitlines()[-1]
            policy = policy.replace("\n", f"\n{silence.strip()}\n", 1)
        elif self.reader is None:
            policy = GOBGP_SILENCE
        lines.append(policy)
        lines += self._each(GOBGP_NEIGHBOR, GOBGP_FAMILY)
        if (r := self.reader) is not None:
            lines.append(_GOBGP_READER.format(address=r.address, asn=r.asn))
        (self.directory / "gobgpd.toml").write_text("\n".join(lines))
        return command


PEERS: tuple[type[PolicyFrr] | type[PolicyGoBgp], ...] = (PolicyFrr, PolicyGoBgp)


def accepted(reader: Sender, wanted: int, timeout: float = 60.0) -> Mapping[Prefix, PathAttributes]:
    """What a reader holds: as soon as those are ``wanted`` many, or nothing more comes. CcnError
    if its session has ended, or after ``timeout`` seconds."""
    assert reader.heard is not None
    parameters = SessionParameters(
        "peer", GATEWAY_ASN, GATEWAY_ASN, families=frozenset({Family.IPV4_UNICAST})
    )
    decoder = Decoder(parameters)
    found: dict[Prefix, PathAttributes] = {}
    rest, read = b"", 0
    begun = last = time.monotonic()
    while time.monotonic() - last < (QUIET if len(found) != wanted else QUIET / 4):
        if reader.fault or time.monotonic() - begun > timeout:
            raise CcnError(Problem("bench reader", reader.fault or "no end of routes"))
        new = reader.heard[read:]
        read += len(new)
        if not new:
            time.sleep(0.02)
            continue
        last = time.monotonic()
        messages, rest = _whole(rest + b"".join(octets for _, octets in new))
        for update in decoder.block(messages):
            if not isinstance(update, Update):
                continue
            for nlri in update.withdrawn:
                if isinstance(nlri, Unicast):
                    found.pop(nlri.prefix, None)
            for nlri in update.announced:
                if isinstance(nlri, Unicast) and update.attributes is not None:
                    found[nlri.prefix] = update.attributes
    return found


def _whole(octets: bytes) -> tuple[bytes, bytes]:
    """Whole messages, and what is left behind them."""
    position, end = 0, len(octets)
    while position + 19 <= end:
        length = max(octets[position + 16] << 8 | octets[position + 17], 19)
        if position + length > end:
            break
        position += length
    return octets[:position], octets[position:]
