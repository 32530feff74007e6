"""What a page says of the settings is what the code has."""

import json
import re

import pytest

from pima.settings.sections import Settings
from tests.support.shipped import ROOT

PAGE = (ROOT / "docs" / "understand" / "what-may-change-by-itself.md").read_text()
SAID = dict(re.findall(r"^\| `(\w+\.\w+)` \| `([^`]*)` \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("section", ["gate", "retrain"])
def test_what_may_change_by_itself_is_said_with_each_default(section: str) -> None:
    fields = getattr(Settings(), section)
    # What decides nothing, and what only a network of one's own has.
    keys = set(fields.__struct_fields__) - {"lease_seconds", "custom"}
    assert {key: SAID.get(f"{section}.{key}") for key in keys} == {
        key: json.dumps(getattr(fields, key)) for key in keys
    }
