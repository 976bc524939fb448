"""OVS-DPDK as a peer."""

from pathlib import Path

from ccn_bgp.bench.forward_peers import Rate
from ccn_bgp.bench.forward_tables import Scale


def installed() -> bool:
    """Whether it can be run."""
    return False


def measure(source: Path, scale: Scale, directory: Path, intervals: int) -> Rate:
    """Later."""
    raise NotImplementedError
