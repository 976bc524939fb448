"""Recordings: what stands in an MRT file, how files take turns, and how a recording ends."""

import errno
import logging
import os
import time

import mrtparse
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.errors import InputError
from ccn_bgp.model.bgp import Asn, Family, Ip, Mac
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.topology import Gateway
from ccn_bgp.session import record
from ccn_bgp.session.events import OpenFacts
from ccn_bgp.session.mrt import (
    Frame,
    Link,
    Message,
    MrtError,
    Opened,
    State,
    StateChange,
    message_records,
    open_message,
    opened,
    records,
    state_record,
    whole_records,
)
from ccn_bgp.session.record import Bounds, Recorder

END_OF_RIB = b"\xff" * 16 + b"\0\x17\x02" + bytes(4)
WHEN = 1_800_000_000_123_456
GATEWAY = Gateway(
    "bj-gw1", "beijing", Asn(64601), Ip.parse("192.0.2.11"), Ip.parse("192.0.2.11"),
    Mac.parse("02:cc:c0:00:02:0b"), (),
)  # fmt: skip
FACTS = OpenFacts(
    asn=Asn(65101), router_id=Ip.parse("10.0.0.1"), hold_time=90, asn4=True,
    families=frozenset(Family), route_refresh=True, enhanced_refresh=True, max_message=65535,
    restart_time=120, restarted=True, restart_families=frozenset(Family),
    forwarding=frozenset((Family.EVPN,)),
)  # fmt: skip


def peer(name, address="169.254.1.2", asn=65101):
    return Peer(
        name=name, role="idc", asn=Asn(asn), address=Ip.parse(address),
        local_address=Ip.parse("169.254.1.1" if ":" not in address else "fd00::1"),
        local_asn=Asn(64601), router_id=Ip.parse("10.11.0.100"), port=179, passive=False,
        source_interface=None, password_file=None,
    )  # fmt: skip


def read(path):
    with path.open("rb") as file:
        return list(records(file))


def named_only(made):
    """Only families that were named can have the F bit."""
    values = {name: getattr(made, name) for name in made.__slots__}
    return OpenFacts(**{**values, "forwarding": made.forwarding & made.restart_families})


families = st.frozensets(st.sampled_from(list(Family)))
facts = st.builds(
    OpenFacts,
    asn=st.integers(1, 2**32 - 1).map(Asn),
    router_id=st.binary(min_size=4, max_size=4).map(Ip),
    hold_time=st.integers(0, 65535),
    asn4=st.just(True),
    families=families.filter(bool),
    route_refresh=st.booleans(),
    enhanced_refresh=st.booleans(),
    max_message=st.sampled_from((4096, 65535)),
    restart_time=st.integers(0, 4095),
    restarted=st.booleans(),
    restart_families=families,
    forwarding=families,
).map(named_only)


@given(facts, st.text("abc-_9", min_size=1, max_size=63))
def test_an_open_says_what_was_agreed_and_who_it_is(found, name):
    octets = open_message(found, name, "bj-gw1")
    assert int.from_bytes(octets[16:18], "big") == len(octets)
    assert opened(octets) == Opened(found, name, "bj-gw1")


def test_a_session_of_2_octet_as_numbers_is_a_plain_message(tmp_path):
    link = Link(4_200_000_000, 64601, 7, Ip.parse("169.254.1.2"), Ip.parse("169.254.1.1"))
    frame = Frame.of(link, asn4=False)
    file = tmp_path / "a.mrt"
    change = state_record(WHEN, frame, State.OPEN_CONFIRM, State.ESTABLISHED)
    file.write_bytes(message_records(WHEN, frame, END_OF_RIB * 2) + change)
    trans = link._replace(peer_asn=23456)
    assert read(file) == [
        Message(WHEN, trans, END_OF_RIB, False, False),
        Message(WHEN, trans, END_OF_RIB, False, False),
        StateChange(WHEN, link, 5, 6),
    ]
    found = [r.data for r in mrtparse.Reader(str(file))]
    assert [next(iter(r["subtype"].values())) for r in found] == [
        "BGP4MP_MESSAGE", "BGP4MP_MESSAGE", "BGP4MP_STATE_CHANGE_AS4",
    ]  # fmt: skip
    assert found[0]["peer_as"] == "23456" and found[0]["microsecond_timestamp"] == 123456


