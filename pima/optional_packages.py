"""The packages that each extra brings, and the line that installs them where this runs."""

import shlex
import sys

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
