"""The speaker against FRR and GoBGP, each in its own network namespace, the speaker in another.

Two FRR routers have the very same addresses and AS number on two links, as two IDCs in two CCNs
may have. The speaker runs inside a small process of its own, so that it can be stopped and killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

GATEWAY = "sp-gw"
HOLD = 9
MARKER = b"\xff" * 16
EOR_V4 = MARKER + b"\0\x17\x02\0\0\0\0"
EOR_V6 = MARKER + b"\0\x1d\x02\0\0\0\x06\x80\x0f\x03\0\x02\x01"
EOR_EVPN = MARKER + b"\0\x1d\x02\0\0\0\x06\x80\x0f\x03\0\x19\x46"

DRIVER = """
import asyncio, json, logging, sys
from pathlib import Path
from ccn_bgp.model.bgp import Asn, Ip
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.session.events import Block, SessionUp
from ccn_bgp.session.speaker import Speaker

def peer(p):
    p |= {k: Ip.parse(p[k]) for k in ("address", "local_address", "router_id")}
    p["password_file"] = p["password_file"] and Path(p["password_file"])
    return Peer(**p)

async def main():
    state, peers, hold = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    speaker = Speaker("idc", [peer(p) for p in peers], state, hold_time=hold)
    await speaker.start()
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async def obey():
        while line := await reader.readline():
            name, octets = line.split()
            speaker.send(name.decode(), bytes.fromhex(octets.decode()))
        await speaker.stop()
    task = asyncio.create_task(obey())
    async for e in speaker.events():
        seen = {"event": type(e).__name__, "peer": getattr(e, "peer", "")}
        if isinstance(e, Block):
            seen["messages"] = e.messages.hex()
        elif isinstance(e, SessionUp):
            seen["asn"] = e.open_received.asn
        print(json.dumps(seen), flush=True)
    await task

logging.basicConfig(level=logging.INFO)
asyncio.run(main())
"""


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def message(body):
    return MARKER + (19 + len(body)).to_bytes(2) + b"\x02" + body


def ipv4_update(prefixes, next_hop):
    attributes = (
        b"\x40\x01\x01\0" + b"\x40\x02\x06\x02\x01" + (64601).to_bytes(4)
        + b"\x40\x03\x04" + bytes(map(int, next_hop.split(".")))
    )  # fmt: skip
    nlri = b"".join(b"\x18" + bytes(map(int, p.split(".")[:3])) for p in prefixes)
    return message(b"\0\0" + len(attributes).to_bytes(2) + attributes + nlri)


def type5_update(numbers):
    nlri = b"".join(
        b"\x05\x22" + b"\0\1\xc0\0\2\x0b\0\x64" + bytes(12) + b"\0\0" + b"\x18"
        + bytes((10, n >> 8 & 255, n & 255, 0)) + bytes(4) + b"\x00\x4e\x84"
        for n in numbers
    )  # fmt: skip
    reach = b"\0\x19\x46\x04\xc0\0\2\x0b\0" + nlri
    attributes = (
        b"\x40\x01\x01\0" + b"\x40\x02\x06\x02\x01" + (64601).to_bytes(4)
        + b"\xc0\x10\x18" + b"\0\2\xfc\x58\0\0\0\x64" + b"\x03\x0c\0\0\0\0\0\x08"
        + b"\x06\x03\x02\xcc\xc0\0\x02\x0b"
        + b"\x90\x0e" + len(reach).to_bytes(2) + reach
    )  # fmt: skip
    return message(b"\0\0" + len(attributes).to_bytes(2) + attributes)


def messages_of(octets):
    """Whole messages by marker and length; anything else fails."""
    at, found = 0, []
    while at < len(octets):
        assert octets[at : at + 16] == MARKER
        length = int.from_bytes(octets[at + 16 : at + 18])
        found.append(octets[at : at + length])
        at += length
    assert at == len(octets)
    return found


class Net:
    """Namespaces joined to the gateway's by one veth each; removed at the end."""

    def __init__(self, state):
        self.state = state
        self.names = []
        self.processes = []
        self.namespace(GATEWAY)

    def namespace(self, name):
        run("ip", "netns", "del", name, check=False)
        run("ip", "netns", "add", name)
        self.names.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def router(self, name, device, address, gateway_address):
        self.namespace(name)
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", device,
            "netns", GATEWAY)  # fmt: skip
        for where, dev, value in ((name, "eth0", address), (GATEWAY, device, gateway_address)):
            run("ip", "-n", where, "address", "add", value, "dev", dev)
            run("ip", "-n", where, "link", "set", dev, "up")

    def start(self, name, *command, **options):
        process = subprocess.Popen(["ip", "netns", "exec", name, *command], **options)
        self.processes.append(process)
        return process

    def frr(self, name, configuration):
        """bgpd alone: without zebra every next hop counts as reachable."""
        directory = self.state / name
        directory.mkdir(mode=0o755)
        (directory / "bgpd.conf").write_text(configuration)
        self.start(
            name, "/usr/lib/frr/bgpd", "-Z", "-S", "-u", "root", "-g", "root",
            "-f", f"{directory}/bgpd.conf", "-i", f"{directory}/bgpd.pid",
            "--vty_socket", f"{directory}", "--log", f"file:{directory}/bgpd.log",
        )  # fmt: skip
        until((directory / "bgpd.vty").exists)
        return Frr(directory)

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10)
        for name in self.names:
            run("ip", "netns", "del", name)


