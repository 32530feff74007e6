"""Commands as lines of bash."""

import shlex
import subprocess
import sys

from tests.support.databases import Database, clean_environ
from tests.support.shipped import ROOT


def in_a_shell(
    database: Database, *arguments: str, end: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a line of bash that ends so; the exit code is the command's, whatever it is
    piped into."""
    line = (
        "set -o pipefail; "
        f"{shlex.join([sys.executable, '-m', 'jobs.' + arguments[0], *arguments[1:]])} {end}"
    )
    given = clean_environ() | {"DATABASE_URL": database.url} | environ
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env=given, capture_output=True, text=True)
