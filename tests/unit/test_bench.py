"""The benches' own arithmetic and messages: a figure is only worth what it is made of."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading

import numpy as np
import pytest
from scapy.all import IP, UDP, VXLAN, Ether, rdpcap
from typer.testing import CliRunner

from ccn_bgp.bench import announcing, frames, full_table, rows, sites, stream, subject, verifying
from ccn_bgp.bench.cases import CASES, Run, chosen
from ccn_bgp.bench.figure import Figure, median, percentile
from ccn_bgp.bench.learn_latency import OTHER_VTEP
from ccn_bgp.bench.learning import Load
from ccn_bgp.bench.sender import ADDRESS, KEEPALIVE, Sender, open_message
from ccn_bgp.bench.verify_tables import GATEWAY, Shape, with_origins
from ccn_bgp.cli.bench import bench, lines
from ccn_bgp.cli.main import app
from ccn_bgp.errors import CcnError, InputError, UnreachableError
from ccn_bgp.forwarder import wire
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.model.bgp import Asn, Family, Ip, Prefix
from ccn_bgp.model.ccsi import ccsis, tap_name
from ccn_bgp.session.decode import Decoder, SessionParameters, Verdict
from ccn_bgp.session.encode import encode_updates, notification
from ccn_bgp.table.verify.incremental import Verifier
from ccn_bgp.table.verify.owned import BOGONS

QUICK = Run(quick=True, say=lambda line: None)


def decoder():
    return Decoder(SessionParameters("sender", stream.SENDER_ASN, 64601))


def decoded(messages, by=None):
    """What each message says, one after the other."""
    by, found, position = by or decoder(), [], 0
    while position < len(messages):
        length = int.from_bytes(messages[position + 16 : position + 18], "big")
        found += by.message(messages[position : position + length])
        position += length
    return found


def test_a_ratio_over_one_means_that_ours_is_better():
    assert Figure("c", "time", "s", 2.0, {"frr": 5.0}).ratio("frr") == 2.5
    assert Figure("c", "rate", "1/s", 2.0, {"frr": 5.0}, higher_is_better=True).ratio("frr") == 0.4
    assert Figure("c", "time", "s", 0.0, {"frr": 5.0}).ratio("frr") == float("inf")


def test_a_figure_as_json():
    figure = Figure("c", "time", "s", 1.234567, {"frr": 2.469134})
    assert figure.as_json() == {
        "case": "c",
        "metric": "time",
        "unit": "s",
        "ours": 1.235,
        "peers": {"frr": 2.469},
        "ratio": {"frr": 2.0},
    }
    assert list(lines([figure.as_json()])) == [
        f"{'c':<24}{'time':<30}{'1.235':>12} s   frr 2.469 (ours 2.00 x)"
    ]


def test_percentiles():
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert percentile(range(101), 99) == 99
    assert percentile([7], 99) == 7
    with pytest.raises(ValueError, match="no samples"):
        median([])


@pytest.mark.parametrize(("per_update", "distinct"), [(100, False), (1, False), (1, True)])
def test_the_stream_is_what_the_encoder_says(per_update, distinct):
    first, count = 100, 300
    wanted = b""
    for start in range(first, first + count, per_update):
        shared = stream.attributes(start, communities=[start] if distinct else ())
        routes = [stream.route(i) for i in range(start, start + per_update)]
        wanted += b"".join(encode_updates([(shared, routes)]))
    assert stream.updates(first, count, per_update, distinct=distinct) == wanted


def test_the_stream_is_what_it_says():
    whole = stream.updates(0, 300, 100)
    found = decoded(whole)
    assert [u.verdict for u in found] == [Verdict.OK] * 3
    said = [n for u in found for n in u.announced]
    assert said == [stream.route(i) for i in range(300)]
    assert len({n.rd for n in said}) == len({n.vni for n in said}) == stream.ccns(300) == 3
    assert found[1].attributes == stream.attributes(100)
    gone = decoded(stream.withdrawals(0, 300, 100))
    assert [n.key for u in gone for n in u.withdrawn] == [n.key for n in said]
    (moved,) = decoded(stream.update(7, via=OTHER_VTEP))
    assert moved.announced == (stream.route(7),)
    assert moved.attributes.next_hop == OTHER_VTEP != stream.attributes(7).next_hop
    one = decoded(stream.updates(0, 300, 100, ccn=1))
    assert {n.rd for u in one for n in u.announced} == {stream.route(0).rd}
    assert {u.attributes for u in one} == {stream.attributes(0)}
    with pytest.raises(ValueError, match="two CCNs"):
        stream.updates(0, 300, 150)
    with pytest.raises(ValueError, match="two CCNs"):
        stream.updates(50, 100, 100)


def test_every_sender_has_its_share():
    load = Load(1000, senders=10)
    said = [decoded(m) for m in load.announcements()]
    assert [u.attributes.next_hop for (u,) in said] == [o.vtep for _, o in load.origins()]
    assert [n for (u,) in said for n in u.announced] == [
        stream.route(i, origin)
        for k, (_, origin) in enumerate(load.origins())
        for i in range(k * 100, k * 100 + 100)
    ]
    assert load.last() == list(range(99, 1000, 100))
    assert len({address for address, _ in load.origins()}) == 10


def test_the_topology_of_the_subject_is_valid(tmp_path):
    some = [sites.Router(n, Asn(65100 + n)) for n in (1, 2)]
    (tmp_path / "policy.yaml").write_text(subject.POLICY)
    file = tmp_path / "bench.yaml"
    with Sender() as sender:
        file.write_text(sites.topology(120, [sender], some))
        intent = read_intent(file, "gw")
    known = {c.id: c for c in ccsis(intent.topology, intent.gateway)}
    assert len(known) == 120
    for index in (0, 11_999):
        ccsi = known[stream.ccn_id(index)]
        assert ccsi.vni == stream.route(index).vni
        assert ccsi.import_rts <= set(stream.attributes(index).extended_communities)
    assert [tap_name(intent.gateway, r) for r in intent.topology.routers] == [
        r.device for r in some
    ]


def test_a_drawn_table_is_like_a_real_one():
    table = full_table.entries(None, 5000)
    assert table == full_table.entries(None, 5000)
    assert len({e.nlri for e in table}) == 5000
    lengths = [e.nlri[0] for e in table]
    assert 0.45 < lengths.count(24) / 5000 < 0.65
    assert 4 < 5000 / len({e.origin for e in table}) < 10
    peer, hop, last = Asn(65101), Ip.parse("169.254.1.2"), Prefix.parse("203.0.113.4/30")
    octets = full_table.packed(last.address, last.length)
    said = SessionParameters("router", peer, 64601)
    found = decoded(full_table.messages(table, peer, hop, octets), Decoder(said))
    assert {u.verdict for u in found} == {Verdict.OK}
    prefixes = [n.prefix for u in found for n in u.announced]
    assert len(prefixes) == 5001
    assert prefixes[-1] == last
    assert all(not b.overlaps(p) for b in BOGONS if b.address.version == 4 for p in prefixes)
    assert {u.attributes.as_path[0].asns[0] for u in found} == {peer}
    assert {u.attributes.next_hop for u in found} == {hop}


def test_a_table_from_a_file(tmp_path):
    with gzip.open(tmp_path / "full-table-v4-20200101.tsv.gz", "wt") as file:
        file.write("; a comment\n1.0.0.0/24\t15169\n10.0.0.0/9\t1\n1.0.4.0/22\t56203\n")
    assert full_table.entries(tmp_path, 10) == [
        full_table.Entry(b"\x18\x01\x00\x00", 15169),
        full_table.Entry(b"\x16\x01\x00\x04", 56203),
    ]
    with pytest.raises(InputError, match="holds no ris"):
        full_table.churn(tmp_path, 10)
    with gzip.open(tmp_path / "full-table-v4-20200101.tsv.gz", "wt") as file:
        file.write("1.0.0.0/24 15169\n")
    with pytest.raises(InputError, match=r"gz:1: not prefix TAB origin AS"):
        full_table.entries(tmp_path, 10)


def test_a_trace_from_a_file(tmp_path):
    path = tmp_path / "ris-x.jsonl.gz"
    message = full_table.update(
        full_table.attributes((Asn(3333), Asn(1)), Ip.parse("198.51.100.9")), b"\x08\x05"
    )
    with gzip.open(path, "wt") as file:
        file.write(json.dumps({"peer_as": 3333, "as4": True, "hex": message.hex()}) + "\n")
    (churn,) = full_table.churn(tmp_path, 0)
    assert churn == (3333, True, [message])
    moved = full_table.through(message, Ip.parse("169.254.1.2"))
    (update,) = decoded(moved, Decoder(SessionParameters("router", Asn(3333), 64601)))
    assert update.attributes.next_hop == Ip.parse("169.254.1.2")
    assert update.announced[0].prefix == Prefix.parse("5.0.0.0/8")
    path.write_bytes(b"no gzip")
    with pytest.raises(InputError, match="is not a gzipped text"):
        full_table.churn(tmp_path, 0)


def test_drawn_churn_is_always_the_same():
    (churn,) = full_table.churn(None, 500)
    assert full_table.churn(None, 500) == [churn]
    by = Decoder(SessionParameters("router", churn.peer, 64601))
    found = decoded(b"".join(churn.messages), by)
    assert {u.verdict for u in found} == {Verdict.OK}
    assert 0.05 < sum(bool(u.withdrawn) for u in found) / 500 < 0.2


def test_what_a_sink_has_heard_is_counted():
    blob = full_table.attributes((Asn(1),), Ip.parse("169.254.1.2"))
    two, three = b"\x18\x14\x00\x00" + b"\x18\x14\x00\x01", b"\x10\x0a\x01\x18\x14\x00\x02"
    octets = full_table.update(blob, two) + full_table.update(blob, three)
    cut = len(octets) - 3
    heard = [(1.0, octets[:40]), (2.0, octets[40:cut]), (3.0, octets[cut:]), (4.0, KEEPALIVE)]
    assert announcing.received(heard) == (3, 3.0)
    again = [*heard, (5.0, full_table.update(blob, two))]
    assert announcing.received(again) == (3, 3.0)
    assert announcing.received([]) == (0, 0.0)


def test_open_is_a_correct_message():
    raw = open_message(Asn(64650), Ip.parse("198.51.100.21"), 180)
    assert decoder().message(raw) == ()
    assert struct.unpack(">HH", raw[20:24]) == (64650, 180)


def dial(port, *answers):
    """A subject that opens, keeps alive, and then sends the answers."""
    got = bytearray()

    def talk():
        with socket.create_connection((ADDRESS, port), timeout=5) as peer:
            peer.sendall(open_message(Asn(64601), Ip.parse("192.0.2.11"), 90) + KEEPALIVE)
            for answer in answers:
                peer.sendall(answer)
            peer.settimeout(2)
            try:
                while piece := peer.recv(65536):
                    got.extend(piece)
            except OSError:
                pass

    thread = threading.Thread(target=talk)
    thread.start()
    return thread, got


def test_the_sender_opens_and_writes():
    message = stream.update(1)
    with Sender() as sender:
        thread, got = dial(sender.port)
        sender.establish(5)
        sender.send(message)
        sender.end_of_rib()
    thread.join(5)
    found = [u for u in decoded(bytes(got)) if hasattr(u, "announced")]
    assert found[0].announced == (stream.route(1),)
    assert found[1].end_of_rib is Family.EVPN


def test_a_subject_that_refuses_is_an_error():
    with Sender() as sender:
        thread, _ = dial(sender.port, notification(6, 2))
        sender.establish(5)
        for _ in range(100):
            if sender.fault:
                break
            threading.Event().wait(0.01)
        with pytest.raises(CcnError, match="NOTIFICATION 6/2"):
            sender.send(stream.update(1))
    thread.join(5)


def test_nobody_dials():
    with Sender() as sender, pytest.raises(UnreachableError, match="nobody dialled"):
        sender.establish(0.05)


def test_frames_are_correct(tmp_path):
    source = tmp_path / "in.pcap"
    destination = int(rows.destination(np.array([3]))[0])
    assert frames.write_pcap(source, [frames.frame(2, destination, 9)]) == 1
    (packet,) = rdpcap(str(source))
    assert len(packet) == frames.LENGTH == 114
    assert (packet[IP].src, packet[IP].dst) == (str(rows.HOST), str(rows.GATEWAY))
    assert packet[VXLAN].vni == rows.FIRST_VPC_VNI + 2
    assert packet[UDP].sport == 49152 + 9
    assert packet[VXLAN][IP].dst == "10.0.3.10"
    again = Ether(bytes(packet))
    for layer in (again[IP], again[VXLAN][IP]):
        right = layer.chksum
        del layer.chksum
        assert IP(bytes(layer)).chksum == right


def test_rows_refer_to_each_other():
    tables = {kind: array for kind, _, array in rows.tables(10, 100)}
    routes, hops = tables[wire.MessageType.ROUTE], tables[wire.MessageType.NEXT_HOP]
    assert len(routes) == 1000
    assert set(routes["next_hop"]) == set(hops["slot"]) == set(range(20))
    assert set(routes["ccsi"]) == set(tables[wire.MessageType.CCSI]["id"])
    assert set(hops["vni"]) == set(tables[wire.MessageType.VNI]["vni"])
    on_link = routes[routes["next_hop"] % 2 == 0]
    held = [
        vm for kind, _, array in rows.tables(10, 100) if kind == wire.MessageType.VM for vm in array
    ]
    vms = {bytes(r["ip"][:3]) for r in held} - {rows.SENDER[:3]}
    assert {bytes(r["prefix"][:3]) for r in on_link} == vms


def test_cases_that_are_not_there():
    assert list(chosen("learn", None)) == [
        "rt5-100k-packed", "rt5-1m-packed", "rt5-1m-single", "rt5-1m-distinct",
        "v4-full-table-2-peers", "withdraw-1m", "peers-100", "update-latency",
        "update-latency-storm", "announce-1m", "announce-100k-50-peers", "ris-trace",
        "inventory-1m", "cold-restart-1m",
    ]  # fmt: skip
    assert list(chosen("learn", "update-latency")) == ["update-latency"]
    with pytest.raises(InputError, match="'learn' has no case 'fast'"):
        chosen("learn", "fast")
    with pytest.raises(InputError, match="there is no bench 'lern'"):
        chosen("lern", None)


def test_the_command_prints_json_alone():
    done = CliRunner().invoke(app, ["bench", "policy", "--case", "eval-100k", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    (figure,) = json.loads(done.stdout)["results"]
    assert set(figure) == {"case", "metric", "unit", "ours", "peers", "ratio"}
    assert figure["ours"] > 0
    assert set(CASES) == {"learn", "verify", "forward", "commit", "policy"}
    assert bench.__doc__


@pytest.mark.parametrize("case", sorted(CASES["verify"]))
def test_the_verifier_finds_nothing_in_the_bench(case):
    figures = list(CASES["verify"][case](QUICK))
    assert all(figure.ours > 0 for figure in figures)


def test_the_bench_of_the_verifier_would_see_a_fault():
    shape = Shape(3, 20, 20)
    verifier, tables = Verifier(verifying._network(shape), GATEWAY), shape.tables()
    verifying.check(verifier, tables)
    table = tables["gw/ccn1"]
    foreign = tuple(o.replace("/ccn1", "/ccn2") for o in table.origins)
    tables["gw/ccn1"] = with_origins(table, foreign)
    with pytest.raises(CcnError, match="clean tables were refused: gw/ccn1 reaches"):
        verifying.check(verifier, tables)


def test_the_bench_of_the_inventory_runs():
    figures = list(CASES["learn"]["inventory-1m"](QUICK))
    assert len(figures) == 3 and all(0 < f.ours < 30 for f in figures)
