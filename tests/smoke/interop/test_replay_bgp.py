"""What was recorded live, learned again offline: same digest, same findings, same counts.

bj-gw1 hears GoBGP, a raw peer that says broken things, and FRR in two data centres whose routers
have the very same addresses; it is read by mrtparse and bgpdump as well.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import mrtparse
import pytest

pytestmark = pytest.mark.smoke

RAW, RAW_ASN = "203.0.113.9", 64999
REMOTE = (
    "evpn prefix 10.2.0.0/16 esi 0 etag 0 label 20100 rd 198.51.100.21:100 rt 64600:100"
    " encap vxlan router-mac 02:cc:c6:33:64:15"
)
ORIGIN = b"\x40\x01\x01\x00"
AS_PATH = b"\x40\x02\x06\x02\x01" + RAW_ASN.to_bytes(4)
COMMUNITIES = (
    b"\xc0\x10\x18" + b"\0\2\xfc\x58\0\0\0\x64" + b"\x03\x0c\0\0\0\0\0\x08"
    + b"\x06\x03\x02\x99\0\0\0\x09"
)  # fmt: skip


def message(kind, body=b""):
    return b"\xff" * 16 + (19 + len(body)).to_bytes(2) + bytes((kind,)) + body


def update(attributes):
    return message(2, bytes(2) + len(attributes).to_bytes(2) + attributes)


def type5(second, third):
    """10.second.third.0/24 with VNI 20100."""
    nlri = b"\0\1\xcb\0\x71\x09\0\x01" + bytes(14) + b"\x18" + bytes((10, second, third, 0))
    reach = b"\0\x19\x46\x04\xcb\0\x71\x09\0\x05\x22" + nlri + bytes(4) + (20100).to_bytes(3)
    return b"\x90\x0e" + len(reach).to_bytes(2) + reach


def raw_session(listener):
    """Accept our session; the peer can restart gracefully."""
    sock, _ = listener.accept()
    sock.settimeout(20)
    sock.recv(4096)
    capabilities = (
        b"\x01\x04\0\x19\0\x46"
        + b"\x41\x04"
        + RAW_ASN.to_bytes(4)
        + b"\x40\x06\0\x06\0\x19\x46\x80"
    )
    optional = b"\x02" + bytes((len(capabilities),)) + capabilities
    head = b"\x04" + RAW_ASN.to_bytes(2) + b"\0\0" + socket.inet_aton(RAW)
    sock.sendall(message(1, head + bytes((len(optional),)) + optional) + message(4))
    return sock


@pytest.fixture
def live(net):
    """bj-gw1, recorded, with its peers."""
    net.frrs = [
        net.idc("lf-r1", "eth2.101t", ["172.16.1.0/24", "172.16.2.0/24", "10.1.0.0/16"]),
        net.idc("tj-r1", "eth3.0t", ["172.16.1.0/24"]),
    ]
    net.evpn = net.gobgp_peer("bj-gw1", net.addresses["hk-gw1"], 64602)
    net.evpn(f"global rib add -a {REMOTE}")
    net.listener = net.socket()
    net.listener.bind((RAW, 179))
    net.listener.listen(4)
    net.listener.settimeout(30)
    neighbor = {
        "name": "raw", "gateway": "bj-gw1", "address": RAW, "asn": RAW_ASN, "role": "gateway",
    }  # fmt: skip
    net.record = net.directory / "recorded"
    file = net.topology([neighbor], idcs=True)
    gateway = net.gateway("bj-gw1", file, "--record", f"{net.record}")
    net.raw = raw_session(net.listener)
    net.until(lambda: gateway.established("lf-r1", "tj-r1", "hk-gw1"))
    yield gateway
    net.raw.close()
    net.listener.close()


def replay(net, gateway, *options, files=None):
    files = files or sorted(net.record.iterdir())
    return subprocess.run(
        [sys.executable, "-m", "ccn_bgp.cli.main", "replay-bgp", *map(str, files),
         "--topology", f"{gateway.file}", "--gateway", gateway.name, "--json", *options],
        capture_output=True, text=True, check=False, env=net.environment,
    )  # fmt: skip


COUNTS = ("name", "state", "received", "accepted", "stale", "updates", "malformed")


def assert_the_same(net, gateway):
    """Digest, findings, routes and the counts of every neighbor."""
    done = replay(net, gateway)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["digest"] == gateway.digest()
    assert found["findings"] == gateway.show("findings")
    assert found["neighbors"] == [{k: n[k] for k in COUNTS} for n in gateway.show("neighbors")]
    assert found["strangers"] == [] and found["cut-short"] == []
    routes = json.loads(replay(net, gateway, "--show", "routes").stdout)["routes"]
    assert routes == gateway.show("routes")
    return found


def withdrawn_and_broken(net, gateway):
    """The raw peer: routes, one of them of our own space, and messages that are not usable."""
    net.raw.sendall(
        b"".join(update(ORIGIN + AS_PATH + COMMUNITIES + type5(7, t)) for t in (1, 2, 3))
        + update(ORIGIN + AS_PATH + COMMUNITIES + type5(1, 9))  # lies in 10.1.0.0/16, ours
        + update(b"\x40\x01\x02\x00\x00" + AS_PATH + COMMUNITIES + type5(7, 2))  # withdraws
        + update(ORIGIN + AS_PATH + b"\x40\x06\x01\x00" + COMMUNITIES + type5(7, 4))  # discards
        + update(b"\x80\x0f\x03\0\x19\x46")
    )
    net.until(lambda: "10.7.4.0/24" in gateway.routes())
    net.until(lambda: gateway.established("raw"))


def test_a_replay_gives_the_digest_and_the_findings_of_the_live_gateway(net, live):
    gateway = live
    withdrawn_and_broken(net, gateway)
    assert {"10.7.1.0/24", "10.7.3.0/24", "10.7.4.0/24", "10.2.0.0/16"} <= gateway.routes().keys()
    assert gateway.show("findings")
    first = assert_the_same(net, gateway)

    # Equal addresses in two CCNs stay apart; a withdrawal; a session that is cleared.
    net.frrs[0].configure(
        "router bgp 65101", "address-family ipv4 unicast", "no network 172.16.1.0/24"
    )
    net.until(lambda: "172.16.1.0/24" not in gateway.routes())
    assert "172.16.1.0/24" in gateway.routes("finance")
    middle = assert_the_same(net, gateway)
    assert middle["digest"] != first["digest"]
    assert gateway.ccn("neighbor", "tj-r1", "clear").returncode == 0
    net.until(lambda: len(gateway.lines("peer tj-r1: up")) == 2)
    net.until(lambda: gateway.established("tj-r1"))
    net.until(lambda: gateway.digest() == middle["digest"])
    assert_the_same(net, gateway)

    # The past: as it was before the withdrawal.
    done = replay(net, gateway, "--until", str(first["to"]))
    assert json.loads(done.stdout)["digest"] == first["digest"]

    # Others read it too.
    (file,) = net.record.iterdir()
    heard = [r.data for r in mrtparse.Reader(str(file))]
    assert len(heard) >= middle["records"]
    assert {next(iter(r["type"])) for r in heard} == {17}
    # mrtparse leaves out the session of a message that it cannot parse: the ORIGIN of two octets.
    assert len([r for r in heard if "peer_ip" not in r]) == 1
    ends = {(r.get("peer_ip"), r.get("ifindex")) for r in heard}
    assert len({number for ip, number in ends if ip == "169.254.1.2"}) == 2
    dump = subprocess.run(["bgpdump", "-m", str(file)], capture_output=True, text=True, check=True)
    assert "|A|169.254.1.2|65101|172.16.2.0/24|65101|IGP|" in dump.stdout
    assert "|W|169.254.1.2|65101|172.16.1.0/24" in dump.stdout
    assert "|STATE|169.254.1.2|65101|5|6" in dump.stdout


def test_restarts_of_peers_speakers_and_of_the_gateway_are_replayed(net, live):
    gateway = live
    withdrawn_and_broken(net, gateway)
    # The raw peer goes without a word: its routes are kept, then swept after 6 s.
    net.raw.close()
    net.until(lambda: gateway.neighbor("raw")["stale"])
    assert_the_same(net, gateway)
    net.until(lambda: not gateway.neighbor("raw")["received"], 20)
    assert_the_same(net, gateway)
    net.raw = raw_session(net.listener)
    net.raw.sendall(update(ORIGIN + AS_PATH + COMMUNITIES + type5(7, 8)))
    net.until(lambda: "10.7.8.0/24" in gateway.routes())

    # ExaBGP dies: what its peers said is kept until they have said it again.
    os.kill(gateway.speaker("idcs"), signal.SIGKILL)
    net.until(lambda: gateway.lines("speaker down"))
    net.until(lambda: gateway.established("lf-r1", "tj-r1"))
    assert_the_same(net, gateway)

    # The gateway itself dies, and a route with it; one recording follows the other.
    net.evpn(f"global rib del -a {REMOTE}")
    net.until(lambda: "10.2.0.0/16" not in gateway.routes())
    gateway.signal(signal.SIGKILL)
    gateway.process.wait(10)
    net.raw.close()
    gateway.begin()
    net.until(lambda: gateway.established("lf-r1", "tj-r1", "hk-gw1"))
    assert len(list(net.record.iterdir())) == 2
    found = assert_the_same(net, gateway)
    assert {n["name"]: n["received"] for n in found["neighbors"]}["raw"] == 0


def test_a_full_disk_ends_the_recording_and_nothing_else(net, live):
    gateway = live
    gateway.end()
    net.raw.close()
    place = net.directory / "small"
    place.mkdir()
    net.run("mount", "-t", "tmpfs", "-o", "size=64k", "small", f"{place}")
    try:
        gateway.options = ("--record", f"{place}")
        gateway.begin()
        net.raw = raw_session(net.listener)
        for number in range(1000):
            net.raw.sendall(update(ORIGIN + AS_PATH + COMMUNITIES + type5(7, number % 256)))
        net.until(lambda: len([p for p in gateway.routes() if p.startswith("10.7.")]) == 256)
        net.until(lambda: gateway.lines("recording ends"))
        (line,) = gateway.lines("recording ends")
        assert "No space left on device" in line and f"{place}" in line
        net.raw.sendall(update(ORIGIN + AS_PATH + COMMUNITIES + type5(8, 1)))
        net.until(lambda: "10.8.1.0/24" in gateway.routes())
        assert len(gateway.lines("recording ends")) == 1
        # What was written is whole.
        done = replay(net, gateway, files=sorted(place.iterdir()))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["records"] > 100
        gateway.end()
    finally:
        net.run("umount", "-l", f"{place}")


def test_what_is_no_recording_of_this_gateway_is_one_line(net, live):
    gateway = live
    gateway.end()
    (file,) = net.record.iterdir()
    octets = file.read_bytes()
    cut, strange, table = (net.directory / name for name in ("cut", "strange", "table"))
    cut.write_bytes(octets[:-3])
    strange.write_bytes(b"name: two-regions\nfabric: {asn: 64600}\n")
    table.write_bytes(octets[:4] + b"\0\x0d\0\2" + octets[8:])
    for path, word in (
        (cut, "the last record is cut"), (strange, "is not MRT"), (table, "TABLE_DUMP_V2"),
        (net.directory / "absent", "No such file"), (net.directory, "directory"),
    ):  # fmt: skip
        done = replay(net, gateway, files=[path])
        assert done.returncode == 2 and done.stdout == "", (path, done)
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"ccn: {path}: ") and word in line
    done = subprocess.run(
        [sys.executable, "-m", "ccn_bgp.cli.main", "replay-bgp", str(file), "--topology",
         str(gateway.file), "--gateway", "hk-gw1"],
        capture_output=True, text=True, check=False, env=net.environment,
    )  # fmt: skip
    assert done.returncode == 2 and "bj-gw1" in done.stderr
    packed = net.directory / "packed.gz"
    with packed.open("wb") as out:
        subprocess.run(["gzip", "-c", str(file)], stdout=out, check=True)
    assert replay(net, gateway, files=[packed]).stdout == replay(net, gateway).stdout
    shutil.rmtree(net.record)
