"""Rules that no packet comes to, against trying every packet of a small world."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ccn_bgp.config.acls import unreachable_rules
from ccn_bgp.model.acl import Acl, AclRule
from ccn_bgp.model.bgp import Ip, Prefix
from tests.oracle.plain_acl import Probe, judge

ADDRESSES = [Ip((n << 30).to_bytes(4, "big")) for n in range(4)]
PORTS = (None, 1, 2, 3, 65535)
WORLD = [
    Probe(source, destination, protocol, source_port, destination_port)
    for source, destination in itertools.product(ADDRESSES[:4], ADDRESSES[:2])
    for protocol in (6, 17, 50)
    for source_port, destination_port in (
        itertools.product(PORTS, PORTS) if protocol != 50 else [(None, None)]
    )
]
"""Each corner of what the rules below tell apart; None: a later fragment, or port 0."""

prefixes = st.builds(
    lambda n, length: Prefix.of(ADDRESSES[n], length), st.integers(0, 3), st.integers(0, 2)
)
ranges = st.sampled_from([(1, 1), (2, 2), (1, 2), (2, 65535), (1, 65535)])


@st.composite
def rules(draw: st.DrawFn, name: str) -> AclRule:
    protocol = draw(st.sampled_from([None, 6, 17, 50]))
    ports = st.lists(ranges, max_size=2) if protocol in (6, 17) else st.just([])
    return AclRule(
        name,
        draw(st.sampled_from(["permit", "deny"])),
        version=4,
        source=tuple(draw(st.lists(prefixes, max_size=2))),
        destination=tuple(
            Prefix.of(p.address, min(p.length, 2)) for p in draw(st.lists(prefixes, max_size=1))
        ),
        protocol=protocol,
        source_ports=tuple(draw(ports)),
        destination_ports=tuple(draw(ports)),
    )


@given(st.data())
def test_a_rule_is_unreachable_if_no_packet_comes_to_it(data: st.DataObject) -> None:
    acl = Acl("x", tuple(data.draw(rules(f"r{n}")) for n in range(data.draw(st.integers(1, 6)))))
    topology = SimpleNamespace(acls={"x": acl}, positions={}, at=lambda *_: "t.yaml:1:1")
    world = WORLD + [p._replace(destination=d) for p in WORLD for d in ADDRESSES[2:]]
    decided = {judge(acl, probe)[1] for probe in world}
    found = {f.message.split("rule ")[1].split(":")[0] for f in unreachable_rules(topology)}
    # protocols that the world lacks are those of rules without one: 50 stands for all of them
    assert found == {r.name for r in acl.rules} - decided