class Frr:
    def __init__(self, directory):
        self.directory = directory

    def vtysh(self, *commands):
        options = [word for c in commands for word in ("-c", c)]
        return run("vtysh", "--vty_socket", f"{self.directory}", *options)

    def json(self, command):
        return json.loads(self.vtysh(f"{command} json"))

    def prefixes(self):
        """Prefix → its paths, of what the gateway announced."""
        routes = self.json("show bgp ipv4 unicast")["routes"]
        return {p: paths for p, paths in routes.items() if paths[0]["path"]}

    def neighbor(self):
        return self.json("show bgp neighbors 169.254.1.1")["169.254.1.1"]


class Gateway:
    """A process with one speaker; what it saw, in order."""

    def __init__(self, net, peers, hold=HOLD):
        self.seen = net.state / "seen.jsonl"
        self.state = net.state / "state"
        root = Path(__file__).resolve().parents[2]
        self.process = net.start(
            GATEWAY, sys.executable, "-c", DRIVER, f"{self.state}", json.dumps(peers), f"{hold}",
            stdin=subprocess.PIPE, stdout=self.seen.open("wb"), text=True,
            stderr=(net.state / "stderr").open("wb"), env={**os.environ, "PYTHONPATH": f"{root}"},
        )  # fmt: skip

    def send(self, peer, octets):
        self.process.stdin.write(f"{peer} {octets.hex()}\n")
        self.process.stdin.flush()

    def events(self, kind="", peer=None):
        lines = [json.loads(line) for line in self.seen.read_text().splitlines()]
        return [e for e in lines if kind in ("", e["event"]) and peer in (None, e["peer"])]

    def messages(self, peer):
        """Every message of every session of this peer; each block is whole."""
        blocks = self.events("Block", peer)
        return [m for b in blocks for m in messages_of(bytes.fromhex(b["messages"]))]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(15)
        assert self.process.returncode == 0


@pytest.fixture
def net(tmp_path):
    network = Net(tmp_path)
    try:
        yield network
    finally:
        network.close()


def peer(name, **changes):
    return {
        "name": name,
        "role": "idc",
        "asn": 65101,
        "address": "169.254.1.2",
        "local_address": "169.254.1.1",
        "local_asn": 64601,
        "router_id": "10.11.0.100",
        "port": 179,
        "passive": False,
        "source_interface": None,
        "password_file": None,
    } | changes


def frr_configuration(router_id, networks, extra=""):
    return "\n".join(
        (
            "router bgp 65101",
            f" bgp router-id {router_id}",
            " no bgp ebgp-requires-policy",
            " no bgp network import-check",
            f" timers bgp 3 {HOLD}",
            " neighbor 169.254.1.1 remote-as 64601",
            " neighbor 169.254.1.1 passive",
            " neighbor 169.254.1.1 advertisement-interval 0",
            extra,
            " address-family ipv4 unicast",
            *(f"  network {n}" for n in networks),
            " exit-address-family",
            " address-family ipv6 unicast",
            "  neighbor 169.254.1.1 activate",
        )
    )


