"""ExaBGP 5.0.15 with its hot path replaced: run as ``python -m ccn_bgp.session.launcher``.

In: a generated configuration, the gateway's unix socket. Out: on that socket (hub.py), whole blocks
of raw UPDATEs and ROUTE-REFRESHes as the peers sent them, and pre-packed messages for the peers.

ExaBGP keeps TCP, MD5, OPEN, capabilities, timers, KEEPALIVE and NOTIFICATION. What we replace is
listed in TOUCHED and compared with the installed package before anything starts:

* ``Protocol`` (reactor.peer): once Established, read in bulk and never parse; pace the dialling.
* ``Connection.reader``, per connection before that: what does not belong there never reaches
  ExaBGP's parsers.
* ``Connection.writer``, per connection once Established: one send buffer for ExaBGP's and our
  messages, so that neither breaks the other in two.
* ``Peer`` (reactor.loop): session up and down, R bit (RFC 4724 §4.1), Cease on shutdown.
* ``Capabilities._graceful`` (reactor.protocol): the F bit is true (RFC 4724 §3); ExaBGP always
  sets it.
* ``time`` (bgp.timer, reactor.delay): a clock that nobody sets. When NTP sets the system's, ExaBGP
  would end every session by its hold timer, or send no KEEPALIVE for an hour.
* ``Listener`` (reactor.loop): who is gone again is let go.
* ``Processes`` (reactor.loop): instead of ExaBGP's text API, one turn of the channel per loop.

This is the only file of the package that imports exabgp. When the gateway dies (EOF), the process
ends at once without a NOTIFICATION, so that peers in graceful restart keep our routes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import inspect
import os
import pwd
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import exabgp.bgp.timer as exabgp_timer
import exabgp.reactor.delay as exabgp_delay
import exabgp.reactor.loop as exabgp_loop
import exabgp.reactor.peer as exabgp_peer
import exabgp.reactor.protocol as exabgp_protocol
from exabgp.bgp.fsm import FSM
from exabgp.bgp.message import Notification, Notify, Update
from exabgp.bgp.message.nop import _NOP
from exabgp.bgp.message.open.asn import AS_TRANS
from exabgp.bgp.message.open.capability import REFRESH, Capabilities, Capability
from exabgp.configuration.configuration import Configuration
from exabgp.environment import getenv
from exabgp.logger import log
from exabgp.reactor.api.processes import Processes
from exabgp.reactor.delay import Delay
from exabgp.reactor.listener import Listener
from exabgp.reactor.network.connection import Connection
from exabgp.reactor.network.error import LostConnection
from exabgp.reactor.peer import ACTION, Peer
from exabgp.reactor.protocol import Protocol

from ccn_bgp.session.bgp_stream import (
    KEEPALIVE,
    MARKER,
    NOTIFICATION,
    OPEN,
    Fault,
    cut,
    early_fault,
    notification_fault,
)
from ccn_bgp.session.hub import READ, SEND_HOLD_EXPIRED, Hub, Session
from ccn_bgp.session.last_words import communication, line
from ccn_bgp.session.listening import bind_check
from ccn_bgp.session.opening import read_open

VERSION = "5.0.15"
RETRY_CAP = 8
"""Seconds: the longest pause between two attempts (ExaBGP's own goes up to 60)."""
REDIAL = 0.5
NO_FAMILY = (2, 7)
_UPDATE = Update([], b"")  # "something came": no NLRI, so ExaBGP does nothing with it

TOUCHED: tuple[tuple[Any, str, str], ...] = (
    (Protocol, "__init__", "self peer"),
    (Protocol, "connect", "self"),
    (Protocol, "read_message", "self"),
    (Protocol, "validate_open", "self"),
    (Protocol, "write", "self message negotiated"),
    (Connection, "reader", "self"),
    (Connection, "writer", "self data"),
    (Capabilities, "_graceful", "self neighbor restarted"),
    (Peer, "__init__", "self neighbor reactor"),
    (Peer, "_close", "self message error"),
    (Peer, "_reset", "self message error"),
    (Peer, "_read_ka", "self"),
    (Peer, "shutdown", "self"),
    (Peer, "remove", "self"),
    (Peer, "reestablish", "self restart_neighbor"),
    (Peer, "reconfigure", "self restart_neighbor"),
    (Peer, "handle_connection", "self connection"),
    (Processes, "clean", "self"),
    (Processes, "received", "self"),
    (Delay, "increase", "self"),
    (Listener, "_connected", "self"),
    (exabgp_loop.Reactor, "__init__", "self configuration"),
    (exabgp_loop.Reactor, "reload", "self"),
    (exabgp_loop.Reactor, "run", "self"),
)
_USED = (  # (function, names that it must use): attributes we rely on, and the seams
    (Peer.__init__, ("_restarted", "_delay", "recv_timer", "fsm", "proto")),
    (Peer._connect, ("Protocol", "connect")),
    (Peer._main, ("read_message", "check_ka", "_teardown", "LATER", "NOW")),
    (Peer._send_open, ("new_open",)),
    (Protocol.new_open, ("_restarted", "Capabilities")),
    (Capabilities.new, ("_graceful",)),
    (exabgp_timer.ReceiveTimer.check_ka_timer, ("time",)),
    (exabgp_timer.SendTimer.need_ka, ("time",)),
    (Delay.backoff, ("time",)),
    (Protocol.read_message, ("connection", "reader")),
    (Protocol.write, ("connection", "writer")),
    (exabgp_loop.Reactor.__init__, ("_poller", "signal", "Listener", "asynchronous")),
    (exabgp_loop.Reactor.run, ("Processes", "received", "fds", "_poller")),
    (exabgp_loop.Reactor.reload, ("Peer", "reestablish", "reconfigure", "remove")),
    (exabgp_loop.Reactor.shutdown, ("shutdown",)),
    (Listener._listen, ("_sockets",)),
    (Listener._connected, ("_accepted", "getpeername")),
)


def differences(touched: tuple[tuple[Any, str, str], ...] = TOUCHED) -> list[str]:
    """What of the touched internals is not as in 5.0.15; empty if all is well."""
    found = []
    if (version := importlib.metadata.version("exabgp")) != VERSION:
        found.append(f"version {version}")
    for owner, name, parameters in touched:
        function = getattr(owner, name, None)
        have = " ".join(inspect.signature(function).parameters) if function else "absent"
        if have != parameters:
            found.append(f"{owner.__name__}.{name}({have})")
    for function, names in _USED:
        used = {*function.__code__.co_names, *function.__code__.co_consts}
        found += [f"{function.__qualname__} without {n}" for n in names if n not in used]
    return found


def open_facts(negotiated: Any) -> dict[str, Any]:
    """What the two OPENs agreed on, as JSON; see speaker.OpenFacts."""
    received = negotiated.received_open
    capabilities = received.capabilities
    families = [[int(afi), int(safi)] for afi, safi in negotiated.families]
    if not capabilities.announced(Capability.CODE.MULTIPROTOCOL):
        families = [[1, 1]]  # RFC 4760 §8: a peer without the capability speaks IPv4 unicast
    facts: dict[str, Any] = {
        "asn": int(negotiated.peer_as),
        "router-id": str(received.router_id),
        "hold-time": int(negotiated.holdtime),
        "asn4": bool(negotiated.asn4),
        "families": families,
        "route-refresh": negotiated.refresh != REFRESH.ABSENT,
        "enhanced-refresh": negotiated.refresh == REFRESH.ENHANCED,
        "max-message": int(negotiated.msg_size),
    }
    if capabilities.announced(Capability.CODE.GRACEFUL_RESTART):
        restart = capabilities[Capability.CODE.GRACEFUL_RESTART]
        facts["restart"] = {
            "time": int(restart.restart_time),
            "restarted": bool(restart.restart_flag & 0x08),
            "families": [[int(a), int(s)] for a, s in restart],
            "forwarding": [[int(a), int(s)] for (a, s), flag in restart.items() if flag & 0x80],
        }
    return facts


class SteadyTime:
    """In the place of the module ``time`` where ExaBGP measures how long something takes."""

    time = staticmethod(time.monotonic)


def measure_steadily() -> None:
    """Holds and back-offs by a clock that nobody sets."""
    exabgp_timer.time = exabgp_delay.time = SteadyTime


class Refused(Notify):  # type: ignore[misc]
    """A NOTIFICATION that we send, with words for our own operator."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code, fault.subcode, fault.data)
        self.text = fault.text


def hear(connection: Any, awaited: int) -> Iterator[tuple[int, int, bytes, bytes, Any]]:
    """Connection.reader before the session is Established. What reaches ExaBGP's parsers is an
    OPEN that they can read, or a KEEPALIVE: others end in a KeyError, or in an answer that is
    none (RFC 4271 §6.1, §6.4)."""
    for length, kind, header, body, fault in Connection.reader(connection):
        octets = body
        if fault and header[:16] == MARKER and header[18] == NOTIFICATION:
            raise LostConnection(notification_fault(length, connection.msg_size))
        if header and not fault:
            if refused := early_fault(kind, awaited):
                raise Refused(refused)
            if kind == NOTIFICATION:
                raise Said(body[0], body[1], body[2:], parse_data=False)
            if kind == OPEN:
                read = read_open(body)
                if isinstance(read, Fault):
                    raise Refused(read)
                octets = read
        yield length, kind, header, octets, fault


class Said(Notification):  # type: ignore[misc]
    """A NOTIFICATION of an Established session; ``data`` as it came."""


class SpokenProtocol(Protocol):  # type: ignore[misc]
    """Protocol that hands Established sessions to the hub."""

    hub: ClassVar[Hub]

    def __init__(self, peer: Any) -> None:
        super().__init__(peer)
        self.session: Session | None = None

    def connect(self) -> Iterator[bool]:
        """Dial; after a few quick attempts wait REDIAL s between refusals.

        ExaBGP would dial a closed port in every turn, and a silent one every two minutes.
        """
        steps = super().connect()
        seen, attempts, due = None, 0, 0.0
        while True:
            if attempts > 3 and time.monotonic() < due and self._refused():
                yield False
                continue
            step = next(steps, None)
            if step is None:
                return
            io = self.connection.io if self.connection else None
            if io is None or io is not seen:
                seen, attempts, due = io, attempts + 1, time.monotonic() + REDIAL
                if io is not None:
                    with contextlib.suppress(OSError):
                        io.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 2)
            yield step

    def _refused(self) -> bool:
        io = self.connection.io
        if io is None:
            return True
        poller = select.poll()
        poller.register(io, 0)
        return bool(poller.poll(0))

    def validate_open(self) -> None:
        """Also what ExaBGP lets pass."""
        super().validate_open()
        agreed, opened = self.negotiated, self.negotiated.received_open
        number = int(opened.capabilities.get(Capability.CODE.FOUR_BYTES_ASN, opened.asn))
        if opened.asn not in (number, AS_TRANS):  # RFC 6793 §4.1
            raise Notify(2, 2, f"AS {opened.asn} in OPEN, AS {number} in its capability")
        if agreed.peer_as == agreed.local_as and opened.router_id == agreed.sent_open.router_id:
            raise Notify(2, 3, f"{opened.router_id} is also our BGP Identifier")  # RFC 6286 §2.2
        ours = [(int(afi), int(safi)) for afi, safi in self.neighbor.families()]
        if not any([*family] in open_facts(agreed)["families"] for family in ours):
            # RFC 5492 §5: the data are the capabilities that we miss.
            raise Notify(*NO_FAMILY, b"".join(struct.pack("!BBHH", 1, 4, *f) for f in ours))

    def read_message(self) -> Iterator[Any]:
        """One read of an Established session; before that, ExaBGP's own."""
        if self.peer.fsm != FSM.ESTABLISHED:
            awaited = OPEN if self.peer.fsm == FSM.OPENSENT else KEEPALIVE
            self.connection.reader = lambda: hear(self.connection, awaited)
            yield from super().read_message()
            return
        session = self.session
        if session is None:
            session = self.session = self.hub.up(self, open_facts(self.negotiated))
            self.connection.writer = session.writer
            with contextlib.suppress(OSError):  # ExaBGP does it for accepted connections only
                self.connection.io.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield self._read(session)

    def _read(self, session: Session) -> Any:
        if session.notify:
            raise Notify(*session.notify, b"")
        if session.broken:
            raise LostConnection(session.broken)
        if self.hub.full(session):
            # Not reading is our choice: the peer's KEEPALIVEs stand in its send queue, and the
            # hold timer starts again when we read. A connection that is gone is seen at once.
            if self._refused():
                raise LostConnection("the peer closed the connection")
            self.peer.recv_timer.last_read = int(SteadyTime.time())
            return _NOP
        try:
            octets = self.connection.io.recv(READ)
        except BlockingIOError:
            return _NOP
        except OSError as error:
            raise LostConnection(f"cannot read: {error.strerror}") from None
        if not octets:
            raise LostConnection("the peer closed the connection")
        data = session.rest + octets if session.rest else octets
        found = cut(data, self.negotiated.msg_size)
        for start, end in found.runs:
            self.hub.block(session, data[start:end] if end - start < len(data) else data)
        session.rest = data[found.used :]
        self.hub.flush()
        if found.notification is not None:
            body = found.notification
            raise Said(body[0], body[1], body[2:], parse_data=False)
        if found.unanswerable:
            raise LostConnection(found.unanswerable)
        if found.fault:
            raise Refused(found.fault)
        return _UPDATE if found.heard else _NOP


class TrueCapabilities(Capabilities):  # type: ignore[misc]
    """Capabilities whose graceful restart says what is so."""

    hub: ClassVar[Hub]

    def _graceful(self, neighbor: Any, restarted: bool) -> None:
        super()._graceful(neighbor, restarted)
        graceful = self.get(Capability.CODE.GRACEFUL_RESTART)
        if graceful is not None and neighbor["description"] not in (self.hub.preserved or ()):
            for family in graceful:
                graceful[family] = 0


class ShortDelay(Delay):  # type: ignore[misc]
    """ExaBGP's back-off, capped."""

    _next: int

    def increase(self) -> None:
        """The next pause, at most RETRY_CAP seconds."""
        super().increase()
        self._next = min(self._next, RETRY_CAP)


class SpokenPeer(Peer):  # type: ignore[misc]
    """Peer that reports its sessions and says Cease when it is meant to end."""

    hub: ClassVar[Hub]
    restarting: ClassVar[bool]

    def __init__(self, neighbor: Any, reactor: Any) -> None:
        super().__init__(neighbor, reactor)
        # ExaBGP claims a restart in the first OPEN of every process; we know better.
        self._restarted = self.restarting
        self._delay = ShortDelay()

    def _close(self, message: str = "", error: Any = "") -> None:
        attempted = self.proto is not None
        session = self.proto.session if self.proto else None
        if (fd := self.socket()) != -1:
            # ExaBGP leaves closed descriptors in its poll set; each turn then costs a sleep.
            with contextlib.suppress(KeyError):
                self.reactor._poller.unregister(fd)
        super()._close(message, error)
        if session:
            self.hub.down(session, reason_of(message, error))
        elif attempted and error:
            reason = reason_of(message, error)
            if reason == "Broken TCP connection":
                reason = "connection refused, or closed at once"
            self.hub.failed(self.neighbor["description"], reason)

    def _cease(self, subcode: int) -> None:
        if self.proto and self.proto.session:
            for _ in self.proto.session.writer(Notify(6, subcode, b"").message()):
                pass

    def _read_ka(self) -> Iterator[Any]:
        # ExaBGP asks for the next turn at once, which spins until the KEEPALIVE comes.
        for _ in super()._read_ka():
            yield ACTION.LATER

    def shutdown(self) -> None:
        """Cease, Administrative Shutdown (RFC 4486)."""
        self._cease(2)
        super().shutdown()

    def remove(self) -> None:
        """Cease, Peer De-configured (RFC 4486)."""
        self._cease(3)
        super().remove()

    def reestablish(self, restart_neighbor: Any = None) -> None:
        """A changed session is no restart of this speaker: no R bit."""
        super().reestablish(restart_neighbor)
        self._restarted = False
        if self.proto and self.fsm != FSM.ESTABLISHED:
            # It would wait a minute for an OPEN that a wrong key or TTL keeps away.
            self._reset("reconfigured")
            self._delay.reset()

    def reconfigure(self, restart_neighbor: Any = None) -> None:
        """Re-establish also for what ExaBGP's own comparison leaves out."""
        keys = ("source-interface", "description")
        if restart_neighbor and any(restart_neighbor[k] != self.neighbor[k] for k in keys):
            self.reestablish(restart_neighbor)
        else:
            super().reconfigure(restart_neighbor)

    def handle_connection(self, connection: Any) -> Any:
        """A new connection from a peer in graceful restart ends the old session (RFC 4724 §4.2),
        whose end may never have reached us.
        """
        session = self.proto.session if self.proto else None
        if self.fsm == FSM.ESTABLISHED and session and not self.stopping():
            opened = session.protocol.negotiated.received_open.capabilities
            if opened.announced(Capability.CODE.GRACEFUL_RESTART):
                self._close("the peer opened a new connection")
        denied = super().handle_connection(connection)
        if denied:  # ExaBGP forgets to say so (RFC 4271 §6.8)
            self.reactor.asynchronous.schedule(self.id(), "refusing a connection", denied)
        return denied


class CalmListener(Listener):  # type: ignore[misc]
    """Listener that does not stumble over who is gone before it looks."""

    def _connected(self) -> Iterator[Any]:
        while self._accepted:
            with contextlib.suppress(OSError):
                yield from super()._connected()


class ChannelProcesses(Processes):  # type: ignore[misc]
    """In the place of ExaBGP's API processes: the channel."""

    hub: ClassVar[Hub]

    def clean(self) -> None:
        """The only descriptor besides the peers'."""
        super().clean()
        self.fds = [self.hub.channel.fileno()]

    def received(self) -> Iterator[tuple[str, str]]:
        """One turn of the channel; there are no text commands."""
        self.hub.turn()
        return iter(())


def reason_of(message: str, error: Any) -> str:
    """One printable line out of ExaBGP's two; a peer may have written part of it."""
    text = f"{error}"
    if isinstance(error, Notify):
        more = _OUR_WORDS.get((error.code, error.subcode))
        if isinstance(error, Refused):
            named = Notification(error.code, error.subcode, b"", False)
            more = f"{named}" + (f" / {error.text}" if error.text else "")
        text = f"NOTIFICATION sent: {more or text}"
    elif isinstance(error, Said):
        words = communication(error.code, error.subcode, error.data)
        named = Notification(error.code, error.subcode, b"", False)
        text = f"NOTIFICATION received: {named}" + (f" / {words}" if words else "")
    elif isinstance(error, Notification):
        text = f"NOTIFICATION received: {text}"
    elif not text or not message.startswith("closing"):
        text = f"{message} {text}"
    return line(text)


_OUR_WORDS = {
    SEND_HOLD_EXPIRED: "Send Hold Timer Expired (RFC 9687): the peer reads nothing",
    NO_FAMILY: "OPEN message error / Unsupported Capability / no address family of this session",
}


def listeners(configuration: Any) -> set[tuple[str, int]]:
    """The (address, port) pairs that passive peers dial."""
    neighbors = configuration.neighbors.values()
    return {(n["md5-ip"].top(), n["listen"]) for n in neighbors if n["listen"]}


def reload(reactor: Any) -> str:
    """Read the configuration again; what is wrong with it, or ``""``."""
    SpokenPeer.restarting = False  # peers that are new now never had a session with us
    if not reactor.reload():
        return " ".join(str(reactor.configuration.error).split())
    bound = {(local, port) for local, port, _, _ in reactor.listener._sockets.values()}
    return bind_check(listeners(reactor.configuration) - bound, patience=0)


def environment(log_file: str) -> None:
    """ExaBGP's own settings: quiet, bounded logs, no text API, no listener of its own."""
    env = getenv()
    with contextlib.suppress(KeyError):  # stay who we are: ports and devices need it
        env.daemon.user = pwd.getpwuid(os.getuid()).pw_name
    env.daemon.drop = False
    env.daemon.umask = 0o077
    env.log.level = "WARNING"
    env.log.destination = log_file
    env.log.short = False
    env.api.cli = False
    env.api.ack = False
    env.api.respawn = False
    env.reactor.speed = 3.0  # idle turns every 30 ms; input wakes it at once
    log.init(env)


def main() -> int:
    """Run until the gateway says STOP (0), dies (0), or ExaBGP gives up (1, one line on stderr)."""
    parser = argparse.ArgumentParser(prog="ccn-speaker", description="ExaBGP for a ccn gateway")
    parser.add_argument("--config", required=True, help="generated ExaBGP configuration")
    parser.add_argument("--socket", required=True, help="unix socket where the gateway listens")
    parser.add_argument("--log", default="stderr", help="file for ExaBGP's own log")
    parser.add_argument("--name", default="speaker", help="shown in the process list")
    parser.add_argument("--restarting", action="store_true", help="set the R bit (RFC 4724)")
    arguments = parser.parse_args()
    if found := differences():
        print(f"exabgp is not the {VERSION} we know: {', '.join(found)}", file=sys.stderr)
        return 1
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(arguments.socket)
    except OSError as error:
        print(f"cannot reach the gateway at {arguments.socket}: {error.strerror}", file=sys.stderr)
        return 1
    channel.setblocking(False)
    environment(arguments.log)
    hub = Hub(channel, VERSION)
    SpokenProtocol.hub = SpokenPeer.hub = ChannelProcesses.hub = TrueCapabilities.hub = hub
    SpokenPeer.restarting = arguments.restarting
    measure_steadily()
    exabgp_protocol.Capabilities = TrueCapabilities
    exabgp_peer.Protocol = SpokenProtocol
    exabgp_loop.Peer = SpokenPeer
    exabgp_loop.Listener = CalmListener
    exabgp_loop.Processes = ChannelProcesses
    configuration = Configuration([arguments.config])
    if not configuration.reload():
        text = " ".join(str(configuration.error).split())
        print(f"{arguments.config}: {text}", file=sys.stderr)
        return 1
    if problem := bind_check(listeners(configuration)):
        print(problem, file=sys.stderr)
        return 1
    hub.reactor = exabgp_loop.Reactor(configuration)
    hub.reload = lambda: reload(hub.reactor)
    hub.await_preserved()
    code = int(hub.reactor.run())
    hub.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
