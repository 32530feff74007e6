"""Extras: what they bring, the line that installs one where this runs, and what ends a command that lacks one."""

import shlex
import sys

from pima.errors.base import PimaError

EXTRAS = {
    "train": ("tensorflow>=2.21,<2.22", "keras>=3.15.1"),
    "report": ("jinja2>=3.1.6", "matplotlib>=3.10"),
    "files": ("fsspec>=2025.3",),
    "dask": ("dask>=2026.1", "distributed>=2026.1"),
    "alerts": ("apprise>=2.3",),
    "mlflow": ("mlflow-skinny>=3.17",),
}
"""Each extra -> its requirements, as pyproject.toml has them: a checkout and an image have no metadata to read."""


def install_line(extra: str) -> str:
    """A command for a shell, which installs what an extra brings into the environment that this process runs in.

    It names no distribution of pima's: no index has one, or it is somebody else's.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", *EXTRAS[extra]])


class ExtraMissing(PimaError):
    """This installation lacks what the extra {extra} brings, which this needs. Run: {install}; or use an image that has
    it. In pima's folder `pip install --require-hashes -r locks/train.txt` brings the versions of TensorFlow that this
    is tested with."""

    note = "A report that a retraining has left can be had without: `report --last`. No image has MLflow's client."


def extra_missing(extra: str) -> ExtraMissing:
    """The error, with the line that installs it here."""
    return ExtraMissing(extra=extra, install=install_line(extra))
