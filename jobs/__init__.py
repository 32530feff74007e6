"""The commands, each run as python -m jobs.NAME."""

import gc
import signal
import sys

_IS_A_COMMAND = sys.argv[:1] == ["-m"]

# Most objects that imports create stay until the end, and collecting garbage among them would take
# a tenth of an empty night. `main_of` enables the collector again.
if _IS_A_COMMAND:
    gc.disable()

# Python answers Ctrl-C by a traceback, and most of a command's first second is imports. Until a
# command handles signals itself, the system's default ends it. A process that only imports this
# package keeps its own handler.
if _IS_A_COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
