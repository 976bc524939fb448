"""UPDATEs that are nearly alike, and nearly right: food for a decoder that reads many by example.

In: a random number generator. Out: whole messages, drawn from a few Shapes. Messages of one Shape
differ in route targets, communities, prefixes and numbers alone; an odd Shape has faults besides:
lengths that lie, attributes twice, in another order or cut off, flags that are wrong.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from oracle.heard_blocks import attribute, message

EVPN, IPV4, IPV6 = (25, 70), (1, 1), (2, 1)
KINDS = ["evpn"] * 6 + ["ipv4", "ipv6", "classic", "withdrawn", "unreachable", "both"]
TARGET_TYPES = [b"\0\2", b"\1\2", b"\2\2"]
OTHER_COMMUNITIES = [
    bytes.fromhex(text)
    for text in (
        "030c000000000008",
        "060302ccc000030b",
        "4004fc684e6e6b28",
        "0603010000000001",
        "0600000000000001",
        "0003000000000001",
        "4002fc5800000001",
        "030c000000000009",
        "0603000000000000",
        "00044e6e6b280000",
    )
]
DISTINGUISHERS = [
    bytes.fromhex(text)
    for text in (
        "0001c000030b0001",
        "0000fc5800000001",
        "00020001fc580001",
        "0003000000000000",
        "0000000000000000",
    )
]
NEXT_HOPS = [bytes.fromhex("c000030b")] * 4
NEXT_HOPS += [bytes.fromhex("2001" + "00" * 13 + "01"), bytes.fromhex("2001" + "00" * 29 + "01")]
EXTRAS = [
    (flags, code)
    for code in (4, 5, 6, 7, 9, 10, 17, 22, 25, 32, 35, 99, 128)
    for flags in (0xC0, 0x80, 0x40)
]
AS_PATHS = [
    bytes.fromhex(text)
    for text in (
        "03010000fc5a",
        "0200",
        "",
        "01010000fc5a",
        "020100000000",
        "02010000fc5a0200",
        "02010000fc5a040100000001",
        "02",
        "02010000fc5a02010000fc5a",
    )
]


@dataclass(frozen=True, slots=True)
class Shape:
    """What messages have in common. ``odd``: some of them have faults."""

    kind: str
    odd: bool
    first: bool
    """MP_REACH_NLRI stands before the other attributes (RFC 7606 section 5.1)."""
    turned: bool
    six: bool
    prefixes: int
    communities: int
    neighbour: int
    next_hop: bytes
    own_next_hop: bool
    med: bool
    target: bytes
    others: tuple[bytes, ...]
    place: int
    flags: tuple[int, int]
    extra: tuple[int, int] | None


class Updates:
    """Draws messages."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def _now(self, odds: float) -> bool:
        return self._chance.random() < odds

    def shape(self) -> Shape:
        """A new one."""
        draw = self._chance
        return Shape(
            kind=draw.choice(KINDS),
            odd=self._now(0.25),
            first=self._now(0.5),
            turned=self._now(0.3),
            six=self._now(0.2),
            prefixes=draw.randint(1, 6),
            communities=draw.randint(0, 3),
            neighbour=draw.choice([64602, 64602, 0x2FC58, 0xFC580000]),
            next_hop=draw.choice(NEXT_HOPS),
            own_next_hop=self._now(0.2),
            med=self._now(0.2),
            target=draw.choice(TARGET_TYPES),
            others=tuple(draw.sample(OTHER_COMMUNITIES, draw.randint(0, 3))),
            place=draw.randint(0, 3),
            flags=(draw.choice([0xC0, 0xC0, 0xE0, 0xD0]), draw.choice([0xC0, 0xC0, 0xE0, 0xD0])),
            extra=draw.choice([None, None, draw.choice(EXTRAS)]),
        )

    def message(self, shape: Shape) -> bytes:
        """One of that shape."""
        body = self._body(shape)
        if self._now(0.02):
            octets = bytearray(body)
            for _ in range(self._chance.choice([1, 1, 2]) if octets else 0):
                octets[self._chance.randrange(len(octets))] = self._chance.choice(
                    [0, 1, 5, 8, 14, 15, 16, 34, 58, 255, self._chance.randrange(256)]
                )
            body = bytes(octets)
        return message(2, body)

    def _body(self, shape: Shape) -> bytes:
        family = {"ipv4": IPV4, "ipv6": IPV6}.get(shape.kind, EVPN)
        reach = self._reach(shape, family)
        head = family[0].to_bytes(2, "big") + bytes((family[1],))
        gone = attribute(0x90, 15, head + self._nlri(shape, family))
        attributes = self._attributes(shape)
        if shape.kind == "withdrawn" or (shape.kind == "unreachable" and self._now(0.5)):
            attributes = []
        if shape.odd and self._now(0.1):
            self._chance.shuffle(attributes)
        if shape.odd and attributes and self._now(0.05):
            attributes.append(self._chance.choice(attributes))
        families = {"withdrawn": [], "classic": [], "unreachable": [gone]}.get(shape.kind, [reach])
        if shape.odd and self._now(0.05):
            families = [*families, self._chance.choice([reach, gone])]
        every = [*families, *attributes] if shape.first else [*attributes, *families]
        if shape.turned:
            every = every[1:] + every[:1]
        blob = b"".join(every)
        if shape.odd and self._now(0.03):
            blob = blob[: -self._chance.choice([1, 2, 9])]
        classic = b"".join(self._prefix(4) for _ in range(shape.prefixes))
        withdrawn = classic if shape.kind == "withdrawn" else b""
        announced = classic if shape.kind in ("classic", "both") else b""
        lengths = [len(part).to_bytes(2, "big") for part in (withdrawn, blob)]
        return lengths[0] + withdrawn + lengths[1] + blob + announced

    def _attributes(self, shape: Shape) -> list[bytes]:
        draw, found = self._chance, []

        def put(flags: int, code: int, value: bytes) -> None:
            if shape.odd and self._now(0.02):
                flags ^= draw.choice([0x80, 0x40, 0x20, 0x10])
            octets = attribute(flags, code, value)
            if shape.odd and self._now(0.02):
                at = 2 + bool(octets[0] & 0x10)
                lie = max(0, min(255, octets[at] + draw.choice([-8, -1, 1, 8, 100])))
                octets = octets[:at] + bytes((lie,)) + octets[at + 1 :]
            found.append(octets)

        put(0x40, 1, bytes((draw.choice([0, 0, 0, 0, 1, 2]) if self._now(0.98) else 3,)))
        path = b"\2\1" + shape.neighbour.to_bytes(4, "big")
        put(0x40, 2, draw.choice(AS_PATHS) if shape.odd and self._now(0.1) else path)
        if shape.own_next_hop or shape.kind in ("classic", "both"):
            right = self._now(0.8)
            wrong = [bytes(4), b"\x7f\0\0\1", b"\1\2\3"]
            put(0x40, 3, b"\xc0\0\2\1" if right else draw.choice(wrong))
        if shape.med:
            put(0x80, 4, bytes((0, 0, 0, draw.choice([1, 2]))))
        put(shape.flags[0], 16, self._extended(shape))
        numbers = [draw.choice([1, 2, 64602, 0, 0xFC58FC58]) for _ in range(shape.communities)]
        if numbers or self._now(0.02):
            octets = b"".join(number.to_bytes(4, "big") for number in numbers)
            put(shape.flags[1], 8, octets[:-1] if shape.odd and self._now(0.04) else octets)
        if shape.extra is not None:
            target = self._target(shape.target)
            values = [target, target * 2, bytes(4), bytes(12), b"\xfc\x58\0\1" * 2, bytes(20)]
            put(*shape.extra, draw.choice(values))
        return found

    def _target(self, kind: bytes) -> bytes:
        draw = self._chance
        numbers = bytes(draw.choice([0, 0, 1, 252]) for _ in range(4))
        return kind + draw.choice([b"\xfc\x58", b"\0\0"]) + numbers

    def _extended(self, shape: Shape) -> bytes:
        draw, found = self._chance, list(shape.others)
        kind = shape.target if self._now(0.95) else draw.choice(TARGET_TYPES)
        found.insert(min(shape.place, len(found)), self._target(kind))
        if self._now(0.04):
            found.append(self._target(draw.choice(TARGET_TYPES)))
        if self._now(0.04):
            found[draw.randrange(len(found))] = draw.choice(OTHER_COMMUNITIES)
        octets = b"".join(found)
        if shape.odd and self._now(0.05):
            return draw.choice([octets[:-1], b"", octets * 2])
        return octets

    def _reach(self, shape: Shape, family: tuple[int, int]) -> bytes:
        draw = self._chance
        hop = {IPV4: b"\xc0\0\2\1", IPV6: NEXT_HOPS[-2]}.get(family, shape.next_hop)
        if shape.odd and self._now(0.04):
            wrong = [hop[:-1], hop + b"\0", bytes(len(hop)), b"", b"\xff" * len(hop)]
            hop = draw.choice(wrong)
        head = family[0].to_bytes(2, "big") + bytes((family[1], len(hop)))
        value = head + hop + b"\0" + self._nlri(shape, family)
        if shape.odd and self._now(0.03):
            value = value[: -draw.choice([1, 5, 36])]
        flags = draw.choice([0xC0, 0x80, 0xB0]) if shape.odd and self._now(0.03) else 0x90
        return attribute(flags, 14, value)

    def _nlri(self, shape: Shape, family: tuple[int, int]) -> bytes:
        if family != EVPN:
            width = 4 if family == IPV4 else 16
            return b"".join(self._prefix(width) for _ in range(shape.prefixes))
        six = [shape.six if self._now(0.97) else not shape.six for _ in range(shape.prefixes)]
        return b"".join(self._type5(16 if wide else 4) for wide in six)

    def _prefix(self, width: int) -> bytes:
        draw = self._chance
        length = draw.choice([0, 8, 9, 24, width * 8, 23]) if self._now(0.98) else width * 8 + 1
        return bytes((length, *(draw.choice([10, 255, 0]) for _ in range((length + 7) // 8))))

    def _type5(self, width: int) -> bytes:
        draw = self._chance
        segment = bytes(10) if self._now(0.9) else bytes(9) + b"\1"
        tag = draw.choice([0, 0, 0, 1]).to_bytes(4, "big")
        length = draw.choice([24, 24, 24, width * 8, 0, 23])
        if self._now(0.01):
            length = width * 8 + 1
        address = bytes((10, draw.choice([0, 1]), draw.choice([0, 255]), draw.choice([0, 7])))
        address += bytes(draw.choice([0, 0, 9]) for _ in range(width - 4))
        gateway = bytes(width) if self._now(0.93) else bytes(width - 1) + b"\7"
        label = draw.choice([20000, 20001, 20001, 16, 5, 0]).to_bytes(3, "big")
        head = draw.choice(DISTINGUISHERS) + segment + tag + bytes((length,))
        value = head + address + gateway + label
        return bytes((5, len(value))) + value
