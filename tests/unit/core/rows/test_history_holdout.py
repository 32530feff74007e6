"""On which side of the holdout rows with keys are: by what they were called first, and on none
where that is undone."""

import hmac

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.rows.history import (
    MOST_TWINS,
    below,
    rank_name,
    ranked,
    ranks,
    ranks_of_names,
    split,
    unseen_by,
)
from tests.support.labelled import as_learned, in_holdout, labelled
from tests.support.shipped import FEATURE_NAMES, FEATURES, SALT, SOUND

SHARE = 0.30
VALUES = [float(SOUND[feature.name]) for feature in FEATURES]


def _history(
    first: list[str],
    persons: list[str | None],
    ids: list[int] | None = None,
    alike: bool = False,
    share: float = SHARE,
) -> pd.DataFrame:
    count = len(first)
    values = np.tile(np.array(VALUES), (count, 1))
    if not alike:
        values[:, FEATURE_NAMES.index("bmi")] = np.linspace(20, 50, count)
    return labelled(values, np.arange(count) % 2, SALT, share, ids, keys=(first, persons))


def _is_held(key: str, share: float = SHARE) -> bool:
    return bool(below(ranks([key.encode()], SALT), share)[0])


def _keys(prefix: str, held: bool, count: int) -> list[str]:
    """So many keys on that side."""
    return [key for n in range(200) if _is_held(key := f"{prefix}{n}") == held][:count]


def test_a_row_without_keys_goes_by_its_id_as_ever() -> None:
    ids = list(range(1, 2_001))
    keyed = split(_history([str(each) for each in ids], [None] * len(ids)), FEATURES)
    assert (
        keyed.holdout.index.tolist()
        == np.array(ids)[in_holdout(np.array(ids), SALT, SHARE)].tolist()
    )
    assert keyed.left_out == {}


def test_a_rank_is_the_first_64_bits_and_a_substitute_keeps_that_of_its_name() -> None:
    digest = hmac.digest(SALT.encode(), b"person p0", "sha256")
    names = ["person p0", rank_name("person p0", SALT)]
    assert ranks_of_names(names, SALT).tolist() == [int.from_bytes(digest[:8], "big")] * 2
    assert "p0" not in names[1]


def test_sides_of_keys_are_frozen() -> None:
    # Written down once, as those of ids: from then on they must not move.
    names = [f"person p{n}" for n in range(10)] + [f"source clinic v{n}" for n in range(10)]
    assert [name.split()[-1] for name in names if _is_held(name)] == FROZEN


FROZEN = ["p0", "p1", "p2", "p4", "p7", "v4", "v5", "v7", "v9"]


def test_all_rows_of_a_person_are_on_one_side_whatever_their_ids() -> None:
    persons = [f"p{n % 300}" for n in range(3_000)]
    found = split(_history([f"person {each}" for each in persons], persons), FEATURES)
    sides = [
        {persons[each - 1] for each in side.index.tolist()}
        for side in (found.training, found.holdout)
    ]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 300
    assert all(_is_held(f"person {each}") for each in sides[1])
    assert found.left_out == {}


def test_an_invalid_row_still_shows_that_its_person_is_on_both_sides() -> None:
    (held,), (trained,) = _keys("source clinic v", True, 1), _keys("source clinic v", False, 1)
    history = _history([held, trained, "7"], ["p", "p", None])
    history.iloc[0, : len(FEATURES)] = -1.0
    found = split(history, FEATURES)
    assert found.left_out["side_undecided"] == 1
    assert sum(found.left_out.values()) == 2


PAIRS = [("p", "p", False), ("p", "", True), ("", "p", True), ("", "", True)]
"""Whether a training row has a person and an equal holdout row has one -> whether they are
twins."""


def _called(person: str, held: bool, count: int) -> tuple[list[str], list[str | None]]:
    """First names and persons of so many rows on that side."""
    names = _keys("person p" if person else "", held, count)
    return names, [name.removeprefix("person ") if person else None for name in names]


@pytest.mark.parametrize(("training", "held", "are_twins"), PAIRS)
def test_equal_rows_are_twins_unless_both_have_a_person(
    training: str, held: str, are_twins: bool
) -> None:
    (first, persons), (held_first, held_persons) = (
        _called(training, False, 3),
        _called(held, True, 2),
    )
    found = split(_history(first + held_first, persons + held_persons, alike=True), FEATURES)
    assert found.left_out == ({"twin_of_holdout": 3} if are_twins else {})
    assert (len(found.training), len(found.holdout)) == (0 if are_twins else 3, 2)
    # Nor does such a row judge a model that has learned from the other one.
    rows = split(_history(*_called(training, False, 3), alike=True), FEATURES).training
    holdout = split(_history(*_called(held, True, 2), [11, 12], alike=True), FEATURES).holdout
    assert (len(rows), unseen_by(as_learned(rows), holdout).tolist()) == (3, 2 * [not are_twins])


