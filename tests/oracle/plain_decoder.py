"""UPDATE messages read literally, RFC by RFC: slow, plain, and without a line of ccn_bgp.

In: the octets of one message and what is known of its session. Out: the object that ``ccn decode``
prints, less its ``errors``: verdict, announce, withdraw, attributes. Sections are written where
their rule is applied. Fields are read by ``Octets``, which says when they end too early.
"""

from oracle.plain_attributes import merge_as4, read_attributes
from oracle.plain_nlri import read_evpn, read_prefixes
from oracle.plain_values import (
    AS_SEQUENCE,
    DISCARD,
    FAMILIES,
    OK,
    RESET,
    WITHDRAW,
    Malformed,
    Message,
    Octets,
    TooShort,
    address_of,
    is_host,
)


def decode(octets, session):
    """Read one UPDATE message with its header."""
    try:
        return read_update(body_of(octets), session)
    except Malformed as found:
        assert found.answer == RESET
        return {"verdict": RESET, "announce": [], "withdraw": [], "attributes": {}}


def body_of(octets):
    """RFC 4271 §4.1 and §6.1: the marker is all ones; the length is that of the message and at
    least 23 for an UPDATE; every error in the header ends the session."""
    header = Octets(octets)
    try:
        marker, length, kind = header.take(16), header.number(2), header.number(1)
    except TooShort:
        raise Malformed(RESET) from None
    if marker != b"\xff" * 16 or length != len(octets) or length < 23:
        raise Malformed(RESET)
    assert kind == 2, "only UPDATE is read here"
    return Octets(header.left)


# --- the message: RFC 4271 §4.3


def read_update(body, session):
    try:
        withdrawn_routes = body.take(body.number(2))
        path_attributes = body.take(body.number(2))
    except TooShort:  # RFC 4271 §6.3, "Malformed Attribute List"
        raise Malformed(RESET) from None
    nlri = body.left

    message = Message(session)
    reach, unreach, others = read_attributes(path_attributes, message)
    merge_as4(message)
    alone = not (withdrawn_routes or nlri or reach or others)
    if alone and unreach and unreach[0] & 0xC0 == 0x80 and len(unreach[1]) == 3:
        return result(message, [])  # RFC 4724 §2: End-of-RIB, of whatever family

    # RFC 7606 §3 i: the Withdrawn Routes field is checked in the same manner as the NLRI field.
    withdrawn = read_prefixes(withdrawn_routes, 4)
    unreached = read_unreach(*unreach, message) if unreach else []
    hop, reached, mp_reachable = None, [], False
    if reach:
        hop, reached, mp_reachable = read_reach(*reach, message)
    announced = read_prefixes(nlri, 4)

    if nlri or mp_reachable:
        check_announcement(message, bool(nlri))
    elif message.verdict == WITHDRAW and (others or reach):
        # RFC 7606 §5.2: path attributes other than MP_UNREACH_NLRI, no reachable NLRI, and an
        # error that calls for treat-as-withdraw: nothing shows that the NLRI were found at all.
        raise Malformed(RESET)
    usable = message.verdict in (OK, DISCARD)

    # RFC 4271 §4.3: what stands in both lists counts as announced, so withdrawals come first.
    said = [(False, None, route) for route in withdrawn + [r for _, r in unreached if r]]
    said += [(usable, message.attributes.get("next-hop"), route) for route in announced]
    said += [(usable and good, hop, route) for good, route in reached if route]
    if not all(good for good, _ in unreached + reached):
        message.answer(WITHDRAW)  # of these routes alone; the others of the message stay
    if message.verdict == RESET:
        raise Malformed(RESET)
    return result(message, said)


def result(message, said):
    """Of a route that is announced and later in the same message refused, only the end counts."""
    announce, withdraw = [], []
    for announcing, next_hop, route in said:
        if announcing:
            announce.append(route | {"next-hop": next_hop})
        else:
            announce = [other for other in announce if key_of(other) != key_of(route)]
            withdraw.append(route)
    attributes = {}
    if announce:
        attributes = message.attributes | {"next-hop": announce[0]["next-hop"]}
    everywhere = {"verdict": message.verdict, "announce": announce, "withdraw": withdraw}
    return everywhere | {"attributes": attributes}


