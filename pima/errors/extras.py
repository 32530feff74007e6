"""Extras: their requirements, the command that installs one here, and the error if one is
missing."""

import shlex
import sys

from pima.errors.base import PimaError

EXTRAS = {
    "train": ("tensorflow>=2.21,<2.22", "keras>=3.15.1"),
    "report": ("jinja2>=3.1.6", "matplotlib>=3.10"),
    "dask": ("dask>=2026.1", "distributed>=2026.1"),
    "alerts": ("apprise>=2.3",),
}
"""The requirements of each extra, as in pyproject.toml: a checkout and an image have no metadata to
read."""


def install_line(extra: str) -> str:
    """The shell command that installs an extra's requirements into the environment of this process.

    It does not name pima itself: a package index has no such package, or another one of that name.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", *EXTRAS[extra]])


class ExtraMissing(PimaError):
    """This command needs the extra {extra}, which is not installed. Run: {install}; or use an image
    that has it. `pip install --require-hashes -r locks/train.txt` installs the tested versions of
    TensorFlow."""

    note = "`report --last` shows a report that a retraining has left without it."


def extra_missing(extra: str) -> ExtraMissing:
    """Make the error, with the command that installs the extra here."""
    return ExtraMissing(extra=extra, install=install_line(extra))
