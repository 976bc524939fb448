"""What a block of messages says, read message by message and read in columns, in one form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import EvpnPrefix, Nlri, Path, PathAttributes, Unicast
from ccn_bgp.model.rows import UNICAST, PrefixRows, Vocabulary
from ccn_bgp.session.decode import Decoder, RouteRefresh, Update, Verdict
from ccn_bgp.session.decode_rows import Judged, RowDecoder

Said = tuple[Nlri, PathAttributes | None]
"""A route and its attributes, or None where it is withdrawn."""


class Heard(NamedTuple):
    """What a block says: by key in order; of updates that are not plain also the whole."""

    routes: dict[bytes, list[Said]]
    judged: list[Update | RouteRefresh]


def attribute(flags: int, code: int, value: bytes) -> bytes:
    if len(value) > 255 or flags & 0x10:
        return bytes((flags | 0x10, code)) + len(value).to_bytes(2, "big") + value
    return bytes((flags, code, len(value))) + value


def message(kind: int, body: bytes) -> bytes:
    return b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + bytes((kind,)) + body


def by_key(said: Iterable[Said], into: dict[bytes, list[Said]]) -> None:
    for nlri, attributes in said:
        shown = nlri
        if attributes is None and isinstance(nlri, EvpnPrefix):
            # Of a withdrawal the key alone counts.
            shown = nlri._replace(esi=bytes(10), gateway=None, vni=0)
        into.setdefault(bytes((len(nlri.key),)) + nlri.key, []).append((shown, attributes))


def said_by(update: Update) -> list[Said]:
    gone: list[Said] = [(nlri, None) for nlri in update.withdrawn]
    return gone + [(nlri, update.attributes) for nlri in update.announced]


def plain(update: Update) -> bool:
    """Without a fault, and of rows alone."""
    return (
        update.verdict is Verdict.OK
        and not update.errors
        and bool(update.announced or update.withdrawn)
        and all(isinstance(n, EvpnPrefix | Unicast) for n in update.announced + update.withdrawn)
    )


def by_messages(raw: bytes, decoder: Decoder) -> Heard:
    heard = Heard({}, [])
    for decoded in decoder.block(raw):
        if isinstance(decoded, Update):
            by_key(said_by(decoded), heard.routes)
            if plain(decoded):
                continue
        heard.judged.append(decoded)
    return heard


def expanded(rows: PrefixRows, vocabulary: Vocabulary) -> list[Said]:
    found: list[Said] = []
    for announced, distinguisher, address, length, body in zip(
        rows.announced.tolist(),
        rows.distinguisher.tolist(),
        rows.address,
        rows.length.tolist(),
        rows.body.tolist(),
        strict=True,
    ):
        prefix = Prefix(address.tobytes() + bytes((length,)))
        assert Prefix.of(prefix[:-1], length) == prefix
        if announced:
            path: Path = vocabulary.path("peer", distinguisher, prefix, body)
            found.append((path.nlri, path.attributes))
        elif distinguisher == UNICAST:
            assert body == 0
            found.append((Unicast(prefix), None))
        else:
            assert body == 0
            rd, etag = vocabulary.distinguishers[distinguisher]
            found.append((EvpnPrefix(rd, bytes(10), etag, prefix, None, 0), None))
    return found


def by_rows(raw: bytes, decoder: RowDecoder, vocabulary: Vocabulary) -> Heard:
    heard = Heard({}, [])
    for part in decoder.block(raw):
        if isinstance(part, PrefixRows):
            assert len(part)
            assert part.width == part.address.shape[1]
            by_key(expanded(part, vocabulary), heard.routes)
        elif isinstance(part, Judged):
            if isinstance(part.decoded, Update):
                by_key(said_by(part.decoded), heard.routes)
                if plain(part.decoded):
                    # Right, if slower than need be: routes of unknown types stand beside.
                    assert part.raw[18:19] == b"\2"
                    continue
            heard.judged.append(part.decoded)
    return heard
