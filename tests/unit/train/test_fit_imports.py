"""What training imports is not looked through for garbage."""

import subprocess
import sys

from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

_TRAINING = """
import gc
from pima.train.fit import training_extra
with training_extra():
    import keras
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def test_what_training_imports_is_never_looked_through() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TRAINING], cwd=ROOT, env=clean_environ(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]
