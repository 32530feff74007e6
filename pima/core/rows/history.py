"""The labelled history, its split into the rows to learn from and the rows to be judged on, and the
rule of duplicates.

A history is a DataFrame by patient `id`. Its columns are the declared features, the retired ones,
`outcome` (0 or 1), `labelled_at`, `Over` (when its horizon was over; without one,
`labelled_at`), `Person` (the rank of the row's person, NA without one), `Keyed` and `Side`, as
described in `ranked` and `with_sides`, the scores in use, the groups as they stand today, and
`Unclaimed`: whether no prediction was made in time, so that values and scores are as they stand
today. A feature may have any name in lower case, so columns that no table has are capitalised.

A history as it was read has float64 measurements: NaN for NULL, and an infinity for what is no
number. Its two sides have the declared features as the model takes them: float32, NaN where
missing.

A twin is a row with exactly the features of another row. It may be the same person entered twice;
if features are coarse, it says nothing. If both rows have a person key, the keys decide whether
they are the same person, not equality. Rows that were corrected after their prediction have the
values that they were predicted on, and are twins by those of today, too.
"""

import hashlib
import hmac
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from msgspec import structs

from pima.core.arrays import BoolArray, Float32Array, Int64Array, UInt64Array
from pima.core.declared.features import Declaration, Feature, Features, names_of
from pima.core.declared.identifiers import PERSON, SOURCE, name_of_person
from pima.core.rows.hindsight import Corrections
from pima.core.rows.validation import (
    as_features,
    broken_rule,
    by_feature,
    counted_reasons,
    validate,
)

UNCLAIMED = "Unclaimed"
MOST_TWINS = 0.05
"""If at least this share of the training rows equals holdout rows, equality is no sign of the same
person. With age, sex and five codes, all drawn independently, 59 % of 2,000 rows did, and 99 % of
10,000."""


def features_of(rows: pd.DataFrame) -> Float32Array:
    """Return the rows' features as the network takes them, (n, features), in C order.

    In another memory order, sums are added up differently and the last bits of the predictions
    change.
    """
    return np.ascontiguousarray(rows.select_dtypes("float32").to_numpy())


def fingerprint_of(rows: pd.DataFrame) -> str:
    """Return the sha256 over ids, features and outcomes; not over the times, which change when the
    same outcomes are loaded again."""
    digest = hashlib.sha256(b"%d" % len(rows))
    known = features_of(rows).copy()
    known[np.isnan(known)] = np.nan  # one bit pattern for all NaNs
    for array in (rows.index.to_numpy(), known, rows["outcome"].to_numpy()):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def of_each_class(rows: pd.DataFrame) -> tuple[int, int]:
    """Count the rows with outcome 0 and with outcome 1."""
    positive = int(rows["outcome"].sum())
    return len(rows) - positive, positive


# ---- Rows as they were predicted on.


