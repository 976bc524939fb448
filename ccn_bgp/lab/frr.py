"""The IDC routers' software: in comes a router of the layout, out come FRR's files and commands.

Every router has a directory of its own with configuration, sockets and pid files, so that several
FRRs run on one machine and beside the system's own.
"""

from __future__ import annotations

from pathlib import Path

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.lab.layout import RouterNode
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.topology import Topology

DAEMONS = ("zebra", "bgpd")
PROGRAMS = Path("/usr/lib/frr")


def bgpd_configuration(topology: Topology, node: RouterNode) -> str:
    """The router's bgpd.conf: one eBGP session to its gateway, one ``network`` per stub.

    InputError: the password file cannot be read.
    """
    router = node.router
    peer = router.gateway_address.address
    lines = [
        f"hostname {node.name}",
        f"router bgp {router.asn}",
        f" bgp router-id {Ip(router.address.address[-4:])}",
        " no bgp ebgp-requires-policy",
        " no bgp default ipv4-unicast",
        f" neighbor {peer} remote-as {topology.gateways[router.gateway].asn}",
        f" neighbor {peer} timers connect 1",
    ]
    if router.password_file is not None:
        lines.append(f" neighbor {peer} password {_password(router.password_file)}")
    for version in (4, 6):
        if router.ends(version) is not None:
            lines += [
                f" address-family ipv{version} unicast",
                f"  neighbor {peer} activate",
                f"  neighbor {peer} soft-reconfiguration inbound",
                *(f"  network {stub}" for stub in node.stubs if stub.version == version),
                " exit-address-family",
            ]
    return "\n".join(lines) + "\n"


def command(daemon: str, directory: Path) -> list[str]:
    """The command line of a daemon, in the foreground."""
    return [
        str(PROGRAMS / daemon),
        *("--vty_socket", str(directory)),
        *("-z", str(directory / "zserv.api")),
        *("-i", str(directory / f"{daemon}.pid")),
        *("-f", str(directory / f"{daemon}.conf")),
        *("-P", "0"),
        *("--log", f"file:{directory / daemon}.log"),
    ]


def _password(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(str(path), f"password file cannot be read: {error}")) from error