def test_of_a_twin_with_a_person_the_other_visits_are_not_used_either() -> None:
    (nameless,), ((first, *others), _) = _keys("", True, 1), _called("p", False, 3)
    names = [nameless, first, first, *others]
    persons = [name.removeprefix("person ") if name != nameless else None for name in names]
    history = _history(names, persons)
    history.iloc[1, : len(FEATURES)] = history.iloc[0, : len(FEATURES)]
    found = split(history, FEATURES)
    assert (found.left_out, found.training.index.tolist()) == ({"twin_of_holdout": 2}, [4, 5])
    # The other way round a model learned from the row of nobody.
    learned = as_learned(split(_history(_keys("", False, 1), [None]), FEATURES).training)
    held, held_persons = _called("p", True, 2)
    visits = _history([held[0], *held], [held_persons[0], *held_persons], [11, 12, 13])
    holdout = split(visits, FEATURES).holdout
    assert unseen_by(learned, holdout).tolist() == [False, False, True]


def test_where_the_rows_of_many_persons_are_equal_it_says_nothing_of_those_of_nobody() -> None:
    persons = [f"p{n}" for n in range(1_000)]
    nameless = [str(n) for n in range(1, 51)]
    keys = [*(f"person {each}" for each in persons), *nameless]
    found = split(_history(keys, [*persons, *[None] * 50], alike=True), FEATURES, MOST_TWINS)
    # Those without a person equal somebody's row, and those with one the rows of nobody.
    assert (found.left_out, found.twins_kept) == ({}, len(found.training))
    named = split(_history(keys[:1_000], list(persons), alike=True), FEATURES, MOST_TWINS)
    assert (named.left_out, named.twins_kept, named.equal_says_nothing) == ({}, 0, True)


@pytest.mark.judge
def test_rows_that_came_a_second_time_from_a_source_are_twins_however_many_they_are() -> None:
    """A history of a file, which was then pulled: no two of its rows were alike as they came
    first."""
    of_file = list(map(str, range(1, 201)))
    of_source = [f"source clinic v{each}" for each in of_file]
    history = _history(of_file + of_source, [None] * 400)
    names = list(FEATURE_NAMES)
    history.loc[201:, names] = history.loc[:200, names].to_numpy()
    found = split(history, FEATURES, MOST_TWINS)
    assert (found.twins_kept, found.equal_says_nothing) == (0, False)
    held = {each % 200 for each in found.holdout.index}
    assert 0 < len(held) < 200
    assert not held & {each % 200 for each in found.training.index}


def test_no_other_visit_of_a_person_whom_it_learned_from_judges_a_model() -> None:
    """The visit that was learned from is gone, or its person is another by now."""
    persons = [f"p{n}" for n in range(200)]
    keys = [f"person {each}" for each in persons]
    learned = split(_history(keys, list(persons)), FEATURES).training
    later = split(
        _history(keys, list(persons), list(range(1001, 1201)), share=0.60), FEATURES
    ).holdout
    are_new = [_is_held(f"person p{each - 1001}") for each in later.index.tolist()]
    assert not all(are_new)
    known = as_learned(learned)
    for each in (known, known.assign(Person=known["Person"] + 1)):
        assert unseen_by(each, later).tolist() == are_new


def test_of_a_row_that_comes_again_with_a_person_the_other_visits_do_not_judge_it_either() -> None:
    (held, other), (person, *_) = _keys("person h", True, 2), _keys("", False, 1)
    names = [held.removeprefix("person "), other.removeprefix("person ")]
    later = split(
        _history([held, held, other], [names[0], *names], [int(person), 1001, 1002]), FEATURES
    )
    known = ranked([held], [names[0]], SALT).set_index(pd.Index([int(person)]))
    assert unseen_by(known, later.holdout).tolist() == [False, False, True]


def test_of_a_row_that_was_renamed_and_is_gone_the_person_s_other_rows_are_on_no_side() -> None:
    (held,), (person,) = _keys("person h", True, 1), _keys("person t", False, 1)
    values, name = np.tile(np.array(VALUES), (2, 1)), person.removeprefix("person ")
    keys = ([person, "7"], [name, None])
    rows = labelled(values, np.array([0, 1]), SALT, SHARE, keys=keys, renamed=[(held, name)])
    assert rows["Side"].tolist()[0] == "undecided"
    assert (
        "undecided"
        not in labelled(values, np.array([0, 1]), SALT, SHARE, keys=keys)["Side"].tolist()
    )


def test_membership_is_frozen() -> None:
    # Written down once: a change of the hash would move training rows into the test set of running
    # installations.
    members = np.flatnonzero(in_holdout(np.arange(1, 31), "salt", 0.30)) + 1
    assert members.tolist() == FROZEN_MEMBERS


FROZEN_MEMBERS = [5, 6, 7, 10, 14, 16, 17, 24, 27, 29]


@given(
    st.lists(st.integers(1, 2**63 - 1), max_size=30),
    st.text(max_size=80),
    st.sampled_from([0.0, 0.3, 0.999]),
)
def test_membership_is_the_keyed_hash_below_the_share(
    ids: list[int], salt: str, share: float
) -> None:
    digests = (hmac.digest(salt.encode(), str(patient_id).encode(), "sha256") for patient_id in ids)
    expected = [int.from_bytes(digest[:8], "big") < share * 2**64 for digest in digests]
    found = in_holdout(np.array(ids, dtype=np.int64), salt, share)
    assert found.tolist() == expected
