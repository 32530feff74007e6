"""A class name has one meaning in the whole project, and a unit test the name of the file that it
is about."""

import ast
from pathlib import Path

from tests.support.shipped import ROOT

UNIT = ROOT / "tests" / "unit"


def _defined_twice(root: Path) -> dict[str, list[str]]:
    """The class names that are defined more than once, each with its files."""
    files: dict[str, list[str]] = {}
    for path in sorted([*root.glob("pima/**/*.py"), *root.glob("jobs/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                files.setdefault(node.name, []).append(str(path.relative_to(root)))
    return {name: found for name, found in files.items() if len(found) > 1}


def test_no_two_classes_have_one_name() -> None:
    assert _defined_twice(ROOT) == {}


def test_a_name_that_is_defined_twice_is_found(tmp_path: Path) -> None:
    for room in ("pima/core", "jobs"):
        (tmp_path / room).mkdir(parents=True)
        (tmp_path / room / "ranges.py").write_text("class Range:\n    pass\n")
    assert _defined_twice(tmp_path) == {"Range": ["jobs/ranges.py", "pima/core/ranges.py"]}


def _is_named_for_a_file(test: Path) -> bool:
    """Whether `tests/unit/ROOM/test_FILE.py` or `test_FILE_TOPIC.py` has a FILE in its room."""
    room = test.parent.relative_to(UNIT)
    places = (ROOT / above / room for above in ("pima", "tests", ""))
    files = {found.stem for place in places if place.is_dir() for found in place.iterdir()}
    return any(f"{test.stem}_".startswith(f"test_{name}_") for name in files)


def test_unit_tests_mirror_the_rooms() -> None:
    tests = list(UNIT.glob("*/**/test_*.py"))
    assert [str(test.relative_to(ROOT)) for test in tests if not _is_named_for_a_file(test)] == []
    assert len(tests) > 40
    assert not _is_named_for_a_file(UNIT / "core/test_scoring.py")
    assert not _is_named_for_a_file(UNIT / "core/rows/test_features.py")
