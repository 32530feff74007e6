"""Figures that are stored, and their kinds, in one table: what leaves them, how long one counts,
whether it may alarm, in which words, and what to do then.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """The state of a figure."""

    USUAL = "usual"
    ALERT = "alert"
    INSUFFICIENT_DATA = "insufficient_data"
    """There are so few rows, even pooled over the last nights, that any value may be luck."""
    NO_REFERENCE = "no_reference"
    """There is nothing to compare with: the version's reference could not be read."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A figure that a run leaves; each field is the column of `monitoring` of its name."""

    feature: str
    """Empty if the figure is about all rows."""
    figure: str
    value: float | None
    rows: int
    reference: float | None = None
    """The training rows' value, or the usual one."""
    allowed: float | None = None
    """The largest allowed distance of the value from the reference."""
    state: str = State.USUAL
    low: float | None = None
    """The 95 % interval, for figures that estimate something."""
    high: float | None = None

    @property
    def name(self) -> str:
        """Figure and feature in one."""
        return f"{self.figure} {self.feature}".strip()

    @property
    def is_alert(self) -> bool:
        """Whether it alarms."""
        return self.state == State.ALERT

    @property
    def is_beyond(self) -> bool:
        """Whether tonight's value lies farther from the reference than allowed."""
        if self.value is None or self.allowed is None:
            return False
        return abs(self.value - (self.reference or 0.0)) > self.allowed

    def alarming_if(self, is_alert: bool) -> "Watched":
        """The same figure, which alarms if that holds."""
        return replace(self, state=State.ALERT) if is_alert else self


class Kind(StrEnum):
    """Figures that runs leave together. They count until a later run leaves some of the kind."""

    VOLUME = "volume"
    """How many rows came. A run of scoring that took none leaves these alone."""
    NIGHT = "night"
    """A night's rows beside those that its version learned from."""
    REALISED = "realised"
    """What came true by the time of a retraining. Where no version has enough outcomes, it leaves
    only what is told of the service."""
    LINE = "line"
    """The champion beside a straight line, in its verdicts."""
    SETTLED = "settled"
    """What settled outcomes say of the predictions, once a day."""


class Whose(StrEnum):
    """A figure tells of one of these. That decides when its alarm is over, if no later run ends
    it."""

    SERVICE = "service"
    """The service, whichever version has predicted: a later run alone ends it."""
    VERSION = "version"
    """A version: it is over once that has been silent for long."""
    CHAMPION = "champion"
    """The champion: as a version's, and the figure itself is over with another champion."""
    VERSIONS = "versions"
    """All versions that predicted the outcomes: it is over once all have been silent for long.
    Outcomes may settle long after their version has gone."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """How a figure alarms."""

    name: str
    """The code that people see."""
    whose: Whose
    says: str
    """The sentence, without its full stop, with the facts to fill in; empty if it follows from
    value, reference and limit."""
    means: str
    advice: str
    """The action to take, with the command; without a full stop."""


class OutcomeAlarm(StrEnum):
    """An alarm over settled outcomes: a fault of the predictions. Each is a figure's name."""

    NO_BETTER_THAN_CONSTANT = "no_better_than_constant"
    OUTCOME_MORE_FREQUENT = "outcome_more_frequent"
    OUTCOME_LESS_FREQUENT = "outcome_less_frequent"


OUTCOME_ALARMS = tuple(OutcomeAlarm)
REALISED = "realised_"
"""How the names of figures begin that compare predictions with outcomes; metrics leave it out."""
ROWS_OF_NIGHT = "rows"
ROWS_IN_WEEK = "rows_in_week"
"""The rows of a night, and of the seven nights that end with it."""
GAIN_ON_LINE = "gain_on_straight_line"
"""The champion's gain in log loss over a straight line, in its newest verdict."""
WEEK_FOLLOWED_UP = f"{REALISED}week_followed_up"
"""The share of the newest finished week's rows that have an outcome."""
FOLLOWED_UP = "hardly_followed_up"
"""The share of the newest weeks' rows that have an outcome."""
LEFT_ALONE = "hardly_left_alone"
"""The share of those lately predicted 1 on whom nobody acted."""
SLOW_DECAY = "slow_decay"
"""The area under the ROC curve of the last weeks, beside that of the weeks before."""
ONES_CORRECTED = f"{REALISED}ones_corrected"
"""The share of rows with outcome 1 that were corrected, beside that of rows with outcome 0."""
UNSEEN_CODE = "unseen_code"
"""The rows of the last nights with a code that no row has that their version learned from."""

