"""ExaBGP as others run it: as the router of a data centre, and as an EVPN speaker that listens.

It is the stock program with its own JSON, none of our launcher. It cannot announce EVPN.
"""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

EXABGP = Path(sys.executable).with_name("exabgp")


class Exabgp:
    """The program with a section of docs/interop.md, and what it has said in JSON."""

    def __init__(self, net, heading, namespace):
        self.net = net
        self.directory = net.directory / heading.replace(" ", "-")
        self.directory.mkdir()
        self.heard = self.directory / "heard.jsonl"
        self.file = self.directory / "exabgp.conf"
        text = (net.ccn_source / "docs" / "interop.md").read_text()
        lines = text.split(f"### {heading}\n", 1)[1].split("```", 2)[1].partition("\n")[2]
        script = self.directory / "write"
        # Its standard output stays open: ExaBGP takes the end of it for the end of the program.
        script.write_text(
            f'#!/bin/sh\nwhile IFS= read -r line; do echo "$line" >>{self.heard}; done\n'
        )
        script.chmod(0o755)
        # It looks at signals when a message comes or goes: let there be KEEPALIVEs often.
        lines = lines.replace("  router-id", "  hold-time 3;\n  router-id")
        self.file.write_text(lines.replace("/usr/local/bin/exabgp-json", str(script)))
        log = (self.directory / "log").open("wb")
        environment = {**os.environ, "exabgp_daemon_user": "root", "exabgp_api_ack": "false",
                       "exabgp_api_cli": "false"}  # fmt: skip
        self.process = net.start(
            namespace, f"{EXABGP}", "server", f"{self.file}",
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip

    def messages(self):
        lines = self.heard.read_text().splitlines(True) if self.heard.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def routes(self, family):
        """NLRI in hex, or prefix → [attributes, next hop, NLRI], as of now."""
        found = {}
        for message in self.messages():
            update = message["neighbor"]["message"].get("update", {})
            for entry in update.get("withdraw", {}).get(family, []):
                found.pop(entry.get("raw") or entry["nlri"])
            for next_hop, entries in update.get("announce", {}).get(family, {}).items():
                for entry in entries:
                    key = entry.get("raw") or entry["nlri"]
                    found[key] = [update["attribute"], next_hop, entry]
        return found

    def ends_of_rib(self):
        said = [m["neighbor"]["message"].get("eor") for m in self.messages()]
        return {f"{e['afi']} {e['safi']}" for e in said if e}

    def reconfigure(self, old, new):
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))
        self.process.send_signal(signal.SIGUSR1)


def as_path(*asns):
    return {"0": {"element": "as-sequence", "value": list(asns)}}


@pytest.fixture
def peers(net):
    """bj-gw1 with ExaBGP in its data centre Langfang, and as an EVPN speaker."""
    net.idc("lf-r1", "eth2.101t", []).kill()  # its namespace is wanted, not its FRR
    router = Exabgp(net, "ExaBGP", "lf-r1")
    speaker = Exabgp(net, "ExaBGP as an EVPN speaker", "core")
    neighbor = {
        "name": "exabgp", "gateway": "bj-gw1", "address": net.stranger, "asn": 64999,
        "role": "gateway",
    }  # fmt: skip
    gateway = net.gateway("bj-gw1", net.topology([neighbor], idcs=True))
    net.until(lambda: gateway.established("lf-r1", "exabgp"))
    return gateway, router, speaker


def told(gateway):
    return {r["prefix"]: r["attributes"] for r in gateway.show("received", neighbor="lf-r1")}


