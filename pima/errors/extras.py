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


class TrainingExtraMissing(PimaError):
    """This installation has no TensorFlow, so it can score but not train. Run: {install}; or use the image's default
    target. In pima's folder `pip install --require-hashes -r locks/train.txt` brings the versions that it is tested
    with."""


class ReportExtraMissing(PimaError):
    """This installation has neither Jinja nor matplotlib, so it can draw no report. Run: {install}; or use
    the image's default target. `report --last` needs neither: it writes the one that the last retraining left."""


class AlertsExtraMissing(PimaError):
    """This installation has no apprise, so it can tell nobody of anything. Run: {install}; or use the
    image's default target."""


class MlflowExtraMissing(PimaError):
    """This installation has no client of MLflow, so it can mirror nothing. Run: {install}. No image has it:
    run this command from a virtual environment."""
