"""What ends a command with exit code 3: refused by a guard, before any verdict."""

from pima.errors.base import RefusedError


class NoChampion(RefusedError):
    """There is no champion ({what}). Make one with: python -m jobs.retrain"""


class OtherOutputThere(RefusedError):
    """{folder} holds what this run would not have written: {what}. Nothing was written. Name an empty folder, or move
    away what is there."""


class RowCannotBeScored(RefusedError):
    """Patient {patient_id} can't be scored as the row is, so there is no prediction to explain: {field} broke the rule
    {reason} (docs/do/symptoms.md has the rules). Correct the row and run this again."""


class RowRejectedBySource(RefusedError):
    """The row with {called} can't be taken in as it stands in its source, since {since}: {field} broke the rule
    {reason} (docs/do/symptoms.md has the rules), so what pima has of it, if anything, is older. Correct it there and
    pull again."""


class SourceRefused(RefusedError):
    """The source {source} looks faulty: {what}. Nothing was changed. Look at the source. If it is right as it is,
    change what is named in the settings and run this again."""

    note = "A source that got another name needs its former name back."


class TooYoungToRemove(RefusedError):
    """Nothing was removed: --older-than is {days}, and what is younger than {minimum} days is never removed. Ask for
    older rows, or change retain.minimum_days in the settings."""


class TooFewLabels(RefusedError):
    """Too little labelled history to train and judge a model: {what}. The champion stays as it is. Load more outcomes,
    or lower retrain.minimum_labels or retrain.minimum_of_each_class."""

    note = "Verdicts on fewer rows owe more to luck."


class NothingToRollBackTo(RefusedError):
    """There is no earlier champion to go back to. `python -m jobs.models list` shows the versions that `models promote
    N` can take."""
