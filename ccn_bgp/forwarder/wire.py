"""The wire contract: in comes ``ccn_wire.cdef`` (made from dataplane/ccn_wire.h by the build), out
go NumPy dtypes, enumerations and sizes.

Octet arrays are ``('u1', (n,))`` so that NUL octets survive; integers are little-endian. Nothing of
the contract is written down twice: a field added to the header appears here by itself.
"""

from __future__ import annotations

import enum
import re
from importlib import resources
from typing import Any

import cffi
import numpy as np

from ccn_bgp.errors import CcnError, Problem

SIZED = (
    "header hello hello_ack begin commit ack nak interface vni vtep next_hop vm route ccsi counter"
    " lookup_result next_hop_group gateway_address peer vtep_set acl_rule trace trace_step"
    " source offender vtep_name"
).split()
"""The structs whose sizes HELLO compares, in its order."""


def _read() -> tuple[cffi.FFI, str]:
    try:
        text = resources.files("ccn_bgp.forwarder").joinpath("ccn_wire.cdef").read_text()
    except OSError:
        raise CcnError(
            Problem("ccn_bgp/forwarder/ccn_wire.cdef", "is missing", "run `make setup`")
        ) from None
    ffi = cffi.FFI()
    ffi.cdef(text)
    return ffi, text


_ffi, _text = _read()


def _dtype(ctype: Any) -> np.dtype[Any]:
    if ctype.kind == "primitive":
        size = _ffi.sizeof(ctype)
        return np.dtype("u1") if size == 1 else np.dtype(f"<u{size}")
    if ctype.kind == "array":
        return np.dtype((_dtype(ctype.item), (ctype.length,)))
    return np.dtype(
        {
            "names": [name for name, _ in ctype.fields],
            "formats": [_dtype(field.type) for _, field in ctype.fields],
            "offsets": [field.offset for _, field in ctype.fields],
            "itemsize": _ffi.sizeof(ctype),
        }
    )


def _struct(name: str) -> np.dtype[Any]:
    return _dtype(_ffi.typeof(f"struct ccn_{name}"))


def _number(name: str) -> int:
    value: int = getattr(_lib, name)
    return value


_lib = _ffi.dlopen(None)

VERSION = _number("CCN_WIRE_VERSION")
MAGIC = _number("CCN_WIRE_MAGIC")
MAX_MESSAGE = _number("CCN_MAX_MESSAGE")
MAX_MEMBERS = _number("CCN_MAX_MEMBERS")


class MessageType(enum.IntEnum):
    """enum ccn_message_type."""

    HELLO = _number("CCN_HELLO")
    BEGIN = _number("CCN_BEGIN")
    COMMIT = _number("CCN_COMMIT")
    DUMP = _number("CCN_DUMP")
    STATS = _number("CCN_STATS")
    LOOKUP = _number("CCN_LOOKUP")
    PREPARE = _number("CCN_PREPARE")
    TRACE = _number("CCN_TRACE")
    OFFENDERS = _number("CCN_OFFENDERS")
    HELLO_ACK = _number("CCN_HELLO_ACK")
    ACK = _number("CCN_ACK")
    NAK = _number("CCN_NAK")
    LOOKUP_RESULT = _number("CCN_LOOKUP_RESULT")
    COUNTER = _number("CCN_COUNTER")
    PORT_STATUS = _number("CCN_PORT_STATUS")
    OFFENDER = _number("CCN_OFFENDER")
    TRACE_STEP = _number("CCN_TRACE_STEP")
    INTERFACE = _number("CCN_INTERFACE")
    VNI = _number("CCN_VNI")
    VTEP = _number("CCN_VTEP")
    NEXT_HOP = _number("CCN_NEXT_HOP")
    VM = _number("CCN_VM")
    ROUTE = _number("CCN_ROUTE")
    CCSI = _number("CCN_CCSI")
    NEXT_HOP_GROUP = _number("CCN_NEXT_HOP_GROUP")
    GATEWAY_ADDRESS = _number("CCN_GATEWAY_ADDRESS")
    PEER = _number("CCN_PEER")
    VTEP_SET = _number("CCN_VTEP_SET")
    ACL_RULE = _number("CCN_ACL_RULE")
    SOURCE = _number("CCN_SOURCE")
    VTEP_NAME = _number("CCN_VTEP_NAME")


