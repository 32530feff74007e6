"""How it is said that rows have no prediction."""

import pytest

from pima.core.nights.unpredicted import Cause, Unpredicted
from pima.watch.unpredicted import unpredicted_in_words


def _night(predicted: int, *causes: Cause, since: str = "2026-11-27T02:15:00+00:00") -> Unpredicted:
    return Unpredicted(since=since, predicted=predicted, causes=causes)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (_night(0), "no row was new or changed since 2026-11-27 02:15 UTC"),
        (_night(0, since=""), "no new row has come yet"),
        (
            _night(7),
            (
                "none of the 7 rows that were new or changed since 2026-11-27 02:15 UTC lacks a "
                "prediction"
            ),
        ),
        (
            _night(0, Cause("", "missing", "age", 1)),
            (
                "1 of the 1 row that was new or changed since 2026-11-27 02:15 UTC has no "
                "prediction (100.0%): 1 rejected by scoring (missing: age)"
            ),
        ),
        (
            _night(1_000, Cause("", "never_queued", "", 300), Cause("", "", "", 20), since=""),
            (
                "320 of the 1,320 new rows have no prediction (24.2%): 300 never queued, written while the "
                "triggers were switched off, 20 rejected by scoring"
            ),
        ),
        (
            _night(
                0,
                Cause("clinic", "out_of_range", "blood_pressure", 40),
                Cause("ward", "bad_outcome", "", 30),
                Cause("clinic", "unknown_code", "sex", 20),
                since="",
            ),
            (
                "90 of the 90 new rows have no prediction (100.0%): 60 rejected by the pull of clinic "
                "(40 out of range: blood pressure, 20 unknown code: sex), 30 rejected by the pull "
                "of ward (bad outcome)"
            ),
        ),
        (
            _night(
                0,
                *(Cause("", "missing", name, 10 - n) for n, name in enumerate("abcdefg")),
                since="",
            ),
            (
                "49 of the 49 new rows have no prediction (100.0%): 49 rejected by scoring "
                "(10 missing: a, 9 missing: b, 8 missing: c, 7 missing: d, 6 missing: e, 9 other)"
            ),
        ),
    ],
)
def test_it_is_said_in_a_sentence(found: Unpredicted, said: str) -> None:
    assert unpredicted_in_words(found) == said
