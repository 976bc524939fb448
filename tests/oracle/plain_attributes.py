"""Path attributes read literally: RFC 4271 §4.3 and §5, RFC 7606 §3, §4, §7, and the RFC of each.

In: the Path Attributes field. Out: into the ``Message`` go values, codes and answers.
"""

import math
import struct

from oracle.plain_values import (
    AS_CONFED_SEQUENCE,
    AS_CONFED_SET,
    AS_SEQUENCE,
    AS_SET,
    AS_TRANS,
    DISCARD,
    RESET,
    WITHDRAW,
    Malformed,
    Octets,
    TooShort,
    address_of,
    administered,
)


def read_attributes(octets, message):
    """The multiprotocol attributes as (flags, value), and whether there is anything else."""
    multiprotocol, octets, others = {}, Octets(octets), False
    while octets.left:
        code, in_sight = None, False
        try:
            flags, code = octets.number(1), octets.number(1)
            # RFC 4271 §4.3: the Extended Length bit makes the length two octets.
            length = octets.number(2 if flags & 0x10 else 1)
            in_sight = True  # §4: it is not merely too few octets for an attribute
            value = octets.take(length)
        except TooShort:
            # RFC 7606 §4: an attribute that does not fit is to be treated as withdraw, unless
            # that is a multiprotocol one: then the routes are not to be found (§3 j).
            if code in (14, 15) and in_sight:
                raise Malformed(RESET) from None
            message.answer(WITHDRAW)
            others = True
            break
        if code in (14, 15):
            if code in multiprotocol:  # RFC 7606 §3 g
                raise Malformed(RESET)
            multiprotocol[code] = (flags, value)
            continue
        others = True
        if code in message.codes:  # RFC 7606 §3 g: all but the first are discarded
            message.answer(DISCARD)
            continue
        message.codes.add(code)
        try:
            read_attribute(flags, code, value, message)
        except Malformed as found:
            message.answer(found.answer)
    return multiprotocol.get(14), multiprotocol.get(15), others


def read_attribute(flags, code, value, message):
    if code not in ATTRIBUTES:
        if not flags & 0x80:  # RFC 4271 §6.3, "Unrecognized Well-known Attribute"
            raise Malformed(RESET)
        if flags & 0x40:  # §5: passed along; if not transitive, quietly ignored
            keep(flags, code, value, message)
        return
    kind, read = ATTRIBUTES[code]
    if flags & 0xC0 != kind:  # RFC 7606 §3 c
        raise Malformed(WITHDRAW)
    read(flags, code, value, message)


def keep(flags, code, value, message):
    entry = {"flags": flags & 0xE0, "code": code, "value": value.hex()}
    message.attributes.setdefault("unknown", []).append(entry)
    message.attributes["unknown"].sort(key=lambda e: e["code"])


def items(value, size, answer=WITHDRAW):
    """RFC 7606 §7.8 and others: the length is a non-zero multiple of ``size``."""
    if not value or len(value) % size:
        raise Malformed(answer)
    return [value[i : i + size] for i in range(0, len(value), size)]


def one_number(value):
    if len(value) != 4:
        raise Malformed(WITHDRAW)
    return int.from_bytes(value, "big")


def internal_only(message):
    """RFC 7606 §7.5, §7.9, §7.10: discarded if it comes from an external neighbor."""
    if message.session.external:
        raise Malformed(DISCARD)


def origin(flags, code, value, message):
    """RFC 4271 §5.1.1, RFC 7606 §7.1."""
    if value not in (b"\0", b"\1", b"\2"):
        raise Malformed(WITHDRAW)
    message.attributes["origin"] = ["igp", "egp", "incomplete"][value[0]]


def segments_of(value, size, answer):
    """RFC 4271 §4.3, RFC 5065 §3, RFC 7606 §7.2, RFC 7607 §2."""
    found, octets = [], Octets(value)
    while octets.left:
        try:
            kind, count = octets.number(1), octets.number(1)
            members = [octets.number(size) for _ in range(count)]
        except TooShort:  # overrun, or a single octet left
            raise Malformed(answer) from None
        if kind not in (AS_SET, AS_SEQUENCE, AS_CONFED_SEQUENCE, AS_CONFED_SET):
            raise Malformed(answer)
        if count == 0 or 0 in members:
            raise Malformed(answer)
        found.append((kind, members))
    return found