class Flag(enum.IntFlag):
    """enum ccn_message_flags."""

    NONE = 0
    DELETE = _number("CCN_DELETE")
    FULL = _number("CCN_FULL")


class NakCode(enum.IntEnum):
    """enum ccn_nak_code."""

    VERSION = _number("CCN_NAK_VERSION")
    BASE = _number("CCN_NAK_BASE")
    CRC = _number("CCN_NAK_CRC")
    SEQUENCE = _number("CCN_NAK_SEQUENCE")
    RECORD = _number("CCN_NAK_RECORD")
    MEMORY = _number("CCN_NAK_MEMORY")
    LENGTH = _number("CCN_NAK_LENGTH")
    BUSY = _number("CCN_NAK_BUSY")


class Role(enum.IntEnum):
    """enum ccn_interface_role."""

    UPLINK = _number("CCN_UPLINK")
    HAND_OFF = _number("CCN_HAND_OFF")


class VniKind(enum.IntEnum):
    """enum ccn_vni_kind."""

    VPC = _number("CCN_VNI_VPC")
    L3 = _number("CCN_VNI_L3")


class CcsiFlag(enum.IntFlag):
    """enum ccn_ccsi_flags."""

    SOURCE_OPEN = _number("CCN_SOURCE_OPEN")


class VtepFlag(enum.IntFlag):
    """enum ccn_vtep_flags."""

    REGION = _number("CCN_VTEP_REGION")
    HAND_OFF = _number("CCN_VTEP_HAND_OFF")


class SourceFlag(enum.IntFlag):
    """enum ccn_source_flags."""

    GATEWAYS = _number("CCN_SOURCE_GATEWAYS")


class NextHopKind(enum.IntEnum):
    """enum ccn_next_hop_kind."""

    DROP = _number("CCN_DROP")
    ON_LINK = _number("CCN_ON_LINK")
    VIP = _number("CCN_VIP")
    REMOTE = _number("CCN_REMOTE")
    NEIGHBOR = _number("CCN_NEIGHBOR")
    GROUP = _number("CCN_GROUP")


class AclAction(enum.IntEnum):
    """enum ccn_acl_action."""

    PERMIT = _number("CCN_ACL_PERMIT")
    DENY = _number("CCN_ACL_DENY")


class TraceKind(enum.IntEnum):
    """enum ccn_trace_kind."""

    RECEIVED = _number("CCN_TRACE_RECEIVED")
    CLASSIFIED = _number("CCN_TRACE_CLASSIFIED")
    SOURCE = _number("CCN_TRACE_SOURCE")
    ACL = _number("CCN_TRACE_ACL")
    ROUTE = _number("CCN_TRACE_ROUTE")
    NEXT_HOP = _number("CCN_TRACE_NEXT_HOP")
    MEMBER = _number("CCN_TRACE_MEMBER")
    VM = _number("CCN_TRACE_VM")
    ADJACENCY = _number("CCN_TRACE_ADJACENCY")
    SENT = _number("CCN_TRACE_SENT")
    DROPPED = _number("CCN_TRACE_DROPPED")
    PUNTED = _number("CCN_TRACE_PUNTED")


