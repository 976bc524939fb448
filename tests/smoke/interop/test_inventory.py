"""An inventory beside the topology file: read again when it changes, no session touched."""

import json

import pytest

pytestmark = pytest.mark.smoke

HEAD = "vpc,ip,mac,host\n"


def row(last, host=102):
    return f"orders,10.2.0.{last},02:00:0a:02:01:{last:02x},198.51.100.{host}\n"


def replaced(file, text):
    scratch = file.with_suffix(".new")
    scratch.write_text(text)
    scratch.replace(file)


def test_a_change_of_the_inventory_is_one_plan(net):
    gobgp = net.gobgp_peer("hk-gw1", net.stranger, 64999)
    neighbor = {
        "name": "gobgp", "gateway": "hk-gw1", "address": net.stranger, "asn": 64999,
        "role": "gateway",
    }  # fmt: skip
    file = net.topology([neighbor])
    inventory = file.parent / "vms.csv"
    inventory.write_text(HEAD + row(20) + row(21))
    with file.open("a") as text:
        text.write("inventory: [vms.csv, more.jsonl]\n")
    (file.parent / "more.jsonl").write_text("")
    gateway = net.gateway("hk-gw1", file)
    net.until(lambda: gateway.established("gobgp"))

    def vms():
        return {r["ip"]: r["host"] for r in gateway.show("vms") if r["vni"] == 10002}

    def heard():
        return {text for text in gobgp.rib() if text.startswith("2 198.51.100.21:100 10.2.0.")}

    declared = vms().keys() - {"10.2.0.20", "10.2.0.21"}
    assert len(declared) >= 2 and len(vms()) >= 4
    net.until(lambda: "2 198.51.100.21:100 10.2.0.21" in heard())
    commits = len(gateway.show("commits"))

    # One moves, one goes, one comes, and so does one of the other file: one commit.
    other = {"vpc": "orders", "ip": "10.2.0.40", "mac": "02:00:0a:02:01:40", "sequence": 5}
    (file.parent / "more.jsonl").write_text(json.dumps({**other, "host": "198.51.100.103"}))
    replaced(inventory, HEAD + row(20, 103) + row(30))
    net.until(lambda: vms().keys() == declared | {"10.2.0.20", "10.2.0.30", "10.2.0.40"}, 10)
    assert vms()["10.2.0.20"] == "198.51.100.103"
    assert len(gateway.show("commits")) == commits + 1
    net.until(lambda: "2 198.51.100.21:100 10.2.0.40" in heard())
    net.until(lambda: "2 198.51.100.21:100 10.2.0.21" not in heard())
    (path,) = gobgp.rib()["2 198.51.100.21:100 10.2.0.40"]
    assert any(c.get("sequence") == 5 for c in path["attrs"][16]["value"])

    # An unfinished edit of the topology file is not taken along; a wrong inventory is refused.
    text = file.read_text()
    file.write_text(text + "unfinished")
    held = gateway.digest()
    replaced(inventory, HEAD + row(20) + "orders,10.3.0.1,02:00:0a:02:01:50,198.51.100.102\n")
    net.until(lambda: gateway.lines("inventory refused"), 10)
    (line,) = gateway.lines("inventory refused")
    assert f"{inventory}:3:1: error vm-outside-cidr" in line
    replaced(inventory, HEAD + row(20) + row(300))
    net.until(lambda: len(gateway.lines("inventory refused")) > 1, 10)
    assert f"{inventory}:3:8: ip: '10.2.0.300' is not an IP" in gateway.lines("refused")[1]
    assert gateway.digest() == held
    replaced(inventory, HEAD + row(20, 103) + row(30) + row(31))
    net.until(lambda: "10.2.0.31" in vms(), 10)
    assert not gateway.lines("down:")
    assert len(gateway.lines("peer gobgp: up")) == 1
