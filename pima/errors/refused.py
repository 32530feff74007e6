"""Errors that end a command with exit code 3: refused by a guard, before any verdict."""

from pima.errors.base import RefusedError


class NoChampion(RefusedError):
    """There is no champion ({what}). Make one with: python -m jobs.retrain"""


class ChampionSuspended(RefusedError):
    """The champion, version {number}, is suspended since {since}. Nothing was scored. Act on none
    of its predictions (docs/do/stop.md); to look into it, name the version by --model {number}."""


class OtherOutputThere(RefusedError):
    """{folder} holds files that this run would not have written: {what}. Nothing was written. Name
    an empty folder, or move those files away."""


class RowCannotBeScored(RefusedError):
    """The row of patient {patient_id} can't be scored, so there is no prediction to explain:
    {field} broke the rule {reason} (docs/do/symptoms.md has the rules). Correct the row and run
    this again."""


class RowRejectedBySource(RefusedError):
    """The row with {called} can't be taken in as it stands in its source, since {since}: {field}
    broke the rule {reason} (docs/do/symptoms.md has the rules). If pima has the row, its values are
    older. Correct the row there and pull again."""


class SourceRefused(RefusedError):
    """The source {source} looks faulty: {what}. Nothing was changed. Look at the source. If it is
    right, change the setting that is named, and run this again."""

    note = "A source that was renamed in the settings needs its former name back."


class TooYoungToRemove(RefusedError):
    """Nothing was removed: --older-than is {days}, and rows younger than {minimum} days are never
    removed. Ask for older rows, or change retain.minimum_days in the settings."""


class TooFewLabels(RefusedError):
    """Too little labelled history to train and judge a model: {what}. The champion stays as it is.
    Load more outcomes, or lower retrain.minimum_labels or retrain.minimum_of_each_class."""

    note = "Verdicts on fewer rows owe more to luck."


class HardlyFollowedUp(RefusedError):
    """Nothing can be learned: {what}. The champion stays as it is. Load the outcomes that are
    missing, zeros among them. If they miss at random, lower outcome.least_followed_up, and say so
    by `python -m jobs.migrate --features --reason ...`."""

    note = "If mostly zeros miss, a model of the others predicts far too much."


class NothingToRollBackTo(RefusedError):
    """There is no earlier champion to go back to. `python -m jobs.models list` shows the versions
    that `models promote N` can take."""
