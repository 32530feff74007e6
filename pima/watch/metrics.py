"""The Prometheus endpoint: each scrape reads every figure from the database, so restarts lose
nothing."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine

from pima.core.declared.features import Declaration
from pima.core.nights.kinds import REALISED, Kind
from pima.errors import PimaError, WrongConfiguration
from pima.logs import get_logger
from pima.settings.sections import STARTED, MetricsSettings, Settings
from pima.store.engine import reading
from pima.store.service import monitoring
from pima.store.service.runs import Status
from pima.watch.conditions import conditions
from pima.watch.figures import ServiceFigures, read_figures
from pima.watch.health import Condition
from pima.watch.unpredicted import NewRows

_COUNTED = [
    (job, str(status)) for job in STARTED for status in Status if status is not Status.RUNNING
]
"""Series that exist from the first scrape on, since an increase only shows on a series that existed
before."""
_PULLED = ("inserted", "updated", "unchanged", "rejected", "vanished", "deleted")


class Described(NamedTuple):
    """A metric's description."""

    text: str
    labels: tuple[str, ...] = ()
    is_counter: bool = False
    """False for a gauge."""


_BY_FIGURE = ("figure", "feature")
_BY_SCORE = ("figure", "version", "score")
METRICS = {
    "pima_database_up": Described("1 if the settings and the database could be read"),
    "pima_alarm": Described(
        "1 while the condition of this name holds, as `python -m jobs.health` and alerts tell it; "
        "`about` is the source, the figure with its feature, or the version that it is about. "
        "A changed schema is told by the job that it stops",
        ("name", "about"),
    ),
    "pima_job_last_success_timestamp_seconds": Described(
        "When the job last succeeded, seconds since 1970", ("job",)
    ),
    "pima_job_runs": Described("Runs by how they ended", ("job", "status"), is_counter=True),
    "pima_job_duration_seconds": Described("How long the job's last finished run took", ("job",)),
    "pima_source_last_success_timestamp_seconds": Described(
        "When the source was last pulled, seconds since 1970", ("source",)
    ),
    "pima_source_rows": Described(
        "Rows by their result when the source was last pulled", ("source", "result")
    ),
    "pima_rows": Described("Rows by the result of scoring", ("result",), is_counter=True),
    "pima_queue_rows": Described("Rows that wait to be scored"),
    "pima_queue_oldest_seconds": Described("How long the oldest row has waited"),
    "pima_new_rows": Described(
        "Rows that were new or changed since the last good night, as of the last scoring"
    ),
    "pima_new_rows_without_prediction": Described("How many of them have no prediction"),
    "pima_champion_version": Described("The model version that scores; 0 for none"),
    "pima_champion_holdout_accuracy": Described(
        "The champion's accuracy on its test set when it was promoted"
    ),
    "pima_monitoring": Described(
        "The last night's figures, by feature if they are about one", _BY_FIGURE
    ),
    "pima_monitoring_reference": Described(
        "The figure in the training rows, or what is usual", _BY_FIGURE
    ),
    "pima_monitoring_allowed": Described(
        "How far from the reference the figure may lie", _BY_FIGURE
    ),
    "pima_realised": Described(
        "Realised figures of each version, as of the last retraining, by the score in use if they "
        "are beside one; `week_followed_up` is as of the last night",
        _BY_SCORE,
    ),
    "pima_realised_low": Described("The lower bound of the figure's 95 % interval", _BY_SCORE),
    "pima_realised_high": Described("The upper bound of the figure's 95 % interval", _BY_SCORE),
    "pima_realised_outcomes": Described(
        "How many outcomes the figure rests on; of a share acted on, how many rows due", _BY_SCORE
    ),
}
"""Every metric; those of sources appear only if the settings have some."""


CurrentSettings = Callable[[], tuple[Settings, Declaration]]
"""Reads the settings as they are now, with their declaration."""


def serve_metrics(engine: Engine, settings: MetricsSettings, read_current: CurrentSettings) -> None:
    """Serve metrics in a thread if a port is set.

    Raises WrongConfiguration if the port can't be used.
    """
    if settings.port == 0:
        return
    registered = CollectorRegistry()
    registered.register(DatabaseFigures(engine, read_current))
    try:
        start_http_server(settings.port, settings.address, registered)
    except OSError as error:
        what = (
            f"metrics.address {settings.address} and metrics.port {settings.port} "
            f"({error.strerror})"
        )
        raise WrongConfiguration(
            what=what, expected="an address of this machine and a free port"
        ) from None
    get_logger().info("metrics are served", address=settings.address, port=settings.port)


