"""ccn_bgp: the route-learning control plane and DPDK gateway of a Cloud Connect Network."""

__version__ = "0.1.0"
