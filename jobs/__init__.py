"""The commands, each run as python -m jobs.NAME."""

import signal
import sys

# Python's own answer to Ctrl-C is a traceback, and most of a command's first second is imports. Until a command listens
# by itself, the system's does; somebody else's process, which only imports this, keeps its own.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
