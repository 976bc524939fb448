"""For every test: what a library does to the process on import is taken back."""

from __future__ import annotations

import signal

import mrtparse  # noqa: F401 - imported here first, for what it does

# mrtparse lets a broken pipe end the process, as a command-line tool may; a test run may not.
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