def announced(octets, first_two):
    """How many /24 of ``first_two``.x.0 stand in the octets."""
    return {
        f"{first_two[0]}.{first_two[1]}.{n}.0/24"
        for n in range(256)
        if b"\x18" + bytes((*first_two, n)) in octets
    }


def test_two_routers_with_the_very_same_addresses(net, tmp_path):
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    for name, device in (("sp-r1", "veth1"), ("sp-r2", "veth2")):
        net.router(name, device, "169.254.1.2/30", "169.254.1.1/30")
    one = net.frr(
        "sp-r1",
        frr_configuration("10.0.0.1", ["172.16.1.0/24"], " neighbor 169.254.1.1 password s3cret"),
    )
    two = net.frr("sp-r2", frr_configuration("10.0.0.2", ["172.16.2.0/24"]))
    gateway = Gateway(
        net,
        [
            peer("r1", source_interface="veth1", password_file=f"{key}"),
            peer("r2", source_interface="veth2", router_id="10.11.0.200"),
        ],
    )
    until(lambda: len(gateway.events("SessionUp")) == 2)

    def heard(name):
        return b"".join(gateway.messages(name))

    # Their routes, each under its own name, and both End-of-RIBs.
    for name, own in (("r1", 1), ("r2", 2)):
        until(lambda name=name: EOR_V4 in heard(name) and EOR_V6 in heard(name))
        assert announced(heard(name), (172, 16)) == {f"172.16.{own}.0/24"}

    # Ours, to each its own; FRR sees the End-of-RIB.
    gateway.send("r1", ipv4_update(["10.1.0.0", "10.1.1.0"], "169.254.1.1") + EOR_V4 + EOR_V6)
    gateway.send("r2", ipv4_update(["10.2.0.0"], "169.254.1.1") + EOR_V4 + EOR_V6)
    until(lambda: set(one.prefixes()) == {"10.1.0.0/24", "10.1.1.0/24"})
    until(lambda: set(two.prefixes()) == {"10.2.0.0/24"})
    assert one.prefixes()["10.1.0.0/24"][0]["path"] == "64601"
    received = one.neighbor()["gracefulRestartInfo"]["endOfRibRecv"]
    assert received["ipv4Unicast"] and received["ipv6Unicast"]

    # Route refresh arrives in the stream.
    two.vtysh("clear bgp ipv4 unicast 169.254.1.1 in")
    until(lambda: any(m[18] == 5 for m in gateway.messages("r2")))
    assert next(m for m in gateway.messages("r2") if m[18] == 5)[19:] == b"\0\x01\0\x01"

    # The speaker is killed: FRR keeps our routes as stale; what is not sent again is swept by our
    # End-of-RIB.
    os.kill(int((gateway.state / "speaker-idc.pid").read_text()), signal.SIGKILL)
    until(lambda: all(p[0].get("stale") for p in one.prefixes().values()), 5)
    assert len(one.prefixes()) == 2
    until(lambda: len(gateway.events("SessionUp")) == 4)
    restarted = one.neighbor()["gracefulRestartInfo"]
    assert restarted["rBit"] is True
    gateway.send("r1", ipv4_update(["10.1.1.0"], "169.254.1.1") + EOR_V4 + EOR_V6)
    until(lambda: set(one.prefixes()) == {"10.1.1.0/24"}, 5)
    assert [e["event"] for e in gateway.events() if e["event"].startswith("Speaker")] == [
        "SpeakerUp",
        "SpeakerDown",
        "SpeakerUp",
    ]
    gateway.stop()
    until(lambda: not one.prefixes(), 5)
    assert "Administrative Shutdown" in one.vtysh("show bgp neighbors 169.254.1.1")


