"""Where a fit may be dropped: between two of its steps, and nowhere else. What is raised amid TensorFlow's native code
may become another error there, or end the process."""

from collections.abc import Callable

Boundary = Callable[[], None]
"""Called between two steps; raises where the fit is to be dropped."""


def never() -> None:
    """The fit is not dropped."""
