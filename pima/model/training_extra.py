"""The libraries that only training needs."""

from collections.abc import Iterator
from contextlib import contextmanager

from pima.errors import TrainingExtraMissing
from pima.model.quiet import quiet_native_code


@contextmanager
def training_extra() -> Iterator[None]:
    """Around imports that need TensorFlow; raises TrainingExtraMissing where it is not installed."""
    try:
        with quiet_native_code():
            yield
    except ImportError:
        raise TrainingExtraMissing() from None
