import importlib
from datetime import UTC, datetime

import pytest

from tests.support import settled


@pytest.fixture(autouse=True)
def _of_today(request: pytest.FixtureRequest) -> None:
    """A module says at its import what day it is. Once midnight has passed, weeks may be others: it
    is read anew."""
    said = getattr(request.module, "NOW", None)
    if said is not None and said.date() != datetime.now(UTC).date():
        importlib.reload(settled)
        importlib.reload(request.module)
