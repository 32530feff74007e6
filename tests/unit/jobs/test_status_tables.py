"""Numbers as small bars."""

import pytest

from jobs.status_tables import spark_line


@pytest.mark.parametrize(
    ("values", "encoding", "line"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], "utf-8", "▁▂▃▄▅▆▇██"),
        ([0, None, 8], None, "▁ █"),
        ([0, 4, 8], "ascii", "_=#"),
        ([-1, 9], "utf-8", "▁█"),
        ([], "utf-8", ""),
    ],
)
def test_each_value_is_a_bar_of_its_height(values: list[float | None], encoding: str | None, line: str) -> None:
    assert spark_line(values, 0, 8, encoding) == line


def test_values_that_are_all_alike_are_bars_of_one_height() -> None:
    assert spark_line([3, 3], 3, 3, "utf-8") == "▄▄"
