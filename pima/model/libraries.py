"""The libraries that a model needs: how they are imported, and dropped in the middle of a fit."""

import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pima.errors import TrainingExtraMissing
from pima.errors.extras import install_line
from pima.logs import quiet_native_code

Boundary = Callable[[], None]
"""Called between two steps of a fit; raises where the fit is to be dropped. What is raised amid TensorFlow's native
code may become another error there, or end the process."""


def never() -> None:
    """A boundary at which the fit goes on."""


@contextmanager
def training_extra() -> Iterator[None]:
    """Surround imports that need TensorFlow; raises TrainingExtraMissing where it is not installed."""
    # A fit is what its recipe says: no keras.json and no variable sets its precision, its steps or its backend. No
    # folder, so that nothing is read from one or written to one.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull}
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(name, None)
    if sys.warnoptions:
        # Told to make errors of warnings, Python would end the fit at what these libraries warn their developers of.
        warnings.simplefilter("ignore")
    try:
        with quiet_native_code(), _as_if_not_installed("matplotlib", "sklearn"), _not_looked_through():
            yield
    except ImportError:
        raise TrainingExtraMissing(install=install_line("train")) from None


@contextmanager
def _not_looked_through() -> Iterator[None]:
    """Switch the garbage collector off: nearly all of what the first import makes stays until
    the end, and to look through it is a third of the import's time, and afterwards 0.3 s each time, which every export
    does."""
    is_first, was_enabled = "keras" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_first:
            gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def _as_if_not_installed(*packages: str) -> Iterator[None]:
    """Hide packages that were not imported before; afterwards whoever wants them may import them. Keras imports these
    for plots and wrappers of its own, which no fit uses: over a second of each start."""
    hidden = [name for name in packages if name not in sys.modules]
    modules: dict[str, Any] = sys.modules  # in which None stands for what can't be imported
    modules |= dict.fromkeys(hidden)
    try:
        yield
    finally:
        for name in hidden:
            modules.pop(name, None)