def test_what_exabgp_says_is_learned(net, peers):
    gateway, router, _ = peers
    assert told(gateway) == {
        "172.16.1.0/24": {
            "origin": "igp", "as-path": "65101", "next-hop": "169.254.1.2", "med": 50,
            "communities": ["65101:7"], "large-communities": ["65101:1:2"],
        },
        "172.16.2.0/24": {
            "origin": "igp", "as-path": "65101 65102", "next-hop": "169.254.1.2",
        },
    }  # fmt: skip
    assert {"172.16.1.0/24", "172.16.2.0/24"} <= gateway.routes().keys()

    # Its reload withdraws a route and changes another; no session notices.
    text = router.file.read_text()
    gone = next(line for line in text.splitlines(True) if "172.16.2.0/24" in line)
    router.reconfigure(gone, "")
    net.until(lambda: told(gateway).keys() == {"172.16.1.0/24"})
    net.until(lambda: "172.16.2.0/24" not in gateway.routes())
    router.reconfigure("med 50", "med 70")
    net.until(lambda: told(gateway)["172.16.1.0/24"]["med"] == 70)
    assert gateway.neighbor("lf-r1")["malformed"] == 0


def test_what_exabgp_hears(net, peers):
    gateway, router, speaker = peers
    net.until(lambda: router.ends_of_rib() == {"ipv4 unicast", "ipv6 unicast"})
    own = {"origin": "igp", "as-path": as_path(64601)}
    own["attribute-0x23-0xE0"] = f"0x{64601:08x}"  # Only to Customer, which ExaBGP does not know
    assert {p: [a, hop] for p, (a, hop, _) in router.routes("ipv4 unicast").items()} == {
        "10.1.0.0/16": [own, "169.254.1.1"]
    }

    # The EVPN speaker: every field of every route, by ExaBGP's own parser.
    net.until(lambda: speaker.ends_of_rib() == {"l2vpn evpn"})
    net.until(lambda: len(speaker.routes("l2vpn evpn")) == 8)
    seen = {}
    for attributes, next_hop, nlri in speaker.routes("l2vpn evpn").values():
        assert nlri["parsed"] and (nlri["esi"], nlri["ethernet-tag"]) == ("-", 0)
        assert next_hop == net.addresses["bj-gw1"] and attributes["origin"] == "igp"
        communities = attributes["extended-community"]
        texts = {c["string"].rpartition(":")[0] + ":" + c["string"].rpartition(":")[2]
                 for c in communities if not c["string"].startswith("origin")}  # fmt: skip
        ccn = int(nlri["rd"].removeprefix("192.0.2.11:"))
        assert {f"target:64600:{ccn}", "encap:VXLAN"} <= texts
        # ExaBGP has no word for the Router's MAC: 0x0603, then the address.
        assert 0x060302CCC000020B in {c["value"] for c in communities}
        what = nlri["ip"] + (f"/{nlri['iplen']}" if nlri["code"] == 5 else f" {nlri['mac']}")
        # Of a type 2 it shows the first label only; the second is at the end of the octets.
        labels = (nlri["label"][0][1], int(nlri["raw"][-6:], 16))
        assert nlri.get("gateway", "-") in ("-", "0.0.0.0", "::")
        path = attributes["as-path"]["0"]["value"]
        seen[nlri["code"], ccn, what] = (labels, path, attributes.get("community"))
    mac = "02:00:0A:01:00:0A"
    assert seen == {
        (2, 100, f"10.1.0.10 {mac}"): ((10001, 20100), [64601], None),
        (2, 100, f"fd00:1::10 {mac}"): ((10001, 20100), [64601], None),
        (2, 200, f"10.1.0.10 {mac}"): ((10003, 20200), [64601], None),
        (5, 100, "10.1.0.0/16"): ((20100, 20100), [64601], None),
        (5, 100, "fd00:1::/64"): ((20100, 20100), [64601], None),
        (5, 100, "172.16.1.0/24"): ((20100, 20100), [64601, 65101], [[65101, 7]]),
        (5, 100, "172.16.2.0/24"): ((20100, 20100), [64601, 65101, 65102], None),
        (5, 200, "10.1.0.0/16"): ((20200, 20200), [64601], None),
    }

    # A withdrawal reaches it with the very NLRI, so that its RIB finds it.
    text = router.file.read_text()
    router.reconfigure(next(x for x in text.splitlines(True) if "172.16.2.0/24" in x), "")
    net.until(lambda: len(speaker.routes("l2vpn evpn")) == 7)
    assert not gateway.lines("down:")
