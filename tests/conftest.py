"""For every test: what a library does to the process on import is taken back, and no example is
timed (a machine that does other work is no fault of ours)."""

from __future__ import annotations

import signal

import hypothesis
import mrtparse  # noqa: F401 - imported here first, for what it does

hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")

# mrtparse lets a broken pipe end the process, as a command-line tool may; a test run may not.
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
