"""What the ``ccn`` script calls: Ctrl-C while the commands are still being loaded ends it quietly.

Loading takes about half a second, on a busy machine more; a KeyboardInterrupt in the middle of it
would be a traceback. In: nothing. Out: an exit code.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Load the commands with the kernel's own answer to Ctrl-C, then run one with Python's."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:  # under nohup and the like it is ignored, and stays so
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ccn_bgp.cli.main import main as command

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()
