"""Other VMs in a Rib at work, or a Rib made with them: the same tables and announcements."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.path import EvpnMacIp, PathAttributes
from ccn_bgp.model.topology import Vm

SOURCE = Path(__file__).parents[2]
HOST = Ip.parse("198.51.100.102")
NUMBERS = st.integers(10, 13)
VMS = st.dictionaries(
    NUMBERS,
    st.tuples(st.integers(1, 2), st.sampled_from((0, 0, 3))),
    max_size=4,
)
"""Last octet of the address → (host, sequence)."""


@pytest.fixture(scope="module")
def intent(tmp_path_factory):
    file = tmp_path_factory.mktemp("topology") / "two-regions.yaml"
    text = (SOURCE / "topologies" / "two-regions.yaml").read_text()
    policies = SOURCE / "topologies" / "policies"
    host = f"{{name: host, gateway: hk-gw1, address: {HOST}, asn: 64602, role: host}}"
    text = text.replace("policies/idc.yaml", f"{policies}/idc.yaml")
    file.write_text(f"{text}\nneighbors: [{host}]\n")
    return read_intent(file, "hk-gw1")


def with_vms(intent, vms):
    topology = intent.topology
    orders = topology.vpcs["orders"]
    made = tuple(
        Vm(
            Ip(bytes((10, 2, 0, n))),
            Mac(bytes((2, 0, 0, 0, 0, n))),
            Ip(bytes((198, 51, 100, 100 + h))),
            s,
        )
        for n, (h, s) in vms.items()
    )
    vpcs = {**topology.vpcs, "orders": replace(orders, vms=made)}
    return replace(intent, topology=replace(topology, vpcs=vpcs))


def heard(intent, rib, said):
    """A host says these VMs, with these sequences."""
    orders = intent.topology.vpcs["orders"]
    target = sorted(rib.tables["hk-gw1/retail"].ccsi.import_rts)
    for number, sequence in said.items():
        mobility = b"\x06\x00\x00\x00" + sequence.to_bytes(4, "big")
        mac, ip = Mac(bytes((2, 0, 0, 0, 1, number))), Ip(bytes((10, 2, 0, number)))
        nlri = EvpnMacIp(
            rib.tables["hk-gw1/retail"].ccsi.rd, bytes(10), 0, mac, ip, orders.vni, None
        )
        communities = (*target, b"\x03\x0c\0\0\0\0\0\x08", mobility)
        attributes = PathAttributes(next_hop=HOST, extended_communities=communities)
        rib.receive("host", (nlri,), (), attributes)


def state(intent, rib):
    proved = Guard(intent, rib).prove()
    return proved.snapshot.digest, proved.snapshot.vms, dict(rib.exports), proved.findings


@settings(max_examples=60, deadline=None)
@given(before=VMS, after=VMS, said=st.dictionaries(NUMBERS, st.integers(0, 5), max_size=3))
def test_renewed_or_made_anew(intent, before, after, said):
    old, new = with_vms(intent, before), with_vms(intent, after)
    rib = Rib(old.topology, old.gateway, old.import_policy, old.claims)
    heard(old, rib, said)
    state(old, rib)
    rib.dirty_exports.clear()
    held = dict(rib.exports)
    rib.renew(new.topology, new.claims)
    fresh = Rib(new.topology, new.gateway, new.import_policy, new.claims)
    heard(new, fresh, said)
    assert state(new, rib) == state(new, fresh)
    # Peers are told exactly what differs.
    differs = {k for k in held.keys() | rib.exports.keys() if held.get(k) != rib.exports.get(k)}
    assert differs <= rib.dirty_exports
