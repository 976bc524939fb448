"""The benches' own arithmetic and messages: a figure is only worth what it is made of."""

from __future__ import annotations

import json
import socket
import struct
import threading
from dataclasses import replace

import numpy as np
import pytest
from scapy.all import IP, UDP, VXLAN, Ether, rdpcap
from typer.testing import CliRunner

from ccn_bgp.bench import frames, rows, stream, subject, verifying
from ccn_bgp.bench.cases import CASES, chosen
from ccn_bgp.bench.figure import Figure, median, percentile
from ccn_bgp.bench.sender import ADDRESS, KEEPALIVE, Sender, open_message
from ccn_bgp.bench.verify_tables import GATEWAY, Shape
from ccn_bgp.cli.bench import bench, lines
from ccn_bgp.cli.main import app
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError, InputError, UnreachableError
from ccn_bgp.forwarder import wire
from ccn_bgp.model.bgp import Asn, Family, Ip
from ccn_bgp.session.decode import Decoder, SessionParameters, Verdict
from ccn_bgp.session.encode import notification
from ccn_bgp.table.verify.incremental import Verifier


def decoder():
    return Decoder(SessionParameters("sender", stream.SENDER_ASN, 64601))


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
        f"{'c':<18}{'time':<30}{'1.235':>12} s   frr 2.469 (ours 2.00 x)"
    ]


def test_percentiles():
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert percentile(range(101), 99) == 99
    assert percentile([7], 99) == 7
    with pytest.raises(ValueError, match="no samples"):
        median([])


def test_the_stream_is_what_it_says():
    messages = stream.updates(range(250), 100)
    assert [len(m) <= 4096 for m in messages] == [True] * 3
    found = [u for m in messages for u in decoder().message(m)]
    assert [u.verdict for u in found] == [Verdict.OK] * 3
    assert [len(u.announced) for u in found] == [100, 100, 50]
    said = [n for u in found for n in u.announced]
    assert said == [stream.route(i) for i in range(250)]
    assert len({n.key for n in said}) == 250
    assert found[0].attributes == stream.attributes()
    (gone,) = decoder().message(stream.withdrawal(7))
    assert gone.withdrawn[0].key == stream.route(7).key
    with pytest.raises(ValueError, match="do not fit"):
        stream.updates(range(200), 200)


def test_the_topology_of_the_subject_is_valid(tmp_path):
    file = tmp_path / "bench.yaml"
    file.write_text(subject.topology(1790))
    topology = load_topology(file)
    assert topology.gateways["gw"].asn == 64601
    assert topology.ccns["retail"].vni == stream.CCN_VNI


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
    message = stream.updates([1], 1)[0]
    with Sender() as sender:
        thread, got = dial(sender.port)
        sender.establish(5)
        sender.send(message)
        sender.end_of_rib()
    thread.join(5)
    found = [u for u in decoder().block(bytes(got)) if hasattr(u, "announced")]
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
            sender.send(stream.updates([1], 1)[0])
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
    vms = {bytes(r["ip"][:3]) for r in tables[wire.MessageType.VM]}
    assert {bytes(r["prefix"][:3]) for r in on_link} == vms


def test_cases_that_are_not_there():
    assert list(chosen("learn", None)) == [
        "rt5-100k-packed", "rt5-1m-packed", "update-latency", "inventory-1m",
    ]  # fmt: skip
    assert list(chosen("learn", "update-latency")) == ["update-latency"]
    with pytest.raises(InputError, match="'learn' has no case 'fast'"):
        chosen("learn", "fast")
    with pytest.raises(InputError, match="there is no bench 'lern'"):
        chosen("lern", None)


def test_the_command_prints_json_alone():
    done = CliRunner().invoke(app, ["bench", "policy", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    (figure,) = json.loads(done.stdout)["results"]
    assert set(figure) == {"case", "metric", "unit", "ours", "peers", "ratio"}
    assert figure["ours"] > 0
    assert set(CASES) == {"learn", "verify", "forward", "commit", "policy"}
    assert bench.__doc__


@pytest.mark.parametrize("case", sorted(CASES["verify"]))
def test_the_verifier_finds_nothing_in_the_bench(case):
    figures = list(CASES["verify"][case](True, lambda line: None))
    assert all(figure.ours > 0 for figure in figures)


def test_the_bench_of_the_verifier_would_see_a_fault():
    shape = Shape(3, 20, 20)
    verifier, tables = Verifier(verifying._network(shape), GATEWAY), shape.tables()
    verifying.check(verifier, tables)
    table = tables["gw/ccn1"]
    foreign = tuple(o.replace("/ccn1", "/ccn2") for o in table.origins)
    tables["gw/ccn1"] = replace(table, origins=foreign)
    with pytest.raises(CcnError, match="clean tables were refused: gw/ccn1 reaches"):
        verifying.check(verifier, tables)


def test_the_bench_of_the_inventory_runs():
    figures = list(CASES["learn"]["inventory-1m"](True, lambda line: None))
    assert len(figures) == 3 and all(0 < f.ours < 30 for f in figures)
