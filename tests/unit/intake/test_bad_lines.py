"""What is told of bad lines."""

from pima.core.cells import CODES
from pima.core.validation import MISSING, OUT_OF_RANGE, UNKNOWN_CODE
from pima.intake.bad_lines import EXPECTED, broken_rules_of, report
from pima.intake.raw_rows import BadLine
from tests.support.shipped import FEATURES


def test_what_would_have_been_right_is_told_of_each_rule() -> None:
    rules = [BadLine(n, reason) for n, reason in enumerate(EXPECTED, start=2)]
    for rule in broken_rules_of(rules, FEATURES):
        assert rule.expected.startswith(("expected ", "an id is ", "a cell has at most ")), rule
    assert str(report([BadLine(n, "bad_outcome") for n in range(1, 8_001)], FEATURES)).startswith("8,000 bad lines (")


def test_what_would_have_been_right_is_known_of_each_fault_of_a_cell() -> None:
    by_the_feature = {"", MISSING, OUT_OF_RANGE, UNKNOWN_CODE}
    assert {*CODES} - by_the_feature <= EXPECTED.keys()
