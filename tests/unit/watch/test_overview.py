"""What the first screen says where no settled outcome counts."""

from pima.core.outcomes.followed_up import FollowedUp, FollowUp
from pima.store.rows.settled import SettledOutcomes
from pima.watch.overview import _none_counts
from tests.support.served import counts_of

NOTHING = counts_of([], [])


def test_why_none_counts_is_said_where_all_rows_were_predicted_too_late() -> None:
    follow_up = FollowUp((FollowedUp(2900, 20, 14),))
    found = SettledOutcomes([], [], None, follow_up, NOTHING, late=7)
    assert _none_counts(found) == (
        "7 outcomes of predictions have settled; none counts, since their rows were predicted too "
        "late"
    )
    assert _none_counts(SettledOutcomes([], [], None, follow_up, NOTHING, early=3)) is None
