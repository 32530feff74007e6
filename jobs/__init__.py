"""The commands, each run as python -m jobs.NAME."""

import gc
import signal
import sys

_IS_A_COMMAND = sys.argv[:1] == ["-m"]

# Most of what imports make stays until the end, and to look through it for garbage takes a tenth of an empty night.
# `main_of` switches that on.
if _IS_A_COMMAND:
    gc.disable()

# Python's own answer to Ctrl-C is a traceback, and most of a command's first second is imports. Until a command listens
# by itself, the system's does; somebody else's process, which only imports this, keeps its own.
if _IS_A_COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
