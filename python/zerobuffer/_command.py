"""The command ``zerobuffer``: a way into the compiled module, which has it whole."""

import signal
import sys
from typing import NoReturn

from ._zerobuffer import _command

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    # The command takes signals itself, and a run that Ctrl-C ends is to end by that signal.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    again = [sys.executable, "-m", "zerobuffer"]
    sys.exit(_command(again, ["zerobuffer", *sys.argv[1:]]))
