"""Whether the ports that passive peers dial can be had, before ExaBGP tries.

In: addresses and ports. Out: one line that says which is not free and what to do, or nothing.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Set

_BIND_HINTS = {
    errno.EADDRINUSE: "another program has it; `ss -ltnp` shows which",
    errno.EADDRNOTAVAIL: "no interface has this address",
    errno.EACCES: "run as root or with CAP_NET_BIND_SERVICE",
}


def bind_check(listeners: Set[tuple[str, int]], patience: float = 2.0) -> str:
    """Why one of the (address, port) pairs cannot be listened on, or ``""``.

    A port that is taken is tried for ``patience`` seconds: a predecessor may be on its way out.
    """
    for address, port in sorted(listeners):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        end = time.monotonic() + patience
        while True:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                    probe.listen(1)
                    break
                except OSError as error:
                    if error.errno == errno.EADDRINUSE and time.monotonic() < end:
                        time.sleep(0.05)
                        continue
                    hint = _BIND_HINTS.get(error.errno or 0, "see `ip address`")
                    return f"cannot listen on {address} port {port}: {error.strerror} ({hint})"
    return ""
