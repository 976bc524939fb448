"""``ccn run`` as root with something wrong: one line each, the right exit code, and no process, tap
or socket left behind."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.smoke

PORTS = ("eth1", "eth2", "eth3")
NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.fixture
def place(net):
    """The core namespace with the ports of bj-gw1; afterwards it holds nothing else."""
    for port in PORTS:
        net.ip("core", "link", "add", port, "type", "veth", "peer", "name", f"far-{port}")
    before = links(net)
    yield net
    assert links(net) == before
    state = net.directory / "state"
    assert [p.name for p in state.glob("*") if p.is_socket() or p.suffix in (".pid", ".conf")] == []
    assert list((net.directory / "run").glob("*")) == []


def links(net):
    shown = net.run("ip", "-n", net.names["core"], "-o", "link").splitlines()
    return sorted(line.split(": ")[1] for line in shown)


def refused(net, gateway, code, *parts, options=(), before=(), **environment):
    """`ccn run` ends by itself with this exit code and one line that holds all these parts."""
    words = (
        "ip", "netns", "exec", net.names["core"], *before, sys.executable, "-m",
        "ccn_bgp.cli.main", "run", f"{net.topology(idcs=True)}", "--gateway", gateway,
        "--state", f"{net.directory}/state", *options,
    )  # fmt: skip
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=40,
        env={**net.environment, **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("ccn: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    for part in parts:
        assert part in lines[0]


def test_no_root(place):
    refused(place, "bj-gw1", 1, "tap eth1.t", "not permitted", "run as root",
            before=NO_CAPABILITIES)  # fmt: skip


def test_an_interface_that_is_missing(place):
    place.ip("core", "link", "del", "eth2")
    try:
        refused(place, "bj-gw1", 1, "port eth2", "no such interface", "eth1")
    finally:
        place.ip("core", "link", "add", "eth2", "type", "veth", "peer", "name", "far-eth2")


def test_an_interface_that_the_kernel_uses(place):
    place.ip("core", "address", "add", "10.9.9.1/24", "dev", "eth1")
    refused(place, "bj-gw1", 1, "port eth1", "10.9.9.1/24", "ip address flush dev eth1")


@pytest.mark.parametrize(
    ("binary", "parts"),
    [
        ("/nonexistent/ccn-forwarder", ("cannot be started", "make setup")),
        ("/bin/false", ("without a word",)),
    ],
)
def test_a_forwarder_that_does_not_start(place, binary, parts):
    log = place.directory / "state" / "forwarder.log"
    log.parent.mkdir()
    log.write_text("an old story\n")
    refused(place, "bj-gw1", 1, *parts, CCN_FORWARDER=binary)


def test_port_179_is_taken(place):
    """hk-gw1 waits for bj-gw1, so it must listen."""
    with place.socket() as other:
        other.bind((place.addresses["hk-gw1"], 179))
        other.listen(1)
        refused(
            place, "hk-gw1", 1, "198.51.100.21 port 179", "already in use", "ss -ltnp",
            options=("--forwarder", "none"),
        )  # fmt: skip


def test_an_address_that_nobody_has(place):
    place.ip("core", "address", "del", "198.51.100.21/32", "dev", "lo")
    refused(
        place, "hk-gw1", 1, "198.51.100.21 port 179", "no interface has this address",
        options=("--forwarder", "none"),
    )  # fmt: skip
