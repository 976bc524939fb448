"""The kernel's share of a gateway: taps, addresses, routes and sysctls, by netlink."""
