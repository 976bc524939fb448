"""Every reason for a drop is explained to operators, and they see whom it hit."""

from __future__ import annotations

import re
from pathlib import Path
from pathlib import Path as FilePath
from types import SimpleNamespace

from ccn_bgp.config.load import load_topology
from ccn_bgp.forwarder.answers import Counter, Offender
from ccn_bgp.forwarder.drops import DROPS
from ccn_bgp.gateway.configuration import Configuration
from ccn_bgp.gateway.counter_views import counters_json
from ccn_bgp.model.bgp import Ip
from ccn_bgp.observe.render import draw

ROOT = Path(__file__).parents[2]


def test_every_reason_is_explained() -> None:
    header = (ROOT / "dataplane" / "stats.h").read_text()
    reasons = header.partition("#define DROP_REASONS")[2].partition("enum drop_reason")[0]
    named = re.findall(r'X\(DROP_\w+,[\s\\]*"([a-z-]+)"\)', reasons)
    assert len(named) == len(re.findall(r"X\(DROP_", reasons)) and list(DROPS) == named
    assert all(drop.means and drop.do for drop in DROPS.values())


def test_what_show_counters_says(capsys) -> None:
    topology = load_topology(ROOT / "topologies" / "two-regions.yaml")
    name = next(iter(topology.gateways))
    ccn = next(iter(sorted(topology.ccns)))
    hit = Offender(
        "source-no-vm", False, 1.5, "eth1", 10001, Ip.parse("192.0.2.101"), 0,
        Ip.parse("8.8.8.8"), Ip.parse("10.2.0.10"),
    )  # fmt: skip
    runt = Offender("runt", True, 2.5, "eth2", 0, None, 7, None, None)
    gateway = SimpleNamespace(
        name=name,
        intent=SimpleNamespace(topology=topology, gateway=topology.gateways[name]),
        configuration=Configuration(FilePath("t.yaml")),
        held=SimpleNamespace(
            interfaces=[SimpleNamespace(id=7, tap="eth2.0t", ccsi=0)],
            vnis=[SimpleNamespace(vni=10001, ccsi=topology.ccns[ccn].id)],
        ),
        counters=lambda: [
            Counter("port eth1", "rx-packets", 9),
            Counter("drop", "runt", 1),
            Counter("drop", "source-no-vm", 3),
            Counter("drop", "ttl", 0),
            Counter(f"ccsi {topology.ccns[ccn].id}", "packets", 5),
            Counter(f"drop-ccsi {topology.ccns[ccn].id}", "source-no-vm", 2),
        ],
        offenders=lambda ccsi=0: [hit._replace(vni=9)] if ccsi else [hit, runt],
    )
    shown = counters_json(gateway)
    assert [(d["reason"], d["packets"]) for d in shown["drops"]] == [
        ("source-no-vm", 3), ("runt", 1),
    ]  # fmt: skip
    assert shown["drops"][0]["first"] == {
        "when": 1.5, "port": "eth1", "vni": 10001, "from": "192.0.2.101",
        "source": "8.8.8.8", "destination": "10.2.0.10",
    }  # fmt: skip
    assert shown["drops"][1]["last"] == {"when": 2.5, "port": "eth2", "hand-off": "eth2.0t"}
    assert shown["ccns"] == {ccn: {"packets": 5, "drops": {"source-no-vm": 2}}}
    one = counters_json(gateway, ccn)
    assert [(d["reason"], d["packets"]) for d in one["drops"]] == [("source-no-vm", 2)]
    assert one["drops"][0]["first"] == shown["drops"][0]["first"] | {"vni": 9}
    assert shown["counters"]["configuration"]["not-in-force"] == 0
    assert "configuration" not in one["counters"]
    assert "port eth1" not in one["counters"]
    other = counters_json(gateway, max(topology.ccns))
    assert (other["ccns"], other["drops"]) == ({}, [])
    draw("counters", shown)
    text = capsys.readouterr().out
    assert re.search(rf"ccn {ccn}\n  packets +5\n  dropped source-no-vm +2\n", text)
    assert "ttl" not in text
    assert re.search(r"source-no-vm +3  a host sent .*\n    first .*192.0.2.101  8.8.8.8 to", text)
    assert "do    find the sender" in text