def as_path(flags, code, value, message):
    path = segments_of(value, 4 if message.session.four_octet_as else 2, WITHDRAW)
    if message.session.external and any(kind >= AS_CONFED_SEQUENCE for kind, _ in path):
        raise Malformed(WITHDRAW)  # RFC 5065 §5
    message.as_path = path


def next_hop(flags, code, value, message):
    """RFC 7606 §7.3."""
    if len(value) != 4:
        raise Malformed(WITHDRAW)
    message.attributes["next-hop"] = address_of(value)


def multi_exit_disc(flags, code, value, message):
    """RFC 7606 §7.4."""
    message.attributes["med"] = one_number(value)


def local_pref(flags, code, value, message):
    """RFC 7606 §7.5."""
    internal_only(message)
    message.attributes["local-pref"] = one_number(value)


def atomic_aggregate(flags, code, value, message):
    """RFC 7606 §7.6."""
    if value:
        raise Malformed(DISCARD)
    message.attributes["atomic-aggregate"] = True


def aggregator_of(value, size):
    """RFC 7606 §7.7, RFC 7607 §2."""
    if len(value) != size + 4 or not any(value[:size]):
        raise Malformed(DISCARD)
    return int.from_bytes(value[:size], "big"), address_of(value[size:])


def aggregator(flags, code, value, message):
    message.aggregator = aggregator_of(value, 4 if message.session.four_octet_as else 2)


def communities(flags, code, value, message):
    """RFC 1997, RFC 7606 §7.8."""
    found = [f"{c[0] << 8 | c[1]}:{c[2] << 8 | c[3]}" for c in items(value, 4)]
    message.attributes["communities"] = found


def originator_id(flags, code, value, message):
    """RFC 4456 §8, RFC 7606 §7.9."""
    internal_only(message)
    one_number(value)
    message.attributes["originator-id"] = address_of(value)


def cluster_list(flags, code, value, message):
    """RFC 4456 §8, RFC 7606 §7.10."""
    internal_only(message)
    message.attributes["cluster-list"] = [address_of(c) for c in items(value, 4)]


def extended_communities(flags, code, value, message):
    """RFC 4360, RFC 7606 §7.14: unknown types are no error."""
    found = items(value, 8)
    message.attributes["extended-communities"] = [c.hex() for c in found]
    # RFC 4360 §4, RFC 5668: sub-type 2 of the types 0, 1 and 2 is a route target. A set.
    targets = {administered(c[0], c[2:]) for c in found if c[0] in (0, 1, 2) and c[1] == 2}
    if targets:
        message.attributes["route-targets"] = targets
    for first in [c for c in found if c[:2] == b"\x06\x03"][:1]:  # RFC 9135 §8.1
        message.attributes["router-mac"] = first[2:].hex(":")
    for first in [c for c in found if c[:2] == b"\x03\x0c"][:1]:  # RFC 9012 §4.1
        message.attributes["encapsulation"] = int.from_bytes(first[6:], "big")
    for first in [c for c in found if c[:2] == b"\x06\x00"][:1]:  # RFC 7432 §7.7
        mobility = {"sequence": int.from_bytes(first[4:], "big"), "sticky": bool(first[2] & 1)}
        message.attributes["mac-mobility"] = mobility
    # draft-ietf-idr-link-bandwidth §2: a float of 4 octets; what is no number of octets is no use.
    for first in [c for c in found if c[0] in (0x00, 0x40) and c[1] == 4][:1]:
        (speed,) = struct.unpack(">f", first[4:])
        if math.isfinite(speed) and 1 <= speed < 2**63:
            message.attributes["link-bandwidth"] = math.floor(speed)


def as4_path(flags, code, value, message):
    """RFC 6793 §4.1 and §6: between speakers of 4-octet AS numbers, or malformed: discarded. The
    confederation segments in it are discarded, without an error."""
    if message.session.four_octet_as or not value:
        raise Malformed(DISCARD)
    path = segments_of(value, 4, DISCARD)
    message.as4_path = [(kind, asns) for kind, asns in path if kind in (AS_SET, AS_SEQUENCE)]


def as4_aggregator(flags, code, value, message):
    """RFC 6793 §4.1 and §6."""
    if message.session.four_octet_as:
        raise Malformed(DISCARD)
    message.as4_aggregator = aggregator_of(value, 4)


