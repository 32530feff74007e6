"""What runs all day and all night imports neither pandas nor TensorFlow, in whatever it does."""

import subprocess
import sys

from tests.support.databases import Database, clean_environ, insert_patients
from tests.support.shipped import ROOT

# The scheduler runs until it is stopped; what it imports later an import contract holds.
PROGRAM = """
import os, sys
from jobs import alert, health, scheduler, score, status
for job, arguments in ((score, "--json"), (health, "--json"), (status, "--json"), (alert, "--dry-run")):
    job.main([arguments], os.environ)
print(sorted({"keras", "pandas", "tensorflow"} & set(sys.modules)))
"""


def test_a_command_that_runs_all_the_time_imports_no_pandas(scored_database: Database) -> None:
    insert_patients(scored_database, 5)
    environ = clean_environ() | {"DATABASE_URL": scored_database.url}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1:] == ["[]"], ended.stderr