def test_mrtparse_reads_an_open_of_ours(tmp_path):
    link = Link(65101, 64601, 3, Ip.parse("2001:db8::2"), Ip.parse("2001:db8::1"))
    file = tmp_path / "a.mrt"
    octets = open_message(FACTS, "lf-r1", "bj-gw1")
    file.write_bytes(message_records(WHEN, Frame.of(link, asn4=True), octets))
    (found,) = [r.data for r in mrtparse.Reader(str(file))]
    assert found["peer_ip"] == "2001:db8::2" and found["ifindex"] == 3
    said = found["bgp_message"]
    assert (said["local_as"], said["holdtime"], said["bgp_id"]) == (65101, 90, "10.0.0.1")
    assert sum(1 in {int(k) for k in p["type"]} for p in said["optional_parameters"]) == 3


@settings(max_examples=300)
@given(st.data())
def test_damaged_octets_are_an_mrt_error_and_nothing_else(tmp_path_factory, data):
    link = Link(65101, 64601, 3, Ip.parse("169.254.1.2"), Ip.parse("169.254.1.1"))
    frame = Frame.of(link, asn4=True)
    good = message_records(WHEN, frame, open_message(FACTS, "a", "b") + END_OF_RIB)
    good += state_record(WHEN, frame, State.ESTABLISHED, State.IDLE)
    octets = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("mrt", numbered=True) / "a.mrt"
    file.write_bytes(octets[: data.draw(st.integers(0, len(good)))])
    try:
        for found in read(file):
            if isinstance(found, Message) and found.octets[18] == 1:
                opened(found.octets)
    except MrtError as error:
        assert 0 <= error.at < len(good) and "\n" not in str(error)
    except ValueError as error:
        assert str(error).startswith("an OPEN")
    file.unlink()


def test_whole_records_of_a_cut():
    frame = Frame.of(Link(1, 2, 3, Ip(bytes(4)), Ip(bytes(4))), asn4=True)
    octets = message_records(WHEN, frame, END_OF_RIB * 3)
    one = len(octets) // 3
    assert [whole_records(octets, n) for n in (0, one - 1, one, one + 1, 3 * one)] == [
        0, 0, one, one, 3 * one,
    ]  # fmt: skip


def test_sessions_with_equal_addresses_stay_apart(tmp_path):
    recorder = Recorder(tmp_path, GATEWAY)
    for name in ("lf-r1", "tj-r1"):
        recorder.up(peer(name), FACTS)
        recorder.heard(name, END_OF_RIB)
    recorder.heard("lf-r1", END_OF_RIB * 2)
    recorder.heard("never-up", END_OF_RIB)
    recorder.left("tj-r1", State.ACTIVE)
    recorder.swept("tj-r1", up=False)
    recorder.close()
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("bj-gw1.000001.2") and file.suffix == ".mrt"
    begin, *found = read(file)
    assert begin.link == Link(64601, 64601, 0, GATEWAY.vtep, GATEWAY.vtep)
    assert (begin.old, begin.new) == (State.IDLE, State.CONNECT)
    names = {
        r.link.number: opened(r.octets).peer
        for r in found
        if type(r) is Message and r.octets[18] == 1
    }
    assert names == {1: "lf-r1", 2: "tj-r1"}
    assert [r.link.number for r in found if type(r) is Message and r.octets == END_OF_RIB] == [
        1,
        2,
        1,
        1,
    ]
    assert [(r.link.number, r.old, r.new) for r in found if type(r) is StateChange] == [
        (1, 5, 6), (2, 5, 6), (2, 6, 3), (2, 1, 1),
    ]  # fmt: skip
    assert [r.when for r in found] == sorted(r.when for r in found)


