"""The recipes as they were frozen before a look."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

from benches.accuracy.shipped import ROOT

RECIPE = ("pima/model", "pima/train/fit.py", "pima/core/statistics/logistic_regression.py")
"""What must be as it was frozen."""


def frozen() -> dict[str, Any]:
    """What stood before the looks: commits, tables and rules."""
    return tomllib.loads(Path(__file__).with_name("frozen.toml").read_text())


def require_recipe_of(commit: str) -> None:
    """End unless the recipe is that of the commit."""
    command = ["git", "-C", str(ROOT), "diff", "--quiet", commit, "--", *RECIPE]
    assert not subprocess.run(command, check=False).returncode, f"not the recipe of {commit}"
