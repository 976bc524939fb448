"""The configuration that ExaBGP starts from.

In: the peers of one speaker process (model/ccsi.py), the passwords read from their files. Out: the
text of the file, or an InputError that lists everything ExaBGP could not serve.
"""

from __future__ import annotations

from collections.abc import Sequence

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.ccsi import Peer

RESTART_TIME = 120
"""Seconds that a peer keeps our routes after the session broke (RFC 4724 §3)."""
_FAMILIES = {"idc": ("ipv4 unicast", "ipv6 unicast")}
_EVPN = ("l2vpn evpn",)
_NOBODY = "template {\n  neighbor nobody {\n    hold-time 90;\n  }\n}\n"


def render(peers: Sequence[Peer], hold_time: int = 90, restart_time: int = RESTART_TIME) -> str:
    """The configuration file for ``peers``; times in seconds. InputError lists all problems."""
    problems: list[Problem] = []
    problems += _ambiguous(peers)
    if hold_time != 0 and not 3 <= hold_time <= 65535:
        problems.append(Problem("hold time", f"{hold_time} is not 0 or 3..65535 seconds"))
    sections = [_neighbor(p, _password(p, problems), hold_time, restart_time) for p in peers]
    if problems:
        raise InputError.of(problems)
    # ExaBGP refuses a file without any section.
    return "# Written by ccn; changes are lost.\n" + ("".join(sections) or _NOBODY)


def _neighbor(peer: Peer, password: str, hold_time: int, restart_time: int) -> str:
    lines = [
        f'description "{peer.name}";',
        f"router-id {peer.router_id};",
        f"local-address {peer.local_address};",
        f"local-as {peer.local_asn};",
        f"peer-as {peer.asn};",
        f"hold-time {hold_time};",
        # A dialling session needs no listener; a passive one has its own, which GTSM asks for.
        *(
            ("passive true;", f"listen {peer.port};")
            if peer.passive
            else ("passive false;", f"connect {peer.port};")
        ),
        *_ttl(peer),
        "adj-rib-in false;",
        "adj-rib-out true;",  # route-refresh switches it on anyway, with a warning; it stays empty
        "manual-eor true;",
        "group-updates false;",
    ]
    if peer.source_interface:
        lines.append(f'source-interface "{peer.source_interface}";')
    if password:
        lines.append(f'md5-password "{password}";')
    lines += ["capability {"]
    lines += [
        "  asn4 enable;",
        f"  graceful-restart {restart_time};",
        "  route-refresh enable;",
        "  extended-message enable;",
        "}",
        "family {",
        *(f"  {family};" for family in _FAMILIES.get(peer.role, _EVPN)),
        "}",
    ]
    body = "".join(f"  {line}\n" for line in lines)
    return f"\nneighbor {peer.address} {{\n{body}}}\n"


def _ttl(peer: Peer) -> list[str]:
    """GTSM (RFC 5082 §3): sent with 255, and dropped by the kernel below what that many hops leave.

    Only where we dial: ExaBGP sets the minimum of a listener for all peers behind it.
    """
    if peer.ttl_security is None or peer.passive:
        return []
    return ["outgoing-ttl 255;", f"incoming-ttl {256 - peer.ttl_security};"]


def _ambiguous(peers: Sequence[Peer]) -> list[Problem]:
    """Sessions that ExaBGP could not tell apart."""
    found = []
    dialled: dict[tuple[object, ...], str] = {}
    listening: dict[tuple[object, ...], str] = {}
    names: set[str] = set()
    for p in peers:
        if p.name in names:
            found.append(Problem(p.name, "two sessions have this name", "rename one"))
        names.add(p.name)
        key = (p.address, p.local_address, p.local_asn, p.asn, p.router_id)
        if other := dialled.get(key):
            found.append(
                Problem(
                    p.name,
                    f"same addresses, AS numbers and router-id as {other}",
                    "give one of them another address or local-address",
                )
            )
        dialled.setdefault(key, p.name)
        if p.passive:
            if other := listening.get((p.address, p.port)):
                found.append(
                    Problem(
                        p.name,
                        f"waits for the same address {p.address} as {other}",
                        "let one of the two dial",
                    )
                )
            listening.setdefault((p.address, p.port), p.name)
    return found


def _password(peer: Peer, problems: list[Problem]) -> str:
    """The TCP-MD5 key (RFC 2385): the first line of the file, 1..80 printable ASCII characters."""
    if peer.password_file is None:
        return ""
    try:
        lines = peer.password_file.read_text("ascii").splitlines()
    except OSError as error:
        hint = "check its path and owner"
        problems.append(Problem(f"{peer.password_file}", f"cannot read: {error.strerror}", hint))
        return ""
    except UnicodeDecodeError:
        lines = ["\0"]
    password = lines[0].rstrip() if lines else ""
    if not 1 <= len(password) <= 80 or not password.isprintable() or set(password) & set("\"'\\"):
        problems.append(
            Problem(
                f"{peer.password_file}",
                f"not a TCP-MD5 password for {peer.name}",
                "one line of 1..80 printable ASCII characters without quotes and backslashes",
            )
        )
        return ""
    return password
