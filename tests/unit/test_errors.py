"""Messages: sentences whose lines a terminal makes, with the lists of their facts as they are."""

import inspect
import string
from typing import Any

import pytest

from pima import errors
from pima.errors import FileRefused, PimaError

CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, PimaError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
def test_no_sentence_is_broken_by_the_source_s_line_ends(kind: type[PimaError]) -> None:
    fields = [field for _, field, _, _ in string.Formatter().parse(kind.__doc__ or "") if field]
    facts: dict[str, Any] = dict.fromkeys(fields, 1)
    message = str(kind(**facts))
    assert "\n" not in message
    assert "  " not in message


def test_a_list_among_the_facts_keeps_its_lines() -> None:
    report = "2 bad lines:\n  line 2: bad\n\n  line 3: bad"
    assert str(FileRefused(file="a.csv", report=report)).endswith(f"nothing was loaded. {report}")
