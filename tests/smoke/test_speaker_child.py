"""The speaker against raw BGP peers on loopback: a real ExaBGP child, no root, no other daemon."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import time
from pathlib import Path

import pytest

from ccn_bgp.errors import CcnError, InputError
from ccn_bgp.model.bgp import Asn, Family, Ip
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.session.bgp_stream import KEEPALIVE, MARKER, NOTIFICATION, OPEN, UPDATE
from ccn_bgp.session.events import (
    AttemptFailed,
    Block,
    SessionDown,
    SessionUp,
    SpeakerDown,
    SpeakerUp,
)
from ccn_bgp.session.speaker import Speaker

HOLD = 3
GR = 64


def message(kind, body=b""):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def update(withdrawn=b"", attributes=b"", nlri=b""):
    parts = struct.pack("!H", len(withdrawn)), withdrawn, struct.pack("!H", len(attributes))
    return message(UPDATE, b"".join((*parts, attributes, nlri)))


def type5_update(first, count=100):
    """One UPDATE with ``count`` EVPN type-5 routes (RFC 9136), ours by their numbers."""
    nlri = b"".join(
        b"\x05\x22" + b"\0\1\xc0\0\2\x01\0\x64" + bytes(14) + b"\x20" + (0x0A000000 + n).to_bytes(4)
        + bytes(4) + b"\x00\x4e\x84"
        for n in range(first, first + count)
    )  # fmt: skip
    reach = b"\0\x19\x46\x04\xc0\0\2\x01\0" + nlri
    attributes = (
        b"\x40\x01\x01\0" + b"\x40\x02\x06\x02\x01" + (65001).to_bytes(4)
        + b"\x90\x0e" + len(reach).to_bytes(2) + reach
    )  # fmt: skip
    return update(attributes=attributes)


END_OF_RIB_EVPN = update(attributes=b"\x80\x0f\x03\0\x19\x46")
REFRESH_EVPN = message(5, b"\0\x19\0\x46")


class RawPeer:
    """A BGP speaker reduced to OPEN and KEEPALIVE; everything else is up to the test."""

    def __init__(self, asn=65001, hold=HOLD, address="127.0.0.1", capabilities=None):
        self.capabilities = capabilities
        self.first = b""  # in the place of the OPEN
        self.asn, self.hold, self.address, self.port = asn, hold, address, 0
        self.up = asyncio.Event()
        self.opens, self.messages, self.closed = [], [], asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.connections = 0

    async def listen(self, port=0):
        self.server = await asyncio.start_server(self._session, self.address, port, limit=1 << 16)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def dial(self, address, port):
        for _ in range(100):
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    address, port, local_addr=(self.address, 0)
                )
                self.task = asyncio.create_task(self._session(reader, writer))
                return self
            await asyncio.sleep(0.05)
        raise AssertionError("nobody listens")

    async def _session(self, reader, writer):
        self.writer = writer
        self.connections += 1
        self.closed.clear()
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        capabilities = (
            b"\x01\x04\0\x19\0\x46" + b"\x41\x04" + self.asn.to_bytes(4) + b"\x02\x00"
            + b"\x46\x00" + b"\x06\x00" + b"\x40\x06\x00\x78\0\x19\x46\x80"
        )  # fmt: skip
        if self.capabilities is not None:
            capabilities = self.capabilities
        writer.write(
            self.first
            or message(
                OPEN,
                struct.pack("!BHH", 4, 23456 if self.asn > 65535 else self.asn, self.hold)
                + b"\x0a\x09\x09\x09"
                + bytes((len(capabilities) + 2, 2, len(capabilities)))
                + capabilities,
            )
        )
        alive = asyncio.create_task(self._alive(writer))
        try:
            while True:
                await self.reading.wait()
                header = await reader.readexactly(19)
                assert header[:16] == MARKER
                length, kind = struct.unpack("!HB", header[16:])
                body = await reader.readexactly(length - 19)
                if kind == OPEN:
                    self.opens.append(body)
                    writer.write(message(KEEPALIVE))
                else:
                    if kind == KEEPALIVE:
                        self.up.set()
                    self.messages.append((kind, header + body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            alive.cancel()
            writer.close()
            self.up.clear()
            self.closed.set()

    async def _alive(self, writer):
        while True:
            await asyncio.sleep(self.hold / 3)
            with contextlib.suppress(ConnectionError):
                writer.write(message(KEEPALIVE))

    async def send(self, octets):
        self.writer.write(octets)
        await self.writer.drain()

    def kinds(self, kind):
        return [octets for k, octets in self.messages if k == kind]

    def restart_capability(self, number=-1):
        """(R bit, {family: flags}) of the OPEN that we received (RFC 4724)."""
        body = self.opens[number]
        at = 10
        while at < len(body):
            end = at + 2 + body[at + 1]
            at += 2
            while at < end:
                code, length = body[at], body[at + 1]
                value = body[at + 2 : at + 2 + length]
                at += 2 + length
                if code == GR:
                    families = {value[i : i + 3]: value[i + 3] for i in range(2, length, 4)}
                    assert not value[0] & 0x40, "the N bit of RFC 8538 is not ours to set"
                    return bool(value[0] & 0x80), families
        raise AssertionError("no graceful restart in the OPEN")


def peer_of(raw, name="p1", **changes):
    values = {
        "name": name,
        "role": "host",
        "asn": Asn(raw.asn),
        "address": Ip.parse(raw.address),
        "local_address": Ip.parse("127.0.0.9"),
        "local_asn": Asn(64601),
        "router_id": Ip.parse("192.0.2.11"),
        "port": raw.port,
        "passive": False,
        "source_interface": None,
        "password_file": None,
    }
    return Peer(**{**values, **changes})


class Log:
    """All events of a speaker, with something to wait on."""

    def __init__(self, speaker):
        self.events = []
        self.octets = {}
        self._news = asyncio.Event()
        self.paused = asyncio.Event()
        self.paused.set()
        self.step = asyncio.Event()  # one event more, while paused
        self.task = asyncio.create_task(self._run(speaker))

    async def _run(self, speaker):
        async for event in speaker.events():
            if isinstance(event, Block):
                self.octets.setdefault(event.peer, bytearray()).extend(event.messages)
            else:
                self.events.append(event)
            self._news.set()
            await asyncio.wait(
                [asyncio.ensure_future(e.wait()) for e in (self.paused, self.step)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            self.step.clear()

    async def until(self, condition, seconds=10):
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.05)

    def of(self, kind):
        return [e for e in self.events if isinstance(e, kind)]


@contextlib.asynccontextmanager
async def running(state, peers, **options):
    speaker = Speaker("t", peers, state, hold_time=HOLD, **options)
    await speaker.start()
    log = Log(speaker)
    try:
        yield speaker, log
    finally:
        log.paused.set()
        await speaker.stop()
        await asyncio.wait_for(log.task, 5)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_session_up_says_what_was_agreed(tmp_path):
    async def body():
        raw = await RawPeer(asn=4200000001).listen()
        async with running(tmp_path, [peer_of(raw)]) as (speaker, log):
            await log.until(lambda: log.of(SessionUp))
            assert log.events[0] == SpeakerUp()
            up = log.of(SessionUp)[0]
            facts = up.open_received
            assert up.peer == "p1"
            assert (facts.asn, str(facts.router_id), facts.hold_time) == (4200000001, "10.9.9.9", 3)
            assert facts.families == facts.forwarding == {Family.EVPN}
            assert facts.asn4 and facts.route_refresh and facts.enhanced_refresh
            assert facts.extended_message and facts.restart_time == 120 and not facts.restarted
            restarted, families = raw.restart_capability()
            assert not restarted and families == {b"\0\x19\x46": 0}
            pid_file = tmp_path / "speaker-t.pid"
            assert int(pid_file.read_text()) == speaker.pid
            assert (tmp_path / "speaker-t.conf").stat().st_mode & 0o777 == 0o600
        assert [p.name for p in tmp_path.iterdir() if p.suffix in (".pid", ".sock", ".conf")] == []

    run(body())


def test_messages_arrive_whole_and_in_order(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        async with running(tmp_path, [peer_of(raw)]) as (_, log):
            await log.until(lambda: log.of(SessionUp))
            updates = [type5_update(n) for n in range(0, 100_000, 100)]
            updates.insert(500, REFRESH_EVPN)
            stream = b"".join([*updates, END_OF_RIB_EVPN, REFRESH_EVPN])
            mixed = b"".join(
                [b"".join(updates[:300]), message(KEEPALIVE), b"".join(updates[300:]),
                 message(KEEPALIVE), END_OF_RIB_EVPN, REFRESH_EVPN]
            )  # fmt: skip
            since = time.monotonic()
            for at in range(0, len(mixed), 77_777):  # TCP does not know where messages begin
                await raw.send(mixed[at : at + 77_777])
            await log.until(lambda: len(log.octets.get("p1", b"")) >= len(stream))
            print(f"{100_000 / (time.monotonic() - since):,.0f} type-5 routes/s to the consumer")
            assert log.octets["p1"] == stream
            assert not log.of(SessionDown)

    run(body())


def test_malformed_updates_pass_and_broken_headers_do_not(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        async with running(tmp_path, [peer_of(raw)]) as (_, log):
            await log.until(lambda: log.of(SessionUp))
            bad = update(attributes=b"\x40\x01\x02\x00\x00") + message(UPDATE, b"\xff" * 60)
            await raw.send(bad)
            await log.until(lambda: log.octets.get("p1") == bad)
            await raw.send(type5_update(1) + MARKER + b"\0\x13\x09" + type5_update(2))
            await log.until(lambda: log.of(SessionDown))
            assert log.octets["p1"] == bad + type5_update(1)
            await raw.closed.wait()
            assert [n[19:] for n in raw.kinds(NOTIFICATION)] == [b"\x01\x03\x09"]
            assert "Bad Message Type" in log.of(SessionDown)[0].reason

    run(body())


def test_a_notification_is_told_as_the_reason(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        async with running(tmp_path, [peer_of(raw)]) as (_, log):
            await log.until(lambda: log.of(SessionUp))
            await raw.send(type5_update(1) + message(NOTIFICATION, b"\x06\x04\x04b\nye"))
            await log.until(lambda: log.of(SessionDown))
            assert log.octets["p1"] == type5_update(1)
            reason = log.of(SessionDown)[0].reason
            assert reason == (
                "NOTIFICATION received: Cease / Administrative Reset / "
                'Shutdown Communication: "b ye"'
            )
            assert not raw.kinds(NOTIFICATION)

    run(body())


@pytest.mark.parametrize("established", [False, True])
@pytest.mark.parametrize("body", [b"", b"\x06"])
def test_a_notification_that_is_too_short_is_not_answered(tmp_path, established, body):
    """RFC 4271 §6.4."""

    async def play():
        raw = await RawPeer().listen()
        raw.first = b"" if established else message(NOTIFICATION, body)
        async with running(tmp_path, [peer_of(raw)]) as (_, log):
            if established:
                await log.until(lambda: log.of(SessionUp))
                await raw.send(message(NOTIFICATION, body) + message(KEEPALIVE))
            ends = SessionDown if established else AttemptFailed
            await log.until(lambda: log.of(ends))
            assert f"a NOTIFICATION of {19 + len(body)} octets" in log.of(ends)[0].reason
            await asyncio.wait_for(raw.closed.wait(), 5)
            assert not raw.kinds(NOTIFICATION)

    run(play())


EVPN, IPV4 = b"\x01\x04\0\x19\0\x46", b"\x01\x04\0\x01\0\x01"


def four_octets(asn):
    return b"\x41\x04" + asn.to_bytes(4)


@pytest.mark.parametrize(
    ("raw", "changes", "notification", "words"),
    [
        (RawPeer(), {"asn": Asn(65002)}, b"\x02\x02", "did not match ASN expected (65002)"),
        (RawPeer(hold=1), {}, b"\x02\x06", "Unacceptable Hold Time"),
        # RFC 6793 §4.1: the two places say different things.
        (
            RawPeer(capabilities=EVPN + four_octets(65002)), {}, b"\x02\x02",
            "AS 65001 in OPEN, AS 65002 in its capability",
        ),
        # RFC 6286 §2.2, also where the AS number does not fit into the OPEN.
        (
            RawPeer(asn=4200000001),
            {"local_asn": Asn(4200000001), "router_id": Ip.parse("10.9.9.9")},
            b"\x02\x03", "10.9.9.9 is also our BGP Identifier",
        ),
        # Without a common family there is nothing to say, and nothing would show why.
        (
            RawPeer(capabilities=IPV4 + four_octets(65001)), {},
            b"\x02\x07\x01\x04\x00\x19\x00\x46", "no address family of this session",
        ),
        (RawPeer(capabilities=b""), {}, b"\x02\x07", "no address family of this session"),
    ],
)  # fmt: skip
def test_an_open_that_is_not_accepted_is_told_once(tmp_path, raw, changes, notification, words):
    async def body():
        raw.up, raw.closed, raw.reading = asyncio.Event(), asyncio.Event(), asyncio.Event()
        raw.reading.set()
        await raw.listen()
        async with running(tmp_path, [peer_of(raw, **changes)]) as (_, log):
            await log.until(lambda: raw.connections > 1)
            (failed,) = log.of(AttemptFailed)
            assert words in failed.reason and "NOTIFICATION sent" in failed.reason
            assert raw.kinds(NOTIFICATION)[0][19:].startswith(notification)
            assert not log.of(SessionUp)

    run(body())


def test_what_is_sent_stays_whole_between_keepalives(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        async with running(tmp_path, [peer_of(raw)]) as (speaker, log):
            await log.until(lambda: log.of(SessionUp))
            raw.messages.clear()
            raw.reading.clear()  # its TCP window closes; its KEEPALIVEs go on
            sent = [b"".join(type5_update(n) for n in range(k, k + 8000, 100)) for k in range(100)]
            for piece in sent:
                speaker.send("p1", piece)
            total = sum(map(len, sent))
            await asyncio.sleep(HOLD * 1.5)
            assert total // 2 < speaker.backlog("p1") <= total
            assert not log.of(SessionDown)
            raw.reading.set()
            await log.until(lambda: speaker.backlog("p1") == 0, 30)
            await log.until(lambda: sum(map(len, raw.kinds(UPDATE))) >= total, 30)
            assert b"".join(raw.kinds(UPDATE)) == b"".join(sent)
            assert len(raw.kinds(KEEPALIVE)) >= 3
            assert len(raw.opens) == 1

    run(body())


def test_what_is_for_many_reaches_each_and_waits_for_none(tmp_path):
    """One of them does not read: the others have all of it, and he gets it later."""

    async def body():
        raws = [await RawPeer(address=f"127.0.0.{n}").listen() for n in (1, 2, 3)]
        names = ["p1", "p2", "slow"]
        peers = [peer_of(raw, name) for raw, name in zip(raws, names, strict=True)]
        async with running(tmp_path, peers) as (speaker, log):
            await log.until(lambda: len(log.of(SessionUp)) == 3)
            for raw in raws:
                raw.messages.clear()
            raws[2].reading.clear()
            sent = [b"".join(type5_update(n) for n in range(k, k + 8000, 100)) for k in range(60)]
            for piece in sent:
                speaker.send_to(names, piece)
            speaker.send("p2", END_OF_RIB_EVPN)
            speaker.send_to(["nobody"], END_OF_RIB_EVPN)
            total = b"".join(sent)
            await log.until(lambda: speaker.backlog("p1") == speaker.backlog("p2") == 0, 30)
            await log.until(lambda: len(b"".join(raws[1].kinds(UPDATE))) > len(total), 30)
            await log.until(lambda: len(b"".join(raws[0].kinds(UPDATE))) == len(total), 30)
            assert speaker.backlog("slow") > len(total) // 4
            assert b"".join(raws[0].kinds(UPDATE)) == total
            assert b"".join(raws[1].kinds(UPDATE)) == total + END_OF_RIB_EVPN
            raws[2].reading.set()
            await log.until(lambda: len(b"".join(raws[2].kinds(UPDATE))) == len(total), 30)
            assert b"".join(raws[2].kinds(UPDATE)) == total
            assert not log.of(SessionDown)

    run(body())


def test_a_gateway_that_does_not_read_costs_neither_session_nor_memory(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        quiet = await RawPeer(address="127.0.0.2").listen()
        peers = [peer_of(raw), peer_of(quiet, "quiet")]
        async with running(tmp_path, peers) as (speaker, log):
            await log.until(lambda: len(log.of(SessionUp)) == 2)
            log.paused.clear()
            block = b"".join(type5_update(n) for n in range(0, 20_000, 100))
            count = 60 * (1 << 20) // len(block)

            async def blast():
                for _ in range(count):
                    await raw.send(block)

            blasting = asyncio.create_task(blast())
            await asyncio.sleep(HOLD * 2.5)
            assert not blasting.done()  # back-pressure has reached the peer's TCP
            assert rss(speaker.pid) < 120 << 20
            before = cpu(speaker.pid)
            await asyncio.sleep(1)
            assert cpu(speaker.pid) - before < 0.3  # waits, does not spin
            await quiet.send(type5_update(7))
            log.paused.set()
            await blasting
            await log.until(lambda: len(log.octets["p1"]) >= count * len(block), 30)
            await log.until(lambda: log.octets.get("quiet") == type5_update(7))
            assert log.octets["p1"] == block * count
            assert not log.of(SessionDown)
            assert raw.connections == quiet.connections == 1

    run(body())


def test_who_says_little_does_not_wait_for_who_says_much(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        quiet = await RawPeer(address="127.0.0.2").listen()
        peers = [peer_of(raw), peer_of(quiet, "quiet")]
        async with running(tmp_path, peers) as (_, log):
            await log.until(lambda: len(log.of(SessionUp)) == 2)
            log.paused.clear()
            block = b"".join(type5_update(n) for n in range(0, 20_000, 100))
            blasting = asyncio.create_task(raw.send(block * 20))
            await asyncio.sleep(0.5)
            await quiet.send(type5_update(7))
            await asyncio.sleep(0.5)
            log.step.set()
            while "quiet" not in log.octets:
                log.step.set()
                await asyncio.sleep(0.01)
            assert len(log.octets["p1"]) < 1 << 20, "that of which the others had to wait"
            log.paused.set()
            await blasting
            await log.until(lambda: log.octets["p1"] == block * 20, 30)

    run(body())


def rss(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_teardown_notifies_and_old_octets_are_dropped(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        async with running(tmp_path, [peer_of(raw)]) as (speaker, log):
            await log.until(lambda: log.of(SessionUp))
            speaker.teardown("p1", 6, 1)
            speaker.send("p1", type5_update(1))
            await log.until(lambda: len(log.of(SessionUp)) == 2)
            down = log.of(SessionDown)
            assert len(down) == 1 and "Maximum Number of Prefixes" in down[0].reason
            assert [n[19:21] for n in raw.kinds(NOTIFICATION)] == [b"\x06\x01"]
            speaker.send("p1", type5_update(2))
            await log.until(lambda: raw.kinds(UPDATE))
            assert raw.kinds(UPDATE)[-1] == type5_update(2)
            speaker.send("nobody", type5_update(3))  # no session: dropped
            assert speaker.backlog("nobody") == 0

    run(body())


def test_a_dead_child_is_replaced_and_sets_the_r_bit(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        async with running(tmp_path, [peer_of(raw)]) as (speaker, log):
            await log.until(lambda: log.of(SessionUp))
            pid = speaker.pid
            os.kill(pid, signal.SIGKILL)
            await log.until(lambda: len(log.of(SessionUp)) == 2)
            kinds = [type(e) for e in log.events]
            assert kinds == [SpeakerUp, SessionUp, SessionDown, SpeakerDown, SpeakerUp, SessionUp]
            assert "signal 9" in log.of(SpeakerDown)[0].reason
            assert speaker.pid not in (None, pid)
            assert [raw.restart_capability(n)[0] for n in (0, 1)] == [False, True]
            assert not raw.kinds(NOTIFICATION)
            await raw.send(type5_update(1))
            await log.until(lambda: log.octets.get("p1") == type5_update(1))
            # A session that breaks by itself is no restart of ours.
            raw.writer.close()
            await log.until(lambda: len(log.of(SessionUp)) == 3)
            assert raw.restart_capability(2)[0] is False

    run(body())


def test_the_f_bit_says_what_the_gateway_knows(tmp_path):
    async def body():
        a, b = [await RawPeer(address=f"127.0.0.{n}", asn=65000 + n).listen() for n in (1, 2)]
        peers = [peer_of(a, "a"), peer_of(b, "b")]

        def flags(raw):
            return set(raw.restart_capability()[1].values())

        async with running(tmp_path, peers, preserved=frozenset("a")) as (speaker, log):
            await log.until(lambda: len(log.of(SessionUp)) == 2)
            assert (flags(a), flags(b)) == ({0x80}, {0})  # in the very first OPEN
            speaker.preserve(frozenset("b"))
            await asyncio.sleep(0.2)
            for raw in (a, b):
                raw.writer.close()
            await log.until(lambda: len(log.of(SessionUp)) == 4)
            assert (flags(a), flags(b)) == ({0}, {0x80})
            os.kill(speaker.pid, signal.SIGKILL)  # the next child is told before it dials
            await log.until(lambda: len(log.of(SessionUp)) == 6)
            assert (flags(a), flags(b)) == ({0}, {0x80})

    run(body())


def test_sigterm_says_cease_and_the_child_comes_back(tmp_path):
    async def body():
        raw = await RawPeer().listen()
        async with running(tmp_path, [peer_of(raw)]) as (speaker, log):
            await log.until(lambda: log.of(SessionUp))
            os.kill(speaker.pid, signal.SIGTERM)
            await log.until(lambda: len(log.of(SessionUp)) == 2)
            assert [n[19:21] for n in raw.kinds(NOTIFICATION)] == [b"\x06\x02"]
            assert "exit code 0" in log.of(SpeakerDown)[0].reason

    run(body())


def test_a_peer_that_is_not_there_yet_is_dialled_calmly(tmp_path):
    async def body():
        late = RawPeer(address="127.0.0.6")
        with socket.create_server((late.address, 0)) as free:
            late.port = free.getsockname()[1]
        async with running(tmp_path, [peer_of(late)]) as (speaker, log):
            await asyncio.sleep(2)
            before = cpu(speaker.pid)
            await asyncio.sleep(1)
            assert cpu(speaker.pid) - before < 0.2
            await late.listen(late.port)
            await log.until(lambda: log.of(SessionUp), 2)
            assert late.connections == 1

    run(body())


@pytest.mark.parametrize(("keep_routes", "notifications"), [(False, [b"\x06\x02"]), (True, [])])
def test_stop_says_cease_or_nothing(tmp_path, keep_routes, notifications):
    async def body():
        raw = await RawPeer().listen()
        speaker = Speaker("t", [peer_of(raw)], tmp_path, hold_time=HOLD, restarting=True)
        await speaker.start()
        log = Log(speaker)
        await log.until(lambda: log.of(SessionUp))
        pid = speaker.pid
        await speaker.stop(keep_routes=keep_routes)
        await asyncio.wait_for(raw.closed.wait(), 5)
        await asyncio.wait_for(log.task, 5)
        assert [n[19:21] for n in raw.kinds(NOTIFICATION)] == notifications
        assert raw.restart_capability()[0]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run(body())


def test_reconfigure_touches_only_what_changed(tmp_path, caplog):
    async def body():
        a, b, c, d = [
            await RawPeer(address=f"127.0.0.{n}", asn=65000 + n).listen() for n in range(1, 5)
        ]
        async with running(tmp_path, [peer_of(a, "a"), peer_of(b, "b"), peer_of(c, "c")]) as (
            speaker,
            log,
        ):
            await log.until(lambda: len(log.of(SessionUp)) == 3)
            with pytest.raises(InputError, match="same addresses"):
                await speaker.reconfigure([peer_of(a, "a"), peer_of(a, "again")])
            await speaker.reconfigure(
                [
                    peer_of(a, "a"),
                    peer_of(b, "renamed"),
                    peer_of(d, "d"),
                ]
            )
            await log.until(lambda: len(log.of(SessionUp)) == 5)
            await log.until(lambda: len(log.of(SessionDown)) == 2)
            assert {e.peer for e in log.of(SessionDown)} == {"b", "c"}
            assert {e.peer for e in log.of(SessionUp)[3:]} == {"renamed", "d"}
            assert a.connections == 1
            await asyncio.wait_for(c.closed.wait(), 5)
            assert [n[19:21] for n in c.kinds(NOTIFICATION)] == [b"\x06\x03"]
            assert b.connections == 2 and not b.restart_capability()[0]
            assert not b.kinds(NOTIFICATION)  # it keeps our routes meanwhile
            await a.send(type5_update(5))
            await log.until(lambda: log.octets.get("a") == type5_update(5))
            await speaker.reconfigure([])
            await log.until(lambda: len(log.of(SessionDown)) == 5)
            with socket.create_server(("127.0.0.9", 0)) as taken:
                port = taken.getsockname()[1]
                waiting = peer_of(b, "waiting", passive=True, port=port)
                await speaker.reconfigure([peer_of(a, "a"), waiting])
                await log.until(lambda: len(log.of(SessionUp)) == 6)
                await log.until(lambda: f"port {port}: Address already in use" in caplog.text)

    run(body())


def test_a_passive_peer_is_listened_for(tmp_path):
    async def body():
        raw = RawPeer(address="127.0.0.5")
        with socket.create_server(("127.0.0.9", 0)) as free:
            raw.port = free.getsockname()[1]
        async with running(tmp_path, [peer_of(raw, passive=True)]) as (_, log):
            await raw.dial("127.0.0.9", raw.port)
            await log.until(lambda: log.of(SessionUp))
            await raw.send(type5_update(1))
            await log.until(lambda: log.octets.get("p1") == type5_update(1))
            # RFC 4724 §4.2: it came back and we had not noticed.
            again = RawPeer(address="127.0.0.5")
            await again.dial("127.0.0.9", raw.port)
            await log.until(lambda: len(log.of(SessionUp)) == 2)
            assert "new connection" in log.of(SessionDown)[0].reason

    run(body())


def test_a_taken_port_and_a_missing_address_are_one_line(tmp_path):
    async def body():
        raw = RawPeer()
        with socket.create_server(("127.0.0.9", 0)) as taken:
            raw.port = taken.getsockname()[1]
            with pytest.raises(CcnError, match=r"cannot listen on 127.0.0.9 port \d+: .*ss -ltnp"):
                await Speaker("t", [peer_of(raw, passive=True)], tmp_path).start()
        nowhere = peer_of(raw, passive=True, local_address=Ip.parse("192.0.2.254"))
        with pytest.raises(CcnError, match="no interface has this address"):
            await Speaker("t", [nowhere], tmp_path).start()
        assert not list(tmp_path.glob("*.sock"))

    run(body())


def test_bad_state_directories_are_input_errors(tmp_path):
    async def body():
        raw = RawPeer()
        with pytest.raises(InputError, match="shorter --state"):
            await Speaker("t", [peer_of(raw)], tmp_path / ("x" * 100)).start()
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="cannot write"):
            await Speaker("t", [peer_of(raw)], tmp_path / "file").start()

    run(body())