def key_of(route):
    """What makes a route the same route: RFC 7432 §7.1 and §7.2, RFC 9136 §3.1. Of the others it
    is everything."""
    keys = {1: ("rd", "esi", "etag"), 2: ("rd", "etag", "mac", "ip"), 5: ("rd", "etag", "prefix")}
    names = keys.get(route.get("type"), sorted(route.keys() - {"next-hop"}))
    return [route["family"], route.get("type"), *(route.get(name) for name in names)]


def check_announcement(message, classic):
    """What an UPDATE that announces must carry: RFC 7606 §3 d; RFC 4760 §3: NEXT_HOP only for the
    NLRI field."""
    for code in (1, 2, 3) if classic else (1, 2):
        if code not in message.codes:
            message.answer(WITHDRAW)
    # RFC 4271 §6.3: NEXT_HOP is the address of a host. §3 e of RFC 7606: else treat as withdraw.
    if classic and not is_host(message.attributes.get("next-hop", "192.0.2.1")):
        message.answer(WITHDRAW)
    # RFC 4271 §6.3: the leftmost AS is that of the external peer.
    session, path = message.session, message.as_path
    if session.external and session.check_first_as and path is not None:
        kind, members = path[0] if path else (None, [None])
        if kind != AS_SEQUENCE or members[0] != session.peer_as:
            message.answer(WITHDRAW)


# --- MP_REACH_NLRI and MP_UNREACH_NLRI: RFC 4760 §3 and §4


def read_reach(flags, value, message):
    """(next hop, (usable, route) of each, whether there are NLRI)."""
    octets = Octets(value)
    if len(value) < 5:
        raise Malformed(RESET)
    check_multiprotocol_flags(flags, message)
    family = (octets.number(2), octets.number(1))
    used = family in FAMILIES
    try:
        next_hop = octets.take(octets.number(1))
        octets.take(1)  # "Reserved ... MUST be ignored upon receipt"
    except TooShort:
        # RFC 7606 §7.11: the NLRI cannot be located; session reset, or disable the family, which
        # one that is not used is.
        if used:
            raise Malformed(RESET) from None
        octets.left = b""
    reachable = bool(octets.left)
    if not used:
        message.answer(DISCARD)  # RFC 4760 §7
        return None, [], reachable
    # RFC 7606 §7.11; RFC 2545 §3: a link-local address may follow the global one.
    if len(next_hop) not in {(1, 1): (4,), (2, 1): (16, 32), (25, 70): (4, 16)}[family]:
        raise Malformed(RESET)
    next_hop = address_of(next_hop[:16])
    if family == (25, 70):
        found = read_evpn(octets.left, message, announcing=True)
    else:
        found = [(True, route) for route in read_prefixes(octets.left, 4 if family[0] == 1 else 16)]
    if reachable and not is_host(next_hop):
        message.answer(WITHDRAW)
    # RFC 9136 §3.2: a type 5 with a Router's MAC that is no unicast address.
    mac = bytes.fromhex((message.router_mac or "02").replace(":", ""))
    if (mac[0] & 1 or not any(mac)) and any(u and r.get("type") == 5 for u, r in found if r):
        message.answer(WITHDRAW)
    return next_hop, found, reachable


def read_unreach(flags, value, message):
    octets = Octets(value)
    try:
        family = (octets.number(2), octets.number(1))
    except TooShort:
        raise Malformed(RESET) from None
    check_multiprotocol_flags(flags, message)
    if family not in FAMILIES:
        message.answer(DISCARD)  # RFC 4760 §7
        return []
    if family == (25, 70):
        return read_evpn(octets.left, message, announcing=False)
    return [(True, route) for route in read_prefixes(octets.left, 4 if family[0] == 1 else 16)]


def check_multiprotocol_flags(flags, message):
    """Optional, non-transitive. RFC 7606 §3 c."""
    if flags & 0xC0 != 0x80:
        message.answer(WITHDRAW)