SEE = "`python -m jobs.report` shows all figures, docs/do/watch-it.md explains them"
UNTIL = (
    "Luck and a sound model's error hardly ever do that. It is over when the outcomes fit again, "
    "not by another champion alone."
)
DRIFT = Alarm(
    "drift",
    Whose.VERSION,
    says="",
    means=(
        "The rows of recent nights are distributed differently from those that the champion "
        "learned from."
    ),
    advice=f"See whether a unit, a device or the patients have changed: {SEE}",
)
"""The alarm of every figure that has none of its own."""
_VOLUME = replace(DRIFT, whose=Whose.SERVICE)
SOURCE_LOST_ROWS = Alarm(
    "source_lost_rows",
    Whose.SERVICE,
    says=(
        "within a week far more has gone from the source {source} than is usual: {vanished} and "
        "{cleared} of other rows"
    ),
    means=(
        "A pull found far more rows gone from a source, or outcomes, than is usual there, though "
        "no limit of the source refused it. Was the source restored to an earlier day, or a filter "
        "of its view changed? It is over a week later."
    ),
    advice=(
        "Ask who runs the source. Once its rows are back, `python -m jobs.pull --full`; "
        "docs/reference/declaration.md, on a source that was restored, says what becomes of them, "
        "and of rows that are on neither side of the holdout"
    ),
)
"""The alarm of a source, over what its pulls counted."""


_OF_OUTCOMES = (
    ": of {outcomes}, predicted {versions}, {figures}; {of_champion}; or those predicted 1 were "
    "treated, which pima knows only by `acted_at`{of_those}"
)


def _fault(name: OutcomeAlarm, says: str, means: str, advice: str) -> Alarm:
    return Alarm(
        name,
        Whose.VERSIONS,
        says=says + _OF_OUTCOMES,
        means=f"{means} {UNTIL}",
        advice=f"{advice}: {SEE}",
    )


