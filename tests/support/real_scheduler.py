"""A scheduler as a process of its own."""

import json
import signal
import subprocess

from tests.support.databases import PATIENCE_SECONDS

EVERY_SECOND = "* * * * * *"


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert stdout == ""
    for line in stderr.splitlines():  # a child's words too, and an error's
        assert json.loads(line)["event"], line
    return stderr
