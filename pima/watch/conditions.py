"""The one list of what is told to people, which health, alerts and the metrics take: health's
reasons, figures that alarm, what a retraining left, and changes of the champion. Conditions hold
only ids, counts, figures over many rows, names and codes.

Status, the report and cards show its alarms of the model, from figures that they have read anyway.
All is read from what runs have left: the scheduler, which serves the metrics, sees no patient.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy import Connection, Engine

from pima.core.declared.features import Declaration
from pima.core.nights.kinds import ALARMS, DRIFT, SOURCE_LOST_ROWS
from pima.core.verdicts.reasons import Decision, Reason
from pima.errors import PimaError, WrongConfiguration
from pima.runs.recorded_run import close_crashed
from pima.settings.sections import Settings
from pima.store.engine import reading
from pima.store.models.ledger import MoveLine, last_verdicts, moves_since
from pima.store.schema import require_schema
from pima.store.service import monitoring
from pima.store.urls import require_file
from pima.watch.figures import ServiceFigures, read_figures
from pima.watch.health import Condition, Explained, complaints
from pima.watch.model_alarms import open_alarms

_OLDEST_EVENT = timedelta(days=7)
"""How long an event can still be reported, if the receiver was down or not yet configured."""

EXPLAINED = {
    **{
        each.name: Explained(each.means, each.advice)
        for each in (DRIFT, SOURCE_LOST_ROWS, *ALARMS.values())
    },
    "champion_changed": Explained(
        "Another model version is champion from now on.",
        "Nothing, if you expected it; `python -m jobs.models list` shows the versions, "
        "`python -m jobs.models rollback --reason TEXT` goes back",
    ),
    "verdict_blocked": Explained(
        "A guard kept a model version from becoming champion.",
        "`python -m jobs.models show {number}` says why",
    ),
    "report_not_left": Explained(
        "The last retraining could not leave its report in the database, or in `report.folder`. "
        "The code in brackets says why. It is over when a retraining leaves one.",
        "Look the code up by `python -m jobs.health --why CODE`, then `python -m jobs.retrain`; "
        "meanwhile `python -m jobs.report` makes one",
    ),
    "awaits_approval": Explained(
        "A model version is better than the champion, and `gate.approve` asks for a person's "
        "approval.",
        "`python -m jobs.models show {number}`, then `python -m jobs.models promote {number} "
        "--reason TEXT`",
    ),
}
"""The conditions and events that do not make the service unhealthy, with explanations."""
_OF_ERRORS = (
    "`python -m jobs.health --why CODE` explains the code; `python -m jobs.health` says whether "
    "it is still so"
)
"""The advice for codes of errors, whose messages say what to do."""


def conditions(
    connection: Connection, figures: ServiceFigures, settings: Settings, declared: Declaration
) -> list[Condition]:
    """Find all conditions that hold and all recent events, reported or not. `declared` is the
    settings' declaration."""
    moves = moves_since(connection, figures.now - _OLDEST_EVENT)
    verdicts = last_verdicts(connection, 1)
    report_error = monitoring.newest_retraining(connection).get(monitoring.REPORT_ERROR)
    return [
        *complaints(connection, figures, settings, declared),
        *_of_retraining(verdicts, figures, report_error),
        *open_alarms(connection, figures, settings.source_names),
        *_events(moves),
    ]


def conditions_or_error(
    engine: Engine, settings: Settings, declared: Declaration
) -> list[Condition]:
    """Find the conditions once the schema was checked and crashed runs are closed, which a scrape
    leaves to jobs and scheduler. An error is itself a condition, and hides the others."""
    try:
        require_file(engine.url)
        require_schema(engine)
        close_crashed(engine)
        with reading(engine) as connection:
            figures = read_figures(connection, settings)
            return conditions(connection, figures, settings, declared)
    except WrongConfiguration:
        # By settings that can't be read nobody can say what holds: the command ends with that.
        raise
    except PimaError as error:
        return [Condition(error.code, str(error), _OF_ERRORS, hides_others=True)]


def _of_retraining(
    newest: Sequence[MoveLine], figures: ServiceFigures, error_code: str | None
) -> Iterator[Condition]:
    """The version that won the newest verdict, unless the champion was moved or pinned since; and a
    report that was not left."""
    for verdict in newest:
        if (
            verdict.reason == Reason.AWAITS_APPROVAL
            and verdict.champion_sequence == figures.champion.sequence
        ):
            number = verdict.version
            what = (
                f"version {number} is better than the champion, and waits for a person's approval"
            )
            advice = EXPLAINED["awaits_approval"].advice.format(number=number)
            yield Condition(f"awaits_approval:{number}", what, advice)
    if error_code is not None:
        what = f"the last retraining left no report, or not everywhere ({error_code})"
        yield Condition("report_not_left", what, EXPLAINED["report_not_left"].advice, error_code)


_NO_EVENTS = (Reason.AWAITS_APPROVAL, Reason.LOG_LOSS_VETO, Reason.SUSPENDED)
"""Guards that make no event: what awaits approval is a condition, as is a stop, and a log loss that
is not clearly lower is an everyday verdict."""


def _events(moves: Sequence[MoveLine]) -> Iterator[Condition]:
    for move in moves:
        if move.to_version != move.from_version:
            name = "champion_changed"
            before = f"before it was version {move.from_version}"
            if move.from_version is None:
                before = "there was none before"
            what = f"version {move.version} is the champion now ({move.verdict}); {before}"
        elif move.verdict == Decision.BLOCKED and move.reason not in _NO_EVENTS:
            name = "verdict_blocked"
            what = (
                f"version {move.version} was kept from becoming champion by a guard ({move.reason})"
            )
        else:
            continue
        advice = EXPLAINED[name].advice.format(number=move.version)
        yield Condition(f"{name}:{move.id}", what, advice, happened_at=move.decided_at)
