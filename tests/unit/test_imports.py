"""No file of pima or jobs needs, by way of others, itself: imports in functions and for types
count, too."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.shipped import ROOT


def _imports(root: Path) -> dict[str, set[str]]:
    """Each module with those that it imports."""
    files = sorted([*root.glob("pima/**/*.py"), *root.glob("jobs/**/*.py")])
    modules = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                named |= {str(node.module), *(f"{node.module}.{each.name}" for each in node.names)}
            elif isinstance(node, ast.Import):
                named |= {each.name for each in node.names}
        found[name] = named & modules.keys()
    return found


def test_no_files_import_one_another_in_a_circle() -> None:
    imports = _imports(ROOT)
    assert imports["jobs.score"] >= {"pima.scoring", "pima.dask.night"}
    TopologicalSorter(imports).prepare()


def test_a_circle_through_a_function_is_found(tmp_path: Path) -> None:
    (tmp_path / "pima").mkdir()
    (tmp_path / "pima/one.py").write_text("from pima import two\n")
    (tmp_path / "pima/two.py").write_text("def late():\n    import pima.one\n")
    with pytest.raises(CycleError):
        TopologicalSorter(_imports(tmp_path)).prepare()
