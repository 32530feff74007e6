"""What runs all day and all night imports no pandas, in whatever it does."""

import subprocess
import sys

import pytest

from tests.support.databases import Database, clean_environ, insert_patients
from tests.support.shipped import ROOT

# The scheduler runs until it is stopped; what it imports later an import contract holds.
RUNS = {
    "score": "main(['--json'], os.environ)",
    "health": "main([], os.environ)",
    "status": "main(['--json'], os.environ)",
    "alert": "main(['--dry-run'], os.environ)",
    "scheduler": "None",
}


@pytest.mark.parametrize("name", RUNS)
def test_a_command_that_runs_all_the_time_imports_no_pandas(scored_database: Database, name: str) -> None:
    insert_patients(scored_database, 5)
    program = f"import os, sys; from jobs.{name} import main; print({RUNS[name]}); print('pandas' in sys.modules)"
    environ = clean_environ() | {"DATABASE_URL": scored_database.url}
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1:] == ["False"], ended.stderr
