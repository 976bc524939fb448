"""Coverage-guided fuzzing of the decoder: any octets in; nothing raises, all it says is consistent.

    python tests/fuzz/fuzz_decode.py [CORPUS] -max_total_time=10

The first octet of an input chooses the session, the rest is a run of messages. Seeds are the golden
captures (seeds()). A crash ends the process with the input on disk, as libFuzzer does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ccn_bgp"]):
    from ccn_bgp.model.bgp import Family
    from ccn_bgp.session.decode import Decoder, RouteRefresh, SessionParameters, Verdict
    from ccn_bgp.session.encode import encode_updates

GOLDEN = Path(__file__).parents[1] / "golden"
SESSIONS = (
    SessionParameters("peer", 64602, 64601),
    SessionParameters("peer", 64600, 64600),
    SessionParameters("peer", 64602, 64601, asn4=False, enforce_first_as=False),
    SessionParameters("peer", 64602, 64601, label_is_mpls=True),
    SessionParameters("peer", 64602, 64601, families=frozenset({Family.EVPN})),
)


def seeds():
    """Every captured message, for every session."""
    for name in ("decode-tcpdump.jsonl", "decode-peers.jsonl"):
        for line in (GOLDEN / name).read_text().splitlines():
            raw = bytes.fromhex(json.loads(line)["hex"])
            for session in range(len(SESSIONS)):
                yield bytes((session,)) + raw


def one_input(data):
    """One run: decode, check what was said, encode it and decode it again."""
    session = SESSIONS[data[0] % len(SESSIONS)] if data else SESSIONS[0]
    decoder = Decoder(session)
    for said in decoder.block(data[1:]):
        if isinstance(said, RouteRefresh):
            assert said.family in session.families
            continue
        if said.verdict is Verdict.SESSION_RESET:
            assert not said.announced and not said.withdrawn
            assert said.notification is not None and said.errors
            continue
        assert bool(said.errors) == (said.verdict is not Verdict.OK)
        if said.verdict is Verdict.OK:
            assert not said.errors
        for nlri in (*said.announced, *said.withdrawn):
            assert nlri.family in session.families
        if not said.announced or session.label_is_mpls:
            continue
        assert said.attributes is not None
        if not session.asn4 or session.external != SESSIONS[0].external:
            continue
        again = Decoder(session)
        heard = [
            route
            for raw in encode_updates([(said.attributes, said.announced)], max_length=65535)
            for update in again.message(raw)
            for route in update.announced
        ]
        assert sorted(heard, key=repr) == sorted(said.announced, key=repr)


def main():
    """As libFuzzer: a corpus directory and -options."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
