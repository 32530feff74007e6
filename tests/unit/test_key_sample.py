"""Some of very many keys, from all over their order."""

import pytest

from pima.intake.former_names import KeySample


@pytest.mark.parametrize(("rows", "block"), [(3, 10), (4_000, 1_000), (4_001, 4_001), (1_000_000, 10_000), (9_000, 7)])
def test_a_sample_is_spread_over_all_keys_and_all_of_them_where_they_are_few(rows: int, block: int) -> None:
    sample = KeySample()
    for first in range(0, rows, block):
        sample.add([f"{n:07}" for n in range(first, min(first + block, rows))])
    numbers = [int(key) for key in sample.keys]
    assert numbers == sorted(set(numbers))
    if rows <= 4_000:
        assert len(numbers) == rows
    else:
        assert 1_000 <= len(numbers) <= 4_000
        gaps = [after - before for before, after in zip(numbers, [*numbers[1:], rows], strict=True)]
        assert max(gaps) <= 4 * rows / len(numbers) + block
