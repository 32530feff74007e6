"""The scripts of deploy/ that back up and restore."""

import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.databases import PATIENCE_SECONDS, Database, for_programs
from tests.support.shipped import ROOT


def script_started(
    script: str, database: Database, path: Path, **environ: str
) -> subprocess.Popen[str]:
    """The script, as the leader of a process group."""
    command = ["sh", str(ROOT / "deploy" / script), str(path)]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        command,
        env=os.environ | for_programs(database.url) | environ,
        start_new_session=True,
        **pipes,
    )


def script_ended(
    script: str, database: Database, path: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    process = script_started(script, database, path, **environ)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
