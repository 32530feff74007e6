"""The faults of `make mutants` fit the code as it is, and the tests that must notice them are
there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.faults import DATABASES, FAULTS, Fault, misfits
from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

EACH = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


def test_each_has_a_name_of_its_own_and_can_be_made_on_a_database() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(fault.forms and set(fault.forms) <= set(DATABASES) for fault in FAULTS)
    assert all(form.edits and form.caught_by for fault in FAULTS for form in fault.forms.values())


@EACH
def test_what_a_fault_changes_stands_in_the_code_once(fault: Fault, tmp_path: Path) -> None:
    assert misfits(ROOT, fault) == []
    assert misfits(tmp_path, fault) != []


@EACH
def test_broken_code_is_python_still(fault: Fault) -> None:
    for form in fault.forms.values():
        broken: dict[str, str] = {}
        for edit in form.edits:
            text = broken.get(edit.file) or (ROOT / edit.file).read_text()
            broken[edit.file] = text.replace(edit.old, edit.new)
        for file, text in broken.items():
            if file.endswith(".py"):
                compile(text, file, "exec")


def test_each_test_that_must_notice_one_is_there_and_a_judge() -> None:
    named = sorted(
        {test for fault in FAULTS for form in fault.forms.values() for test in form.caught_by}
    )
    options = ["--collect-only", "-q", "-m", "judge", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *named]
    ended = subprocess.run(command, cwd=ROOT, env=clean_environ(), capture_output=True, text=True)
    assert sorted(line for line in ended.stdout.splitlines() if "::" in line) == named, (
        ended.stdout + ended.stderr
    )