def written(recorder, messages):
    """Hand over and wait until it is in the file."""
    recorder.heard("lf-r1", messages)
    end = time.monotonic() + 10
    while recorder._given != recorder._taken:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_files_take_turns_and_the_oldest_go(tmp_path):
    recorder = Recorder(tmp_path, GATEWAY, Bounds(file_octets=2000, total_octets=10_000))
    recorder.up(peer("lf-r1"), FACTS)
    (tmp_path / "hk-gw1.000001.20260101T000000Z.mrt").write_bytes(bytes(50_000))
    for _ in range(100):
        written(recorder, END_OF_RIB * 10)
    recorder.close()
    files = sorted(p for p in tmp_path.iterdir() if p.name.startswith("bj-gw1."))
    sizes = [p.stat().st_size for p in files]
    assert sum(sizes) <= 10_000 and all(size <= 2000 for size in sizes) and len(files) >= 3
    numbers = [int(p.name.split(".")[1]) for p in files]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)) and numbers[0] > 10
    # Each says by itself whose messages it holds; the other gateway's file is not ours to remove.
    assert all(opened(read(p)[0].octets).peer == "lf-r1" for p in files)
    assert len(list(tmp_path.iterdir())) == len(files) + 1

    again = Recorder(tmp_path, GATEWAY, Bounds(2000, 3600, 10_000))
    again.close()
    assert max(int(p.name.split(".")[1]) for p in tmp_path.glob("bj*")) == numbers[-1] + 1


def test_files_take_turns_by_age(tmp_path):
    recorder = Recorder(tmp_path, GATEWAY, Bounds(file_seconds=0.05))
    recorder.up(peer("lf-r1"), FACTS)
    written(recorder, END_OF_RIB)
    time.sleep(0.1)
    assert len(list(tmp_path.iterdir())) == 1  # nothing is said: no file either
    written(recorder, END_OF_RIB)
    recorder.close()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_ends_the_recording_with_one_line(tmp_path, monkeypatch, caplog):
    recorder = Recorder(tmp_path, GATEWAY)
    recorder.up(peer("lf-r1"), FACTS)
    written(recorder, END_OF_RIB)
    room, write = [150], os.write

    def full(descriptor, octets):
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(descriptor, octets[: room[0]])
        room[0] -= count
        return count

    (file,) = tmp_path.iterdir()
    before = len(read(file))
    with caplog.at_level(logging.ERROR), monkeypatch.context() as patch:
        patch.setattr(record.os, "write", full)
        written(recorder, END_OF_RIB * 100)
        for _ in range(10):
            written(recorder, END_OF_RIB)
    recorder.close()
    assert recorder.failed
    (line,) = caplog.messages
    assert line == f"recording ends, learning goes on: {file}: No space left on device"
    assert len(read(file)) == before + 150 // (23 + 12 + 4 + 20)


def test_a_disk_that_is_too_slow_ends_it_too(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(record, "BACKLOG", 1000)
    recorder = Recorder(tmp_path, GATEWAY)
    recorder.up(peer("lf-r1"), FACTS)
    with caplog.at_level(logging.ERROR), monkeypatch.context() as patch:
        patch.setattr(recorder, "_write", lambda _: time.sleep(0.2))
        begun = time.monotonic()
        for _ in range(1000):
            recorder.heard("lf-r1", END_OF_RIB)
        assert time.monotonic() - begun < 0.15, "the event loop was held up"
    recorder.close()
    assert recorder.failed and len(caplog.messages) == 1


def test_a_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: cannot record there.*give another --record"):
        Recorder(tmp_path / "file", GATEWAY)