def as_predicted_on(history: pd.DataFrame, then: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put the values that rows were predicted on, `then`, in the place of today's. Also return the
    rows whose values differ, as they stand today. Rows that the history lacks are left out."""
    then = then[then.index.isin(history.index)]
    names = list(then.columns)
    today = history.loc[then.index]
    today = today.loc[today[names].compare(then).index]
    if not today.empty:
        history = history.copy(deep=False)
        history.loc[today.index, names] = then.loc[today.index]
    return history, today


# ---- The split.


@dataclass(frozen=True)
class Split:
    """The history as one retraining sees it."""

    training: pd.DataFrame
    holdout: pd.DataFrame
    left_out: dict[str, int]
    """Rows that are not used, by reason: the rejections' codes, `side_undecided` and
    `twin_of_holdout`."""
    twins_kept: int = 0
    """Training rows with exactly the features of a holdout row, kept since equality says
    nothing."""
    equal_says_nothing: bool = False
    """Whether so many rows are equal that equality is no sign of the same person."""
    labelled: int = 0
    """All labelled rows."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Labelled rows that break a rule: by the reason's code, a space, and the column."""

    horizon: str | None = None
    """The declared horizon, after which its outcomes were settled."""
    today: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Rows of both sides that were corrected after their prediction, as they stand today."""
    corrections: Corrections = field(default_factory=Corrections)
    followed_up: str | None = None
    """How many rows are followed up, in words; None without a horizon."""
    newest_weeks: int | None = None
    """The weeks that the training rows are of; None if they are all."""
    acted_upon: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Rows on the side of training that are left out since somebody acted."""
    of_all: "Split | None" = None
    """The history with all training rows; None if these are all."""

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 over both sides: equal histories of the same horizon have the same one."""
        if self.of_all is not None:
            return self.of_all.fingerprint
        parts = [fingerprint_of(self.training), fingerprint_of(self.holdout)]
        if self.horizon is not None:
            parts.append(self.horizon)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    @property
    def all_training(self) -> pd.DataFrame:
        """All training rows, also where the newest alone are learned from."""
        return (self.of_all or self).training

    @cached_property
    def holdout_order(self) -> str:
        """The sha256 over the ids of the holdout in the order in which their horizons ended, which
        decides the rows that are recent. The fingerprint has no times."""
        by_time = self.holdout["Over"].sort_values(kind="stable").index.to_numpy()
        return hashlib.sha256(by_time.tobytes()).hexdigest()


def split(
    history: pd.DataFrame,
    features: Features,
    most_twins: float = math.inf,
    today: pd.DataFrame | None = None,
) -> Split:
    """Leave out the rows that are invalid or on no side, and keep twins of holdout rows out of
    training. `today` has the corrected rows of the history, as they stand today.

    If a twin has a person, all rows of the person are kept out. Twins stay in training if at least
    the share `most_twins` of the training rows equals holdout rows that came in the same way;
    without a limit, never.
    """
    names = list(names_of(features))
    checked = validate(by_feature(history[names].to_numpy()), features)
    others = history.drop(columns=names).iloc[checked.accepted]
    usable = pd.concat(
        [pd.DataFrame(checked.features, others.index, names, copy=False), others], axis=1
    )
    if today is None:
        today = history[:0]
    taken = as_features(by_feature(today[names].to_numpy(np.float64)), features)
    today = today.assign(**dict(zip(names, taken.T, strict=True)))
    left_out = Counter(checked.reasons)
    left_out["side_undecided"] = int((usable["Side"] == "undecided").sum())
    training = _picked(usable, (usable["Side"] == "training").to_numpy())
    holdout = _picked(usable, (usable["Side"] == "holdout").to_numpy())
    twins = twins_by_either(training, holdout, today)
    twins_kept = int(twins.sum())
    # If a history came first from a file and then by a pull, it is full of equal rows, however fine
    # its features are.
    as_they_came = int(equal_rows(training, holdout, [*names, "Keyed"]).sum())
    says_nothing = as_they_came > 0 and as_they_came >= most_twins * len(training)
    if not says_nothing:
        persons_twins = with_persons(training, twins)
        left_out["twin_of_holdout"] = int(persons_twins.sum())
        twins_kept = 0
        if persons_twins.any():
            training = _picked(training, ~persons_twins)
    return Split(
        training=training,
        holdout=holdout,
        left_out=dict(+left_out),  # without zeros
        twins_kept=twins_kept,
        equal_says_nothing=says_nothing,
        labelled=len(history),
        rejected=counted_reasons(checked),
        today=today,
    )


OLDER_ROWS = "older_rows"


def only_newest(history: Split, which: BoolArray, weeks: int) -> Split:
    """Leave out the training rows that are not `which`, (n,), those of the newest weeks."""
    older = int((~which).sum())
    return replace(
        history,
        training=_picked(history.training, which),
        left_out=history.left_out | {OLDER_ROWS: older},
        newest_weeks=weeks,
        of_all=history,
    )


def _picked(rows: pd.DataFrame, which: BoolArray) -> pd.DataFrame:
    """Pick rows, with their features in C order still, so that the network takes them without a
    copy."""
    names = rows.select_dtypes("float32").columns
    features = pd.DataFrame(features_of(rows)[which], rows.index[which], names, copy=False)
    return pd.concat([features, rows.drop(columns=names)[which]], axis=1)


def equal_rows(rows: pd.DataFrame, others: pd.DataFrame, names: list[str]) -> BoolArray:
    """Find the rows, (n,), that equal one of the others in these columns; two missing values are
    equal.

    Rows are compared by 64-bit hashes, which take a fifth of the memory of grouping equal rows.
    With a million rows, a false match happens once in some hundred million histories.
    """
    # These hashes are the same for 0.0 and -0.0, and for all bit patterns of NaN.
    hashes = (pd.util.hash_pandas_object(each[names], index=False) for each in (rows, others))
    return np.isin(*hashes)


def twins_unless_known(rows: pd.DataFrame, others: pd.DataFrame) -> BoolArray:
    """Find the rows, (n,), that are twins of one of the others: equal in all features, and not both
    with a person."""
    names = list(rows.select_dtypes("float32").columns)
    nameless = others["Person"].isna()
    twins = equal_rows(rows, others[nameless], names)
    if not nameless.all():
        twins |= rows["Person"].isna().to_numpy() & equal_rows(rows, others[~nameless], names)
    return twins


def twins_by_either(
    rows: pd.DataFrame, others: pd.DataFrame, today: pd.DataFrame | None
) -> BoolArray:
    """Find the rows, (n,), that are twins of one of the others. Rows of both sides are compared by
    the values that they were predicted on, and by those that they have in `today`, too."""
    if today is None or today.empty:
        return twins_unless_known(rows, others)
    both, all_others = (
        pd.concat([side, today[today.index.isin(side.index)]]) for side in (rows, others)
    )
    return rows.index.isin(both.index[twins_unless_known(both, all_others)])


def with_persons(rows: pd.DataFrame, which: BoolArray) -> BoolArray:
    """Add to the rows `which`, (n,), all other rows of the same known persons."""
    return which | of_persons(rows, rows.loc[which, "Person"])


def of_persons(rows: pd.DataFrame, ranks: pd.Series) -> BoolArray:
    """Find the rows, (n,), of some persons."""
    return rows["Person"].isin(ranks.dropna()).to_numpy(bool)


def persons_of(rows: pd.DataFrame) -> Int64Array:
    """Number whose each row is, (n,): one of which nobody knows that is somebody's only one."""
    numbers = pd.factorize(rows["Person"])[0]
    return np.where(numbers < 0, len(rows) + np.arange(len(rows)), numbers)


def as_taken(
    rows: pd.DataFrame, declared: Declaration, fitted: Features
) -> tuple[pd.DataFrame, BoolArray]:
    """Return the rows as a version fitted on these features takes them, and which of them, (n,), it
    can score by today's rules. Some features may have been retired since. In rows that it can't
    score, the features mean nothing."""
    rules = declared.rules_for(fitted)
    kept = rows.drop(columns=[name for name in declared.columns if name in rows])
    if rules == declared.features:
        return rows[[*declared.names, *kept.columns]], np.ones(len(rows), dtype=bool)
    columns = by_feature(rows[list(names_of(rules))].to_numpy(np.float64))
    # Declared features were rounded to float32; unless the ends of a range are, too, rows that lie
    # on them are lost.
    judged = (_rounded(rule, declared) for rule in rules)
    scorable = np.all([broken_rule(*one) == 0 for one in zip(columns, judged, strict=True)], axis=0)
    features = pd.DataFrame(as_features(columns, rules), rows.index, names_of(rules))
    return pd.concat([features, kept], axis=1), scorable


def _rounded(rule: Feature, declared: Declaration) -> Feature:
    if rule.name not in declared.names or rule.low is None or rule.high is None:
        return rule
    low = float(np.float32(rule.low))
    high = float(np.float32(rule.high))
    return structs.replace(rule, low=low, high=high)


def shortage(history: Split, minimum_labels: int, minimum_of_each_class: int) -> str | None:
    """Describe in counts what is missing for a fair fit and a fair judgement; None if there is
    enough."""
    lacking = _lacking(history, minimum_labels, minimum_of_each_class)
    if lacking is None or not history.left_out:
        return lacking
    left_out = sorted(history.left_out.items())
    told = ", ".join(f"{rows} labelled rows ({reason})" for reason, rows in left_out)
    return f"{lacking}; left out: {told}"


def _lacking(history: Split, minimum_labels: int, minimum_of_each_class: int) -> str | None:
    labels = len(history.training) + len(history.holdout)
    if labels < minimum_labels:
        return f"{labels} usable labelled rows, {minimum_labels} needed"
    for name, side in (("training", history.training), ("holdout", history.holdout)):
        for outcome, rows in enumerate(of_each_class(side)):
            if rows < minimum_of_each_class:
                return f"{rows} {name} rows with outcome {outcome}, {minimum_of_each_class} needed"
    return None


def unseen_by(
    learned: pd.DataFrame,
    holdout: pd.DataFrame,
    by_features: bool = True,
    today: pd.DataFrame | None = None,
) -> BoolArray:
    """Find the rows of a holdout, (n,), that a version can't have learned from.

    All three have the rows as the version takes them; `today` has the corrected ones, as they stand
    today. `learned` has `Person` and, of rows that came by a key, `Rank`. If it has no features,
    rows are found by id and person alone. Times play no part: a row that was deleted and comes in
    again, or is restored from a backup, looks new by all its times.
    """
    seen: BoolArray = holdout.index.isin(learned.index)
    if by_features and len(learned.select_dtypes("float32").columns):
        seen |= with_persons(holdout, twins_by_either(holdout, learned, today))
    return ~(seen | of_persons(holdout, learned["Rank"]) | of_persons(holdout, learned["Person"]))


# ---- The holdout: a salted hash of a row's name when it first came decides for ever whether the
# row is in it.
#
# A stored list would grow, and a redrawn split would leak: last week's training rows would judge
# this week's model. The hash needs no storage and moves no row when others are added; because of
# the salt no one can choose a key that falls on one side. A row without keys is named by its id; of
# a row with keys, the first name is kept.
#
# A person's rows are visits and belong on one side. Models can't be judged on rows that one has
# learned from, so no row changes sides if its person becomes known, or is corrected, later: such
# rows are used on neither side. Nor are the person's other rows, even if the row on the other side
# is gone: a model may have learned from it.


SIDES = ["training", "holdout", "undecided"]
"""The first two by whether a row is held out."""


def ranks(keys: Iterable[bytes], salt: str) -> UInt64Array:
    """Rank keys, (n,): the first 64 bits of each one's HMAC-SHA256."""
    digests = b"".join([hmac.digest(salt.encode(), key, "sha256") for key in keys])
    return np.frombuffer(digests, dtype=">u8")[::4].astype(np.uint64)


def below(ranks_: UInt64Array, share: float) -> BoolArray:
    """Membership of ranks, (n,), in a holdout of this share."""
    return ranks_ < int(share * 2.0**64)


_RANK = "rank "


def rank_name(name: str, salt: str) -> str:
    """Make a substitute for a name that is to be forgotten. It has the name's rank, so the row
    stays on its side at any share."""
    return f"{_RANK}{int(ranks([name.encode()], salt)[0]):016x}"


def ranks_of_names(names: Sequence[str], salt: str) -> UInt64Array:
    """Rank names of rows, (n,); a substitute has the rank of the name that it replaces."""
    found = ranks(map(str.encode, names), salt)
    for n, name in enumerate(names):
        if name.startswith(_RANK):
            found[n] = int(name.removeprefix(_RANK), 16)
    return found


def ranked(names: Sequence[str], persons: Sequence[str | None], salt: str) -> pd.DataFrame:
    """Rank n rows, in the columns `Rank`, `Person` and `Keyed`.

    `Rank` is by the first name: the name of a person or of a key, or the row's id. A person who has
    been forgotten has a `rank_name` in its place. `Person` is the rank of the person, NA if a row
    has none. `Keyed` rows came with a person's or a source's key.
    """
    # Persons are kept as ranks, not names: the chance that two of a million persons share one is 1
    # in some 40 million.
    has_none = np.array([person is None for person in persons], dtype=bool)
    known = [name_of_person(person) for person in persons if person is not None]
    person_ranks = np.zeros(len(persons), dtype=np.uint64)
    person_ranks[~has_none] = ranks_of_names(known, salt)
    return pd.DataFrame(
        {
            "Rank": pd.array(ranks_of_names(names, salt), dtype="UInt64"),
            "Person": pd.arrays.IntegerArray(person_ranks, has_none),
            "Keyed": np.array([name.startswith((PERSON, SOURCE)) for name in names], dtype=bool),
        }
    )


def with_sides(rows: pd.DataFrame, renamed: pd.DataFrame, share: float) -> pd.DataFrame:
    """Replace the rows' `Rank` by their `Side`: `training`, `holdout`, or `undecided`.

    A row's side is that of its first name. If one row of a person is, or was, on another side than
    the person, all of the person's rows are undecided: some may have been learned from, and others
    held out. `renamed` has the `Rank` and `Person` of each row that has a person but another first
    name, whether it is labelled or not, still there or deleted.
    """
    # A row that was written while the triggers were switched off is only in `rows`.
    called = pd.concat([renamed, rows.loc[rows["Person"].notna(), ["Rank", "Person"]]])
    person_is_held = below(called["Person"].to_numpy(np.uint64), share)
    row_is_held = below(called["Rank"].to_numpy(np.uint64), share)
    astray = called.loc[person_is_held != row_is_held, "Person"]
    side = below(rows["Rank"].to_numpy(np.uint64), share).astype(np.int8)
    side[of_persons(rows, astray)] = SIDES.index("undecided")
    return rows.drop(columns="Rank").assign(Side=pd.Categorical.from_codes(side, SIDES))
