"""The labelled history, split into what a model learns from and what it is judged on.

A twin is a row with exactly the features of another: the same person entered twice, or, where features are coarse,
nothing. Of two rows with persons it is known whose they are, equal or not; of a row without one nothing is.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from msgspec import structs

from pima.core.arrays import BoolArray, Float32Array, Int8Array, Int64Array
from pima.core.digest import sha256_of
from pima.core.features import Declaration, Features, names_of
from pima.core.holdout import RowKeys, RowRanks, below, in_holdout, ranked
from pima.core.validation import Measurements, as_features, broken_rules, counted_reasons, validate

MOST_TWINS = 0.05
"""From this share of the training rows on, rows with the features of a holdout row are no sign of the same person. With
age, sex and five codes, all drawn apart, they were 59 % of 2,000 rows and 99 % of 10,000."""


def twins_unless_known(
    features: Float32Array, has_person: BoolArray, others: Float32Array, others_have_person: BoolArray
) -> BoolArray:
    """Find twins among rows (n, features) of some others (m, features): equal, and not both with a person."""
    found = twins_of(features, others[~others_have_person])
    if others_have_person.any():
        left = ~has_person & ~found
        found[left] = twins_of(features[left], others[others_have_person])
    return found


def twins_of(features: Float32Array, others: Float32Array) -> BoolArray:
    """Find rows (n, features) with exactly the features of some others (m, features); NaN equals NaN."""
    known = {row.tobytes() for row in _canonical(others)}
    return np.fromiter((row.tobytes() in known for row in _canonical(features)), bool, count=len(features))


def _canonical(rows: Float32Array) -> Float32Array:
    """One bit pattern a value: NaNs alike, -0.0 as 0.0."""
    return np.where(np.isnan(rows), np.float32(np.nan), rows) + np.float32(0)


@dataclass(frozen=True, slots=True)
class History:
    """The labelled rows as the table holds them, by patient id."""

    patient_ids: Int64Array
    """(n,)"""
    measurements: Measurements
    """n rows of the declared features, and behind them of the retired ones"""
    outcomes: Int8Array
    """(n,), 0 or 1"""
    labelled_at_ms: Int64Array
    """(n,), when each outcome arrived: milliseconds since 1970, UTC"""
    keys: RowKeys | None = None
    """The keys of n rows; None where no row has had a key, and each goes by its id."""


@dataclass(frozen=True)
class Side:
    """Labelled rows that can be used, by patient id."""

    patient_ids: Int64Array
    """(n,)"""
    features: Float32Array
    """(n, features), NaN where missing"""
    outcomes: Int8Array
    """(n,), 0 or 1"""
    labelled_at_ms: Int64Array
    """(n,), as in History"""
    retired: Measurements | None = None
    """n rows of the features that are no longer declared, as they were read: an older version may have been fitted on
    some. None where they are not needed."""
    ranked: RowRanks | None = None
    """The ranks of n rows; None where each goes by its id, and for rows that are not split."""

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def of_each_class(self) -> tuple[int, int]:
        """How many rows have outcome 0 and outcome 1."""
        positive = int(self.outcomes.sum())
        return len(self) - positive, positive

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over ids, features and outcomes; not over the times, which a reload of the same outcomes renews."""
        digest = hashlib.sha256(b"%d" % len(self))
        known = np.where(np.isnan(self.features), np.float32(np.nan), self.features)  # one bit pattern for all NaNs
        for array in (self.patient_ids, known, self.outcomes):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def rows(self, which: BoolArray) -> "Side":
        """Some of the rows; `which` is (n,)."""
        columns = (self.patient_ids[which], self.features[which], self.outcomes[which], self.labelled_at_ms[which])
        retired = None if self.retired is None else self.retired.rows(which)
        return Side(*columns, retired, None if self.ranked is None else self.ranked.rows(which))

    @property
    def has_person(self) -> BoolArray:
        """Rows, (n,), of which it is known whose they are."""
        return np.zeros(len(self), dtype=bool) if self.ranked is None else self.ranked.has_person

    @property
    def came_by_key(self) -> BoolArray:
        """Rows, (n,), that were called by a person or a source's key when they came, and not by their id."""
        return np.zeros(len(self), dtype=bool) if self.ranked is None else self.ranked.came_by_key

    def with_persons(self, which: BoolArray) -> BoolArray:
        """These rows and all others of their persons, as far as these are known, (n,)."""
        return which if self.ranked is None else self.ranked.with_persons(which)

    def in_holdout(self, salt: str, share: float) -> BoolArray:
        """Membership, (n,), in a holdout of this share."""
        if self.ranked is None:
            return in_holdout(self.patient_ids, salt, share)
        return below(self.ranked.ranks, share)


