"""The libraries that only training needs."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pima.errors import TrainingExtraMissing
from pima.model.quiet import quiet_native_code


@contextmanager
def training_extra() -> Iterator[None]:
    """Around imports that need TensorFlow; raises TrainingExtraMissing where it is not installed."""
    _forget_what_others_were_told()
    try:
        with quiet_native_code():
            yield
    except ImportError:
        raise TrainingExtraMissing() from None


def _forget_what_others_were_told() -> None:
    """A fit is what its recipe says: no keras.json and no variable sets its precision, its steps or its backend."""
    # No folder, so that nothing is read from one or written to one.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull}
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(name, None)
    if sys.warnoptions:
        # Told to make errors of warnings, Python would end the fit at what these libraries warn their developers of.
        warnings.simplefilter("ignore")
