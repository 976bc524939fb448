"""Names of taps: short as they always were, distinct whatever the ports are called."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path as FilePath

from hypothesis import given
from hypothesis import strategies as st

from ccn_bgp.config.load import load_topology
from ccn_bgp.model.ccsi import tap_name, uplink_tap

TOPOLOGY = load_topology(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml")
GATEWAY = TOPOLOGY.gateways["bj-gw1"]
ROUTER = TOPOLOGY.idcs["langfang"].routers[0]


def hand_off(port: str, vlan: int | None) -> str:
    return tap_name(GATEWAY, replace(ROUTER, port=port, vlan=vlan))


def test_short_names_are_the_port_and_the_vlan() -> None:
    assert hand_off("eth2", 101) == "eth2.101t"
    assert hand_off("eth2", None) == "eth2.0t"
    assert uplink_tap("eth1") == "eth1.t"


def test_two_ports_of_one_card_have_taps_of_their_own() -> None:
    ports = [f"enp129s0f{f}np{p}" for f, p in product(range(4), range(2))]
    names = [hand_off(p, v) for p in ports for v in (None, 7, 4094)]
    names += [uplink_tap(p) for p in ports]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 15


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z0-9][a-z0-9.:_-]{0,14}", fullmatch=True),
            st.one_of(st.none(), st.integers(1, 4094)),
        ),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
def test_names_fit_and_depend_on_the_hand_off_alone(hand_offs: list) -> None:
    names = [hand_off(port, vlan) for port, vlan in hand_offs]
    assert all(len(n) <= 15 for n in names)
    assert names == [hand_off(port, vlan) for port, vlan in hand_offs]