class DatabaseFigures(Collector):
    """Collects all metrics in one read of the database. Requests take turns: however many come
    while it is slow, the scheduler gets a connection."""

    def __init__(self, engine: Engine, read_current: CurrentSettings) -> None:
        self._engine = engine
        self._read_current = read_current
        self._turn = threading.Lock()

    def describe(self) -> list[Metric]:
        return []  # so that registering it does not read the database

    def collect(self) -> Iterator[Metric]:
        is_up = False
        metrics: list[Metric] = []
        try:
            settings, declared = self._read_current()
            with self._turn, reading(self._engine) as connection:
                found = read_figures(connection, settings)
                metrics = [
                    _of_conditions(conditions(connection, found, settings, declared)),
                    *_of_jobs(connection, found),
                    *(_of_sources(found) if settings.sources else ()),
                    *_of_rows(connection, found),
                    *_of_champion(found),
                    *_of_figures(found),
                ]
                is_up = True
        except PimaError as error:
            get_logger().warning("metrics could not be read", error_code=error.code)
        yield _single("pima_database_up", float(is_up))
        yield from metrics


def _single(name: str, value: float) -> Metric:
    return _labelled(name, {(): value})


def _labelled(name: str, values: Mapping[Any, float | None]) -> Metric:
    """Make a metric with one value for each tuple of labels, without values that are None."""
    described = METRICS[name]
    family = CounterMetricFamily if described.is_counter else GaugeMetricFamily
    made = family(name, described.text, labels=described.labels)
    for labels, value in sorted(values.items()):
        if value is not None:
            made.add_metric(labels, value)
    return made


def _of_conditions(found: Iterable[Condition]) -> Metric:
    """Make the alarms. An event is none: it happens at a moment, and does not hold."""
    holding = {(each.code, each.about): 1.0 for each in found if each.happened_at is None}
    return _labelled("pima_alarm", holding)


def _of_jobs(connection: Connection, found: ServiceFigures) -> Iterator[Metric]:
    success = {(job,): moment.timestamp() for job, moment in found.succeeded.items()}
    yield _labelled("pima_job_last_success_timestamp_seconds", success)
    yield _labelled(
        "pima_job_runs", dict.fromkeys(_COUNTED, 0) | monitoring.runs_by_status(connection)
    )
    durations = {(job,): seconds for job, seconds in monitoring.last_durations(connection).items()}
    yield _labelled("pima_job_duration_seconds", durations)


def _of_sources(found: ServiceFigures) -> Iterator[Metric]:
    success = {(source,): pull.at.timestamp() for source, pull in found.pulled.items()}
    yield _labelled("pima_source_last_success_timestamp_seconds", success)
    rows = {
        (source, what): pull.counts[what]
        for source, pull in found.pulled.items()
        for what in _PULLED
    }
    yield _labelled("pima_source_rows", rows)


def _of_rows(connection: Connection, found: ServiceFigures) -> Iterator[Metric]:
    results = {
        (result,): float(rows) for result, rows in monitoring.rows_by_result(connection).items()
    }
    yield _labelled("pima_rows", results)
    waiting = found.waiting
    yield _single("pima_queue_rows", waiting.rows)
    age = (found.now - (waiting.oldest or found.now)).total_seconds()
    yield _single("pima_queue_oldest_seconds", max(age, 0.0))
    new = found.new_rows or NewRows()
    yield _single("pima_new_rows", new.rows)
    yield _single("pima_new_rows_without_prediction", new.without_prediction)


def _of_champion(found: ServiceFigures) -> Iterator[Metric]:
    yield _single("pima_champion_version", found.champion.model_version or 0)
    if found.version is not None and found.version.performance is not None:
        yield _single("pima_champion_holdout_accuracy", found.version.performance.accuracy)


def _of_figures(found: ServiceFigures) -> Iterator[Metric]:
    nights = {
        (each.figure, each.feature): each
        for each in found.monitoring
        if each.kind in (Kind.VOLUME, Kind.NIGHT)
    }
    realised = {
        (each.figure.removeprefix(REALISED), str(each.model_version), each.feature): each
        for each in found.monitoring
        if each.figure.startswith(REALISED)
    }
    for name, figures, column in (
        ("pima_monitoring", nights, "value"),
        ("pima_monitoring_reference", nights, "reference"),
        ("pima_monitoring_allowed", nights, "allowed"),
        ("pima_realised", realised, "value"),
        ("pima_realised_low", realised, "low"),
        ("pima_realised_high", realised, "high"),
        ("pima_realised_outcomes", realised, "rows"),
    ):
        yield _labelled(name, {labels: getattr(each, column) for labels, each in figures.items()})
