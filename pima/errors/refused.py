"""What ends a command with exit code 3: refused by a guard, before any verdict."""

from pima.errors.base import REFUSED, PimaError


class NoChampion(PimaError):
    """There is no champion to score what waits ({waiting}); it stays on the queue. Make one with:
    python -m jobs.retrain"""

    exit_code = REFUSED
    code = "no_champion"


class NothingPredicts(NoChampion):
    """There is no champion, so there is no prediction to explain. Make one with: python -m jobs.retrain"""


class NoChampionForFiles(NoChampion):
    """There is no champion to score the files with. Make one with: python -m jobs.retrain; or name a version, or a
    model file, with --model."""


class OtherOutputThere(PimaError):
    """{folder} holds what this run would not have written: {what}. Nothing was written. Name an empty folder, or move
    away what is there."""

    exit_code = REFUSED
    code = "other_output_there"


class RowCannotBeScored(PimaError):
    """Patient {patient_id} can't be scored as the row is, so there is no prediction to explain: {field} broke the rule
    {reason} (docs/do/symptoms.md has the rules). Correct the row and run this again."""

    exit_code = REFUSED
    code = "row_cannot_be_scored"


class RowRejectedBySource(PimaError):
    """The row with {called} can't be taken in as it stands in its source, since {since}: {field} broke the rule
    {reason} (docs/do/symptoms.md has the rules), so what pima has of it, if anything, is older. Correct it there and
    pull again."""

    exit_code = REFUSED
    code = "row_rejected_by_source"


class SourceRefused(PimaError):
    """The source {source} looks faulty: {what}. Nothing was changed. Look at the source. If it is right as it is,
    change what is named in the settings and run this again."""

    exit_code = REFUSED
    code = "source_refused"
    note = "A source that got another name needs its former name back."


class TooYoungToRemove(PimaError):
    """Nothing was removed: --older-than is {days}, and what is younger than {minimum} days is never removed. Ask for
    older rows, or change retain.minimum_days in the settings."""

    exit_code = REFUSED
    code = "too_young_to_remove"


class TooFewLabels(PimaError):
    """Too little labelled history to train and judge a model: {what}. The champion stays as it is. Load more outcomes,
    or lower retrain.minimum_labels or retrain.minimum_of_each_class."""

    exit_code = REFUSED
    code = "too_few_labels"
    note = "Verdicts on fewer rows owe more to luck."


class NothingToRollBackTo(PimaError):
    """There is no earlier champion to go back to. `python -m jobs.models list` shows the versions that `models promote
    N` can take."""

    exit_code = REFUSED
    code = "nothing_to_roll_back_to"
