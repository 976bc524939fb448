"""`ccn generate`: as large as asked for, without a fault, and the same octets for the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.cli.generate import generate
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.intent import topology_findings
from ccn_bgp.model.ccsi import ccsis


@pytest.mark.parametrize(
    ("tables", "vms", "gateways"),
    [(1, 0, 1), (7, 3, 1), (300, 1000, 2), (301, 1001, 2), (400, 2000, 5), (90, 40_000, 2)],
)
def test_size_and_cleanliness(tmp_path: Path, tables: int, vms: int, gateways: int) -> None:
    file = tmp_path / "big.yaml"
    generate(file, ccsis=tables, vms=vms, gateways=gateways, seed=3)
    topology = load_topology(file)
    assert len(topology.gateways) == gateways
    assert sum(len(ccsis(topology, g)) for g in topology.gateways.values()) == tables
    assert sum(len(v.vms) for v in topology.vpcs.values()) == vms
    found = topology_findings(topology)
    assert [f.message for f in found if not f.suppressed] == []
    assert len({str(v.cidrs[0]) for v in topology.vpcs.values()}) <= 200  # addresses overlap


def test_it_has_shares_and_data_centres(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    generate(file, ccsis=400, vms=10, gateways=2, seed=1)
    topology = load_topology(file)
    assert len(topology.idcs) == 5
    assert all(len(idc.routers) == 2 for idc in topology.idcs.values())
    assert {(s.provider, s.consumer) for s in topology.shares} >= {("c50", "c49"), ("c49", "c50")}


def test_the_seed_decides_all(tmp_path: Path) -> None:
    texts = []
    for number, seed in enumerate((1, 1, 2)):
        file = tmp_path / str(number) / "big.yaml"
        file.parent.mkdir()
        generate(file, ccsis=50, vms=500, gateways=2, seed=seed)
        texts.append(file.read_bytes())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("tables", "vms", "gateways", "words"),
    [
        (200_000, 0, 2, "a CCN's id has 16 bits"),
        (70_000, 0, 1, "a CCN's id has 16 bits"),
        (1, 70_000, 1, "do not fit"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, tables: int, vms: int, gateways: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        generate(tmp_path / "x.yaml", ccsis=tables, vms=vms, gateways=gateways, seed=0)
    with pytest.raises(InputError, match="cannot be written"):
        generate(tmp_path / "none" / "x.yaml", ccsis=1, vms=0, gateways=1, seed=0)
