"""python benches/speed/peak.py MODULE [ARGUMENT ...]: runs a module as a program, and tells its
peak memory.

By the process's own account since it began; what the operating system tells a parent begins with
the parent's own peak.
"""

import json
import re
import runpy
import sys
from pathlib import Path


def peak_mb() -> float:
    """The largest resident set of this process so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        if ending.code:
            raise
    print(json.dumps({"seconds": 0.0, "peak_mb": peak_mb()}))