ALARMS = {
    ROWS_OF_NIGHT: _VOLUME,
    ROWS_IN_WEEK: _VOLUME,
    OutcomeAlarm.NO_BETTER_THAN_CONSTANT: _fault(
        OutcomeAlarm.NO_BETTER_THAN_CONSTANT,
        "the same answer for everybody would do better",
        "The same answer for everybody explains the settled outcomes better than the predictions "
        "do.",
        "See whether a feature has changed its meaning, or the outcome has",
    ),
    OutcomeAlarm.OUTCOME_MORE_FREQUENT: _fault(
        OutcomeAlarm.OUTCOME_MORE_FREQUENT,
        "outcome 1 is more frequent than predicted",
        "Outcome 1 is clearly more frequent than predicted.",
        "See whether other patients come, or outcomes are found otherwise",
    ),
    OutcomeAlarm.OUTCOME_LESS_FREQUENT: _fault(
        OutcomeAlarm.OUTCOME_LESS_FREQUENT,
        "outcome 1 is less frequent than predicted",
        "Outcome 1 is clearly less frequent than predicted.",
        "See whether outcomes are missing, or other patients come",
    ),
    WEEK_FOLLOWED_UP: Alarm(
        "followed_up_below_usual",
        Whose.SERVICE,
        says=(
            "of the newest week whose outcomes are all due, {found.value:.0%} of {rows} have one; "
            "{found.reference:.0%} is usual"
        ),
        means=(
            "Of the newest week whose outcomes are all due, clearly fewer rows have one than is "
            "usual."
        ),
        advice=(
            "See whether outcomes still come, and of all patients: `python -m jobs.status` shows "
            "the weeks, docs/do/watch-it.md says what figures leave out"
        ),
    ),
    FOLLOWED_UP: Alarm(
        FOLLOWED_UP,
        Whose.SERVICE,
        says=(
            "of {rows} whose horizon ended in the newest weeks, {found.value:.0%} have an "
            "outcome. Weeks clearly below {found.reference:.0%} (outcome.least_followed_up) count"
            " in nothing, and so do all if the others are below it together"
        ),
        means=(
            "Too few rows have an outcome once their horizon is over: those of the newest weeks "
            "that remain together, or of more than half of these weeks. No model, verdict, figure "
            "or alarm uses such rows."
        ),
        advice=(
            "See whether outcomes still come, and of all patients, zeros among them: `python -m "
            "jobs.status` shows the weeks. If they miss at random, `outcome.least_followed_up` may "
            "be lower: docs/do/watch-it.md"
        ),
    ),
    LEFT_ALONE: Alarm(
        LEFT_ALONE,
        Whose.SERVICE,
        says=(
            "of {rows} that were predicted 1 and whose outcome was due in the last 26 weeks, nobody"
            " acted on {found.value:.0%}"
        ),
        means=(
            'The risk is meant without acting (`if_acted = "unknown"`), and fewer than one in ten '
            "of those predicted 1 in the last 26 weeks were left alone. Of such patients models "
            "can hardly learn what becomes of them, and no figure tells it."
        ),
        advice=(
            "Leave a part of those predicted 1 alone by lot, where that can be answered for; or "
            'mean the risk under care as it is given, if_acted = "counts": docs/do/acted-upon.md'
        ),
    ),
    SLOW_DECAY: Alarm(
        "slow_decay",
        Whose.SERVICE,
        says=(
            "of two patients, one with outcome 1 and one without, the predictions gave the higher "
            "probability to the first in {found.value:.0%} of pairs in the last 13 whole weeks, "
            "and in {found.reference:.0%} in the weeks before, up to 26 of them; {rows} have an "
            "outcome{of_those}"
        ),
        means=(
            "In the last 13 whole weeks the predictions tell patients apart clearly worse than in "
            "the weeks before, whichever version made them. The area under the ROC curve is lower "
            "by 3.5 standard errors, by luck alone in fewer than one of a hundred years. It is "
            "over when the difference is smaller again, so also if the area stays as low for half "
            "a year."
        ),
        advice=(
            "See whether a feature is measured otherwise, other patients come, or retrainings "
            f"bring no new champions: {SEE}"
        ),
    ),
    ONES_CORRECTED: Alarm(
        "corrected_after_outcome",
        Whose.SERVICE,
        says=(
            "{found.value:.1%} of the rows with outcome 1 were corrected after their prediction, "
            "and {found.reference:.1%} of those with outcome 0, of {found.rows:,} settled rows "
            "that were predicted in time; zeros of the same predicted risk were corrected "
            "less{of_those}"
        ),
        means=(
            "Rows with outcome 1 are corrected after their prediction far more often than rows "
            "with outcome 0 of the same predicted risk. Such values may tell the outcome. Models "
            "learn from the values that were predicted on, but nobody can tell what was corrected "
            "before it was loaded: the verdict says its AUROC without rows that were never "
            "predicted."
        ),
        advice=(
            "See which column it is, by the query in docs/do/symptoms.md, and ask when it is "
            'known. learn_from = "predicted" under [outcome] leaves out a history that was loaded '
            "already corrected; `python -m jobs.retrain --dry-run` says what is left"
        ),
    ),
    UNSEEN_CODE: Alarm(
        UNSEEN_CODE,
        Whose.CHAMPION,
        says=(
            "{rows} of the last nights came with {found.feature}, which no training row of version "
            "{found.model_version} had: nothing vouches for their probabilities"
        ),
        means=(
            "Rows come with a declared code that no training row of the champion had. It predicts "
            "them as if they had none of the codes that it knows. It is over when a model that has "
            "learned from such rows is champion, or none have come for some nights."
        ),
        advice=(
            "Tell those who read these predictions. Does the code mean what another one meant "
            "before? Then map it to that one. Else `python -m jobs.retrain` once such rows have "
            f"outcomes; {SEE}"
        ),
    ),
    GAIN_ON_LINE: Alarm(
        "straight_line_better",
        Whose.CHAMPION,
        says=(
            "in three verdicts in a row a straight line (logistic regression) had a clearly lower"
            " log loss than version {found.model_version}, whose gain on it was {found.value:.4f}"
            " ({found.low:.4f} to {found.high:.4f}) in the newest, on {rows}; promote a "
            "challenger that is better than the line, or give the network fewer features or more "
            "outcomes{of_those}"
        ),
        means=(
            "In three verdicts in a row a straight line, a logistic regression of the challenger's "
            "training rows, had a clearly lower log loss than the champion, which may only be old. "
            "It is over with the next verdict that finds otherwise, or with another champion."
        ),
        advice=(
            "See whether the newest challenger is better than the line: `python -m jobs.report`. "
            "If it is, `python -m jobs.models promote NUMBER --reason TEXT`; else the outcomes do "
            "not bear a network yet: docs/do/watch-it.md says what helps"
        ),
    ),
}
"""By figure."""


def alarm_of(figure: Watched) -> Alarm:
    """How a figure alarms."""
    return ALARMS.get(figure.figure, DRIFT)


def counts(figure: Watched, version: int, champion: int | None, lately: Collection[int]) -> bool:
    """Whether the newest figure of a version still counts, beside today's champion and the versions
    that have predicted lately."""
    whose = alarm_of(figure).whose
    if whose is Whose.CHAMPION and version != champion:
        return False
    if not figure.is_alert or whose is Whose.SERVICE:
        return True
    if whose is Whose.VERSIONS:
        return bool(lately)
    return version in lately
