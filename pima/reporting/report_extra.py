"""The libraries that only the report needs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pima.errors import ReportExtraMissing
from pima.optional_packages import install_line


@contextmanager
def report_extra() -> Iterator[None]:
    """Around imports that need Jinja and matplotlib; raises ReportExtraMissing where they are not installed."""
    # It tells of its cache of fonts, as no line of our log.
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    try:
        yield
    except ImportError:
        raise ReportExtraMissing(install=install_line("report")) from None