def ended(pid: int) -> bool:
    """True if the process runs no more; its new parent may take its time to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True


def test_a_stopped_gateway_loses_neither_session_nor_routes(net):
    net.router("sp-r1", "veth1", "169.254.1.2/30", "169.254.1.1/30")
    frr = net.frr("sp-r1", frr_configuration("10.0.0.1", ["172.16.1.0/24"]))
    gateway = Gateway(net, [peer("r1", source_interface="veth1")])
    until(lambda: EOR_V4 in b"".join(gateway.messages("r1")))
    gateway.send("r1", ipv4_update(["10.1.0.0"], "169.254.1.1") + EOR_V4 + EOR_V6)
    until(frr.prefixes)
    driver = int(run("pgrep", "-P", f"{gateway.process.pid}", check=False) or 0)
    speaker = int((gateway.state / "speaker-idc.pid").read_text())
    # `ip netns exec` becomes the driver itself; its only child is the speaker.
    assert driver == speaker
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        for third in range(200):
            frr.vtysh(
                "configure terminal", "router bgp 65101", "address-family ipv4 unicast",
                f"network 172.17.{third}.0/24",
            )  # fmt: skip
            if third == 100:
                time.sleep(HOLD)
        time.sleep(HOLD * 0.7)
        assert frr.prefixes().keys() == {"10.1.0.0/24"}
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    wanted = {f"172.17.{n}.0/24" for n in range(200)}
    until(lambda: announced(b"".join(gateway.messages("r1")), (172, 17)) >= wanted)
    assert not gateway.events("SessionDown")
    assert frr.neighbor()["connectionsEstablished"] == 1
    # Killed, it takes the speaker with it, and FRR keeps our route: no NOTIFICATION was sent.
    gateway.process.kill()
    until(lambda: ended(speaker), 5)
    until(lambda: frr.prefixes()["10.1.0.0/24"][0].get("stale"), 5)


def test_evpn_with_frr_and_gobgp(net):
    net.router("sp-r1", "veth1", "169.254.1.2/30", "169.254.1.1/30")
    net.router("sp-r2", "veth2", "169.254.2.2/30", "169.254.2.1/30")
    frr = net.frr(
        "sp-r1",
        "router bgp 65101\n bgp router-id 10.0.0.1\n no bgp ebgp-requires-policy\n"
        " no bgp default ipv4-unicast\n neighbor 169.254.1.1 remote-as 64601\n"
        " neighbor 169.254.1.1 passive\n address-family l2vpn evpn\n"
        "  neighbor 169.254.1.1 activate\n",
    )
    configuration = net.state / "gobgp.toml"
    configuration.write_text(
        "[global.config]\nas = 65003\nrouter-id = '10.0.0.3'\n"
        "[[neighbors]]\n[neighbors.config]\nneighbor-address = '169.254.2.1'\npeer-as = 64601\n"
        "[neighbors.timers.config]\nconnect-retry = 1\n"
        "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = 'l2vpn-evpn'\n"
    )
    # GoBGP dials, so ours is the listening side.
    gateway = Gateway(
        net,
        [
            peer("frr", role="gateway"),
            peer(
                "gobgp", role="host", asn=65003, address="169.254.2.2",
                local_address="169.254.2.1", passive=True,
            ),
        ],
    )  # fmt: skip
    net.start(
        "sp-r2", "gobgpd", "-f", f"{configuration}",
        stdout=(net.state / "gobgpd.log").open("wb"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    until(lambda: len(gateway.events("SessionUp")) == 2)

    def gobgp(*words):
        return run("ip", "netns", "exec", "sp-r2", "gobgp", *words)

    octets = b"".join(type5_update(range(k, k + 100)) for k in range(0, 5000, 100)) + EOR_EVPN
    for name in ("frr", "gobgp"):
        gateway.send(name, octets)
    until(lambda: frr.json("show bgp l2vpn evpn route").get("numPaths") == 5000)
    until(lambda: len(json.loads(gobgp("global", "rib", "-a", "evpn", "-j") or "{}")) == 5000)
    path = gobgp("global", "rib", "-a", "evpn")
    assert "10.0.7.0" in path and "64601" in path

    words = "global rib add -a evpn prefix 10.77.0.0/24 esi 0 etag 0 label 20100 rd 65003:1"
    gobgp(*words.split(), "rt", "64600:100", "encap", "vxlan")
    wanted = b"\x18\x0a\x4d\x00\x00"
    until(lambda: any(wanted in m for m in gateway.messages("gobgp")))
    assert not gateway.events("SessionDown")
    gateway.stop()
