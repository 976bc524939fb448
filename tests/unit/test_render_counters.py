"""Counters as people read them."""

from __future__ import annotations

from ccn_bgp.observe.render import draw


def test_cycles_stand_beside_what_they_are_per_packet(capsys):
    worker = {"packets": 200, "busy-cycles": 30_000, "sampled-packets": 10, "cycles-send": 295}
    idle = {"packets": 0, "busy-cycles": 0, "sampled-packets": 0, "cycles-send": 7}
    counters = {"worker 0": worker, "worker 1": idle, "slow-path": {"tap-read": 3}}
    draw("counters", {"counters": counters, "ccns": {}, "drops": []})
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["busy-cycles", "30000  (150.0 per packet)"] in lines
    assert ["cycles-send", "295  (29.5 per packet)"] in lines
    assert ["cycles-send", "7"] in lines and ["tap-read", "3"] in lines