@dataclass(frozen=True, slots=True)
class Split:
    """The history as one retraining sees it."""

    training: Side
    holdout: Side
    left_out: dict[str, int]
    """Rows that are used for nothing, by reason: the rejections' codes, `side_undecided` and
    `twin_of_holdout`."""
    twins_kept: int = 0
    """Training rows with exactly the features of a holdout row, where equal features say nothing."""
    equal_says_nothing: bool = False
    """Whether so many rows are equal that it is no sign of the same person."""
    labelled: int = 0
    """All rows that there were."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Of these, rows that break a rule: by the reason's code, a space, and the column."""

    @property
    def fingerprint(self) -> str:
        """sha256 over both sides: the same history has the same one."""
        return sha256_of(f"{self.training.fingerprint} {self.holdout.fingerprint}".encode())

    @property
    def labelled_between_ms(self) -> tuple[int, int]:
        """When the first and the last of the used outcomes arrived."""
        times = np.concatenate([self.training.labelled_at_ms, self.holdout.labelled_at_ms])
        return int(times.min()), int(times.max())


def split(history: History, features: Features, salt: str, holdout_share: float, most_twins: float = math.inf) -> Split:
    """Leave the invalid rows out, split by the salted hash, keep twins of holdout rows out of training.

    Of a twin with a person all rows are kept out. Twins stay where `most_twins` of the training rows or more equal a
    holdout row that came as they did; without a limit never.
    """
    declared, retired = history.measurements.divided(len(features))
    checked = validate(declared, features)
    kept = checked.accepted
    columns = (history.outcomes[kept], history.labelled_at_ms[kept])
    usable = Side(history.patient_ids[kept], checked.features, *columns, retired.rows(kept) if retired else None)
    left_out = Counter(checked.reasons)
    every = (len(history.outcomes), counted_reasons(checked))
    if history.keys is not None:
        # Of all rows: what is invalid may still show that its person has rows on both sides.
        called = ranked(history.keys, salt).rows(kept)
        lost = called.undecided(holdout_share)
        usable, left_out["side_undecided"] = replace(usable, ranked=called).rows(~lost), int(lost.sum())
    held = usable.in_holdout(salt, holdout_share)
    holdout, rest = usable.rows(held), usable.rows(~held)
    twins = twins_unless_known(rest.features, rest.has_person, holdout.features, holdout.has_person)
    alike = int(twins.sum()) if rest.ranked is None else _alike_as_they_came(rest, holdout)
    if alike and alike >= most_twins * len(rest):
        return Split(rest, holdout, dict(+left_out), int(twins.sum()), True, *every)
    twins = rest.with_persons(twins)
    left_out["twin_of_holdout"] = int(twins.sum())
    # Those of which there are any.
    return Split(rest.rows(~twins), holdout, dict(+left_out), 0, False, *every)


def _alike_as_they_came(rest: Side, holdout: Side) -> int:
    """Count the training rows that equal a holdout row that came as they did, by a key or by its id alone.

    A history that came once from a file and once more by a pull is full of equal rows, however fine its features are.
    """
    kinds = ((rest.came_by_key == by_key, holdout.came_by_key == by_key) for by_key in (False, True))
    return sum(int(twins_of(rest.features[one], holdout.features[other]).sum()) for one, other in kinds)