def large_communities(flags, code, value, message):
    """RFC 8092 §5: repeated values are removed; §6: a non-zero multiple of 12."""
    found = []
    for c in items(value, 12):
        text = ":".join(str(int.from_bytes(c[i : i + 4], "big")) for i in (0, 4, 8))
        if text not in found:
            found.append(text)
    message.attributes["large-communities"] = found


def only_to_customer(flags, code, value, message):
    """RFC 9234 §5."""
    message.attributes["only-to-customer"] = one_number(value)


def pmsi_tunnel(flags, code, value, message):
    """RFC 6514 §5: flags, type, label; then what the type says."""
    if len(value) < 5:
        raise Malformed(WITHDRAW)
    keep(flags, code, value, message)


def tunnel_encapsulation(flags, code, value, message):
    """RFC 9012 §2 and §13: tunnels of type, length, value fill it."""
    octets = Octets(value)
    try:
        while octets.left:
            octets.take(2)
            octets.take(octets.number(2))
    except TooShort:
        raise Malformed(WITHDRAW) from None
    if not value:
        raise Malformed(WITHDRAW)
    keep(flags, code, value, message)


def ipv6_extended_communities(flags, code, value, message):
    """RFC 5701, RFC 7606 §7.15."""
    items(value, 20)
    keep(flags, code, value, message)


def attr_set(flags, code, value, message):
    """RFC 6368 §5, RFC 7606 §7.16."""
    if len(value) < 4:
        raise Malformed(WITHDRAW)
    keep(flags, code, value, message)


WELL_KNOWN, NON_TRANSITIVE, TRANSITIVE = 0x40, 0x80, 0xC0
ATTRIBUTES = {
    1: (WELL_KNOWN, origin),
    2: (WELL_KNOWN, as_path),
    3: (WELL_KNOWN, next_hop),
    4: (NON_TRANSITIVE, multi_exit_disc),
    5: (WELL_KNOWN, local_pref),
    6: (WELL_KNOWN, atomic_aggregate),
    7: (TRANSITIVE, aggregator),
    8: (TRANSITIVE, communities),
    9: (NON_TRANSITIVE, originator_id),
    10: (NON_TRANSITIVE, cluster_list),
    16: (TRANSITIVE, extended_communities),
    17: (TRANSITIVE, as4_path),
    18: (TRANSITIVE, as4_aggregator),
    22: (TRANSITIVE, pmsi_tunnel),
    23: (TRANSITIVE, tunnel_encapsulation),
    25: (TRANSITIVE, ipv6_extended_communities),
    32: (TRANSITIVE, large_communities),
    35: (TRANSITIVE, only_to_customer),
    128: (TRANSITIVE, attr_set),
}


def merge_as4(message):
    """RFC 6793 §4.2.3: what a speaker of 2-octet AS numbers has handed on beside the true path."""
    path, true = message.as_path, message.as4_path
    if message.aggregator and message.as4_aggregator:
        if message.aggregator[0] != AS_TRANS:
            true = None  # someone has aggregated who knew nothing of the AS4 attributes
        else:
            message.aggregator = message.as4_aggregator
    if path is not None and true and count(path) >= count(true):
        # "prepending ... as many AS numbers as necessary" of the leading part
        wanted, leading = count(path) - count(true), []
        for kind, members in path:
            if wanted <= 0:
                break
            if kind == AS_SEQUENCE:
                leading.append((kind, members[:wanted]))
                wanted -= len(members)
            else:
                leading.append((kind, members))
                wanted -= 1 if kind == AS_SET else 0
        message.as_path = leading + true
    if message.as_path is not None:
        message.attributes["as-path"] = path_text(message.as_path)
    if message.aggregator:
        message.attributes["aggregator"] = "{} {}".format(*message.aggregator)


def count(path):
    """RFC 4271 §9.1.2.2 a: a set counts as one; RFC 5065 §5.3: confederations do not count."""
    return sum({AS_SEQUENCE: len(members), AS_SET: 1}.get(kind, 0) for kind, members in path)


def path_text(path):
    words = []
    for kind, members in path:
        texts = [str(asn) for asn in members]
        if kind == AS_SEQUENCE:
            words += texts
        elif kind == AS_SET:
            words.append("{" + ",".join(texts) + "}")
        else:
            words.append("(" + " ".join(texts) + ")")
    return " ".join(words)
