"""`make mutation` changes functions that are loaded. That it draws the same again, and notices, is
tried where mutmut is: tests/mutation/test_drawing.py."""

import gc

from pima.core.verdicts.verdict import gained
from tests.mutation.judging import put_in
from tests.mutation.mutant import Mutant, statement_at
from tests.support.shipped import ROOT

FILE = "pima/core/verdicts/verdict.py"
CODE = (ROOT / FILE).read_text()


def test_a_change_is_in_the_function_that_is_loaded_until_the_code_is_put_back() -> None:
    before = 'return "" if gain is None'
    assert CODE.count(before) == 1
    changed = CODE.replace(before, 'return "XXXX" if gain is None')
    try:
        put_in(Mutant(FILE, 0, 1, "", "", changed))
        assert gained(None) == "XXXX"
    finally:
        put_in(Mutant(FILE, 0, 1, "", "", CODE))
        gc.freeze()  # as tests/support/session.py had left it
    assert gained(None) == ""


def test_the_statement_of_a_line_is_the_innermost_of_a_function() -> None:
    code = "A = 1\n\n\ndef f(a: int = 2) -> int:\n    if a:\n        return (\n            a\n        )\n    return 0\n"
    assert [statement_at(code, line) for line in (1, 4, 7, 9)] == [
        *(None, None),
        *(range(6, 9), range(9, 10)),
    ]