HEADER = _struct("header")
HELLO = _struct("hello")
HELLO_ACK = _struct("hello_ack")
BEGIN = _struct("begin")
COMMIT = _struct("commit")
ACK = _struct("ack")
NAK = _struct("nak")
INTERFACE = _struct("interface")
VNI = _struct("vni")
VTEP = _struct("vtep")
NEXT_HOP = _struct("next_hop")
NEXT_HOP_GROUP = _struct("next_hop_group")
GATEWAY_ADDRESS = _struct("gateway_address")
PEER = _struct("peer")
VTEP_NAME = _struct("vtep_name")
VTEP_SET = _struct("vtep_set")
ACL_RULE = _struct("acl_rule")
TRACE = _struct("trace")
TRACE_STEP = _struct("trace_step")
SOURCE = _struct("source")
VM = _struct("vm")
ROUTE = _struct("route")
CCSI = _struct("ccsi")
COUNTER = _struct("counter")
PORT_STATUS = _struct("port_status")
OFFENDER = _struct("offender")
OFFENDERS = _struct("offenders")
LOOKUP = _struct("lookup")
LOOKUP_RESULT = _struct("lookup_result")

SIZES = tuple(_struct(name).itemsize for name in SIZED) + (0,) * (
    HELLO["sizes"].shape[0] - len(SIZED)
)
"""What HELLO.sizes must hold."""

RECORDS: dict[MessageType, np.dtype[Any]] = {
    MessageType.INTERFACE: INTERFACE,
    MessageType.CCSI: CCSI,
    MessageType.ACL_RULE: ACL_RULE,
    MessageType.VNI: VNI,
    MessageType.VTEP_NAME: VTEP_NAME,
    MessageType.VTEP: VTEP,
    MessageType.GATEWAY_ADDRESS: GATEWAY_ADDRESS,
    MessageType.PEER: PEER,
    MessageType.NEXT_HOP: NEXT_HOP,
    MessageType.NEXT_HOP_GROUP: NEXT_HOP_GROUP,
    MessageType.VTEP_SET: VTEP_SET,
    MessageType.VM: VM,
    MessageType.ROUTE: ROUTE,
    MessageType.SOURCE: SOURCE,
}
"""The dtype of each record of a transaction, in the order of DUMP."""

ANSWERS: dict[MessageType, np.dtype[Any]] = {
    **RECORDS,
    MessageType.HELLO_ACK: HELLO_ACK,
    MessageType.ACK: ACK,
    MessageType.NAK: NAK,
    MessageType.LOOKUP_RESULT: LOOKUP_RESULT,
    MessageType.COUNTER: COUNTER,
    MessageType.PORT_STATUS: PORT_STATUS,
    MessageType.OFFENDER: OFFENDER,
    MessageType.TRACE_STEP: TRACE_STEP,
}
"""The dtype of whatever the forwarder may send."""


def octets(text: bytes, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """``text`` padded with NULs to ``size`` octets, for one octet-array field.

    ValueError if it is longer.
    """
    if len(text) > size:
        raise ValueError(f"{text!r} has more than {size} octets")
    return np.frombuffer(text.ljust(size, b"\0"), dtype=np.uint8)


def text_of(field: np.ndarray[Any, Any]) -> str:
    """The text in a NUL-padded octet-array field."""
    return field.tobytes().rstrip(b"\0").decode("utf-8", "replace")


def missing_constants() -> frozenset[str]:
    """Names of enumerators in the header that no enumeration here has: empty, or a test fails."""
    declared = set(re.findall(r"\b(CCN_[A-Z0-9_]+)\s*=", _text))
    read = {
        f"{prefix}{member.name}"
        for prefix, kind in (
            ("CCN_", MessageType),
            ("CCN_", Flag),
            ("CCN_NAK_", NakCode),
            ("CCN_", Role),
            ("CCN_VNI_", VniKind),
            ("CCN_", CcsiFlag),
            ("CCN_VTEP_", VtepFlag),
            ("CCN_SOURCE_", SourceFlag),
            ("CCN_", NextHopKind),
            ("CCN_ACL_", AclAction),
            ("CCN_TRACE_", TraceKind),
        )
        for member in kind
    }
    limits = {"CCN_WIRE_VERSION", "CCN_WIRE_MAGIC", "CCN_MAX_MESSAGE", "CCN_MAX_MEMBERS"}
    return frozenset(declared - read - limits)
