"""The example topologies as labs: each comes up clean under the guard, and does what it shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

SOURCE = Path(__file__).parents[2]
Ccn = Callable[..., subprocess.CompletedProcess[str]]
NAMES = ("shared-services", "dual-homed", "floating-vip", "two-uplinks", "ipv6-fabric")


@pytest.fixture(params=NAMES)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path, Ccn]]:
    """(which, its file under a name of its own, `ccn` in that lab); up, and down afterwards."""
    which = request.param
    name = f"test-{which}"
    shutil.copytree(SOURCE / "topologies" / "policies", tmp_path / "policies")
    text = (SOURCE / "topologies" / f"{which}.yaml").read_text()
    file = tmp_path / f"{name}.yaml"
    file.write_text(text.replace(f"name: {which}\n", f"name: {name}\n", 1))
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "CCN_RUN_DIR": f"/run/ccn/lab/{name}/gateways",
    }

    def ccn(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ccn_bgp.cli.main", *words],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    done = ccn("lab", "up", str(file))
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield which, file, ccn
    finally:
        done = ccn("lab", "down", str(file))
    assert done.returncode == 0, done.stderr


def pings(ccn: Ccn, lab: str, node: str, target: str) -> bool:
    done = ccn("lab", "exec", "--lab", lab, node, "--", "ping", "-c3", "-i0.2", "-W1", target)
    return done.returncode == 0


def test_it_comes_up_clean_and_does_what_it_shows(example: tuple[str, Path, Ccn]) -> None:
    which, file, ccn = example
    done = ccn("lab", "check", str(file), "--probes", "500", "--json")
    document = json.loads(done.stdout)
    assert document["ok"], done.stdout
    for gateway in Path(f"/run/ccn/lab/{file.stem}/gateways").iterdir():
        shown = ccn("show", "findings", "--gateway", gateway.name, "--json")
        found = json.loads(shown.stdout)["findings"]
        assert [f for f in found if "suppressed" not in f] == []
    {
        "shared-services": shared,
        "dual-homed": dual_homed,
        "floating-vip": floating,
        "two-uplinks": two_uplinks,
        "ipv6-fabric": ipv6_fabric,
    }[which](ccn, file)


def shared(ccn: Ccn, file: Path) -> None:
    """The service answers those whom it is shared with, and nothing else opens."""
    for tenant in ("vm-blue-front-10-21-0-10", "vm-red-front-10-22-0-10"):
        assert pings(ccn, file.stem, tenant, "10.100.0.53")
        assert not pings(ccn, file.stem, tenant, "10.100.1.10")
    assert not pings(ccn, file.stem, "vm-blue-front-10-21-0-10", "10.22.0.10")
    assert not pings(ccn, file.stem, "vm-blue-back-10-30-0-10", "10.100.0.53")


def dual_homed(ccn: Ccn, file: Path) -> None:
    """Both routers hear both regions, each by its own gateway."""
    for router, far in (("tz-r1", "10.42.0.0/16"), ("tz-r2", "10.41.0.0/16")):
        done = ccn(
            "lab", "exec", "--lab", file.stem, router, "--", "vtysh", "-c",
            f"show bgp ipv4 unicast {far} json",
        )  # fmt: skip
        paths = json.loads(done.stdout)["paths"]
        assert any(len(p["aspath"]["segments"][0]["list"]) == 2 for p in paths), done.stdout


def floating(ccn: Ccn, file: Path) -> None:
    """The prefix behind the VIP follows it to the other host."""
    client, behind = "vm-clients-10-52-0-10", "10.150.0.1"
    assert pings(ccn, file.stem, client, behind)
    done = ccn("lab", "move-vm", "--lab", file.stem, "front:10.51.0.100", "--to", "192.0.2.152")
    assert done.returncode == 0, done.stderr
    assert pings(ccn, file.stem, client, behind)
    done = ccn("lab", "check", str(file), "--probes", "200", "--json")
    assert json.loads(done.stdout)["ok"], done.stdout


def ipv6_fabric(ccn: Ccn, file: Path) -> None:
    """Full packets pass the tunnels over IPv6, and the gateway's own addresses answer."""
    near, far = "vm-web-10-1-0-10", ("10.2.0.10", "fd00:2::10", "172.16.0.10")
    assert all(pings(ccn, file.stem, near, address) for address in far)
    assert pings(ccn, file.stem, "underlay-hongkong", "2001:db8:ffff::11")
    full = ("ping", "-c2", "-s1472", "-Mdo", "10.2.0.10")
    assert ccn("lab", "exec", "--lab", file.stem, near, "--", *full).returncode == 0
    words = ("--from", "web:10.1.0.10", "--to", "10.2.0.10", "--gateway", "bj-gw1", "--json")
    traced = json.loads(ccn("trace", *words).stdout)
    assert traced["result"] == "forwarded", traced
    done = ccn("show", "neighbors", "--gateway", "bj-gw1", "--json")
    sessions = {p["name"]: p["address"] for p in json.loads(done.stdout)["neighbors"]}
    assert sessions["hk-gw1"] == "2001:db8:21::21"


def two_uplinks(ccn: Ccn, file: Path) -> None:
    """A router of the underlay stops: packets and the BGP session go by the other uplink."""

    def uplink(name: str) -> dict[str, int]:
        done = ccn("show", "counters", "--gateway", "bj-gw1", "--json")
        return json.loads(done.stdout)["counters"][f"uplink {name}"]

    def session() -> tuple[str, float]:
        done = ccn("show", "neighbors", "--gateway", "bj-gw1", "--json")
        (peer,) = json.loads(done.stdout)["neighbors"]
        return peer["state"], peer["seconds"]

    assert 0 < uplink("eth2")["flows-of-512"] < 512
    before = session()
    here = ("lab", "exec", "--lab", file.stem, "underlay-beijing", "--")
    # the first carries BGP; the host of the VM is behind it, so only its answers fail
    assert ccn(*here, "sysctl", "-qw", "net.ipv4.conf.br0.arp_ignore=8").returncode == 0
    end = time.monotonic() + 6
    while uplink("eth1")["flows-of-512"]:
        assert time.monotonic() < end
        time.sleep(0.2)
    done = ccn("lab", "check", str(file), "--probes", "500", "--json")
    assert json.loads(done.stdout)["ok"], done.stdout
    assert session()[0] == before[0] == "established" and session()[1] >= before[1]
    assert ccn(*here, "sysctl", "-qw", "net.ipv4.conf.br0.arp_ignore=0").returncode == 0
    end = time.monotonic() + 6
    while not uplink("eth1")["flows-of-512"]:
        assert time.monotonic() < end
        time.sleep(0.2)