@dataclass(frozen=True, slots=True)
class AsTaken:
    """The rows of a side as a model version takes them."""

    features: Float32Array
    """(n, the version's features)"""
    scorable: BoolArray
    """(n,), which of them it can score by today's rules; the features of the others mean nothing."""


def as_taken(side: Side, declared: Declaration, fitted: Features) -> AsTaken:
    """The rows for a version that was fitted on these features, of which some may have been retired since."""
    rules = declared.rules_for(fitted)
    if rules == declared.features:
        return AsTaken(side.features, np.ones(len(side), dtype=bool))
    current = tuple(rule for rule in rules if rule.name in declared.names)
    values = side.features[:, [declared.names.index(name) for name in names_of(current)]]
    taken, scorable = dict(zip(names_of(current), values.T, strict=True)), _can_be_taken(values, current)
    gone = tuple(rule for rule in rules if rule not in current)
    if gone and side.retired is not None:
        needed = [names_of(declared.retired).index(name) for name in names_of(gone)]
        retired = Measurements(side.retired.values[:, needed], side.retired.is_null[:, needed])
        taken |= dict(zip(names_of(gone), as_features(retired, gone).T, strict=True))
        scorable = scorable & (broken_rules(retired, gone) == 0).all(axis=1)
    return AsTaken(np.stack([taken[name] for name in names_of(rules)], axis=1), scorable)


def _can_be_taken(values: Float32Array, rules: Features) -> BoolArray:
    # Each value was rounded to float32; a range whose ends are not would lose those that stand on them.
    rounded = tuple(structs.replace(rule, low=_rounded(rule.low), high=_rounded(rule.high)) for rule in rules)
    broken = broken_rules(Measurements(values.astype(np.float64), np.isnan(values)), rounded)
    sound: BoolArray = (broken == 0).all(axis=1)
    return sound


def _rounded(bound: float | None) -> float | None:
    return None if bound is None else float(np.float32(bound))


def shortage(history: Split, minimum_labels: int, minimum_of_each_class: int) -> str | None:
    """Tell what is missing for a fair fit and a fair judgement, in counts; None where there is enough."""
    lacking = _lacking(history, minimum_labels, minimum_of_each_class)
    left_out = ", ".join(f"{rows} labelled rows ({reason})" for reason, rows in sorted(history.left_out.items()))
    return f"{lacking}; left out: {left_out}" if lacking and left_out else lacking


def _lacking(history: Split, minimum_labels: int, minimum_of_each_class: int) -> str | None:
    labels = len(history.training) + len(history.holdout)
    if labels < minimum_labels:
        return f"{labels} usable labelled rows, {minimum_labels} needed"
    for name, side in (("training", history.training), ("holdout", history.holdout)):
        for outcome, rows in enumerate(side.of_each_class):
            if rows < minimum_of_each_class:
                return f"{rows} {name} rows with outcome {outcome}, {minimum_of_each_class} needed"
    return None


@dataclass(frozen=True, slots=True)
class Learned:
    """The rows that a model version was fitted on."""

    patient_ids: Int64Array
    """(m,)"""
    features: Float32Array | None = None
    """(m, features); None where they are not kept."""
    ranked: RowRanks | None = None
    """The rows' ranks; None where no row has had a key."""


def unseen_by(learned: Learned, holdout: Side, features: Float32Array, by_features: bool = True) -> BoolArray:
    """Find rows of a holdout, (n,), that a version can't have learned from; `features` are as the version takes them.

    No clock is asked: a row that was deleted and comes in again, or out of a backup, looks new by every time in it.
    """
    seen = np.isin(holdout.patient_ids, learned.patient_ids)
    if learned.features is not None and by_features:
        has_person = np.zeros(len(learned.features), bool) if learned.ranked is None else learned.ranked.has_person
        twins = twins_unless_known(features, holdout.has_person, learned.features, has_person)
        seen |= holdout.with_persons(twins)
    if learned.ranked is not None and holdout.ranked is not None:
        persons = np.concatenate([learned.ranked.ranks, learned.ranked.persons[learned.ranked.has_person]])
        seen |= holdout.ranked.has_person & np.isin(holdout.ranked.persons, persons)
    return ~seen
