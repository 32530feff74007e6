"""Messages: sentences whose lines a terminal makes, with the lists of their facts as they are."""

import inspect
import pickle
import string
from typing import Any

import pytest

from pima import errors
from pima.errors import FileRefused, PimaError

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, PimaError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
def test_no_sentence_is_broken_by_the_source_s_line_ends(kind: type[PimaError]) -> None:
    fields = [field for _, field, _, _ in string.Formatter().parse(kind.__doc__ or "") if field]
    facts: dict[str, Any] = dict.fromkeys(fields, 1)
    message = str(kind(**facts))
    assert "\n" not in message
    assert "  " not in message


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
def test_an_error_is_the_same_in_another_process(kind: type[PimaError]) -> None:
    error = kind(
        **{field: 1 for _, field, _, _ in string.Formatter().parse(kind.__doc__ or "") if field}
    )
    there = pickle.loads(pickle.dumps(error))  # noqa: S301 (this test wrote it)
    assert (type(there), str(there), there.facts) == (kind, str(error), error.facts)


def test_a_list_among_the_facts_keeps_its_lines() -> None:
    report = "2 bad lines:\n  line 2: bad\n\n  line 3: bad"
    assert str(FileRefused(file="a.csv", report=report)).endswith(f"nothing was loaded. {report}")
