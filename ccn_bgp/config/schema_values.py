"""Values of the topology file: text or a number comes in, a value of model/bgp.py goes out, or a
ValueError that says what it should have been.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PlainValidator

from ccn_bgp.model.acl import LONGEST_NAME, PROTOCOLS
from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteTarget
from ccn_bgp.model.topology import Interface
from ccn_bgp.model.vtep_sets import is_group

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")
_CPUS = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*\Z")
_PORT_NUMBER = re.compile(r"[0-9]{1,5}\Z")
_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}\Z")


def of_text(what: str, parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Takes text alone; ``what`` it should be."""

    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is not {what}")
        return parse(value)

    return check


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"'{str(value).lower() if isinstance(value, bool) else value}'"


def _name(text: str) -> str:
    if not NAME.match(text):
        raise ValueError(f"'{text[:64]}' is not a name (letters, digits, - and _, at most 63)")
    return text


def _port(text: str) -> str:
    if not _PORT.match(text):
        raise ValueError(f"'{text[:64]}' is not the name of a port (at most 15 characters)")
    return text


def rule_name(text: str) -> str:
    """The name of a rule of an access list."""
    if not NAME.match(text) or len(text) > LONGEST_NAME:
        raise ValueError(f"'{text[:64]}' is not a name (at most {LONGEST_NAME} letters, digits, -)")
    return text


def _protocol(value: Any) -> int:
    if isinstance(value, str) and value in PROTOCOLS:
        return PROTOCOLS[value]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        known = ", ".join(PROTOCOLS)
        raise ValueError(f"{_shown(value)} is not a protocol ({known}, or a number up to 255)")
    return value


def _ports(value: Any) -> tuple[int, int]:
    first, dash, last = str(value).partition("-")
    ends = (first, last if dash else first)
    if isinstance(value, bool | float) or not all(_PORT_NUMBER.match(end) for end in ends):
        raise ValueError(f"{_shown(value)} is neither a port nor a range of ports (80, 8000-8099)")
    low, high = int(ends[0]), int(ends[1])
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"{_shown(value)}: ports are 1 to 65535, the lower one first")
    return low, high


def _ipv4(text: str) -> Ip:
    ip = Ip.parse(text)
    if ip.version != 4:
        raise ValueError(f"'{text}' is not an IPv4 address")
    return ip


def _tunnel(text: str) -> Ip:
    ip = Ip.parse(text)
    if is_group(ip):
        raise ValueError(f"'{text}' is a multicast address")
    return ip


def _cpus(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, bool) or not (text == "auto" or _CPUS.match(text)):
        raise ValueError(f"{_shown(value)} is neither CPUs (2-5 or [2, 3]) nor 'auto'")
    return text


def _interface(text: str) -> Interface:
    address, slash, length = text.partition("/")
    if not slash:
        raise ValueError(f"'{text}' lacks the length of its subnet; write it as ADDRESS/LENGTH")
    ip = Ip.parse(address)
    if not length.isdecimal() or int(length) > len(ip) * 8:
        raise ValueError(f"'{text}': the length of the subnet is 0 to {len(ip) * 8}")
    return Interface(ip, int(length))


def _mac(text: str) -> Mac:
    mac = Mac.parse(text)
    if mac[0] & 1 or not any(mac):
        raise ValueError(f"'{text}' is not the MAC address of one station")
    return mac


def number(low: int, high: int) -> PlainValidator:
    """A whole number from ``low`` to ``high``; nothing is converted."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            kind = "the text " if isinstance(value, str) else ""
            raise ValueError(f"{kind}{_shown(value)} is not a whole number from {low} to {high}")
        return value

    return PlainValidator(check)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false")
    return value


def _switch(value: Any) -> bool:
    if value in ("on", "off") or isinstance(value, bool):
        return value is True or value == "on"
    raise ValueError(f"{_shown(value)} is neither on nor off")


def listed(value: Any) -> Any:
    """One value is a list of one."""
    return value if isinstance(value, list) else [value]


def absent(value: Any) -> Any:
    """``vpcs:`` with nothing after it is an empty section."""
    return {} if value is None else value


def empty(value: Any) -> Any:
    """``vms:`` with nothing after it is an empty list."""
    return [] if value is None else value


Name = Annotated[str, PlainValidator(of_text("a name", _name))]
PortName = Annotated[str, PlainValidator(of_text("the name of a port", _port))]
TunnelText = Annotated[Ip, PlainValidator(of_text("an IP address", _tunnel))]
IpText = Annotated[Ip, PlainValidator(of_text("an IP address", Ip.parse))]
Ipv4Text = Annotated[Ip, PlainValidator(of_text("an IPv4 address", _ipv4))]
PrefixText = Annotated[Prefix, PlainValidator(of_text("a prefix (address/length)", Prefix.parse))]
InterfaceText = Annotated[
    Interface, PlainValidator(of_text("an address with its subnet's length", _interface))
]
MacText = Annotated[Mac, PlainValidator(of_text("a MAC address", _mac))]
TargetText = Annotated[
    RouteTarget, PlainValidator(of_text("a route target (ASN:NUMBER)", RouteTarget.parse))
]
PathText = Annotated[str, PlainValidator(of_text("the name of a file", str))]
AsnNumber = Annotated[int, number(1, 2**32 - 1)]
FabricAsn = Annotated[int, number(1, 65535)]
VniNumber = Annotated[int, number(1, 2**24 - 1)]
VlanNumber = Annotated[int, number(1, 4094)]
TcpPort = Annotated[int, number(1, 65535)]
Mtu = Annotated[int, number(576, 65535)]
CcnId = Annotated[int, number(1, 65535)]
Count = Annotated[int, number(1, 2**32 - 1)]
WorkerCount = Annotated[int, number(1, 32)]
Megabytes = Annotated[int, number(64, 65536)]
CpuList = Annotated[str, PlainValidator(_cpus)]
Protocol = Annotated[int, PlainValidator(_protocol)]
PortRange = Annotated[tuple[int, int], PlainValidator(_ports)]
Truth = Annotated[bool, PlainValidator(_truth)]
Switch = Annotated[bool, PlainValidator(_switch)]
Hops = Annotated[int, number(1, 254)]
RestartSeconds = Annotated[int, number(1, 4095)]
Seconds = Annotated[int, number(1, 86400)]


def _hold_time(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or (value != 0 and not 3 <= value <= 65535):
        raise ValueError(f"{_shown(value)} is neither 0 nor a whole number from 3 to 65535")
    return int(value)


HoldSeconds = Annotated[int, PlainValidator(_hold_time)]
