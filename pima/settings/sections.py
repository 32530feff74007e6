"""The settings: one frozen record that a command reads once and hands down. Every key has a
default."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pima.core.declared.source import Source
from pima.core.nights.unpredicted import USUAL_LIMITS, Limits

LARGEST_BATCH = 1_000_000
"""The most rows of a batch; fewer with many features, since on PostgreSQL a batch is one value of
at most 1 GB."""
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Share = Annotated[float, Meta(gt=0, lt=1)]
APath = Annotated[str, Meta(pattern=r"^[^\x00]*\Z", description="a path")]
ToReach = Annotated[
    str,
    Meta(
        pattern=r"^(sensitivity|specificity) >= 0\.\d*[1-9]\d*\Z",
        description='a text like "sensitivity >= 0.85" or "specificity >= 0.85" with such a number',
    ),
]
"""The target of a threshold that is chosen for each model version."""
NetworkName = Annotated[
    str,
    Meta(
        pattern=r"^(five_seeds|article|\w[\w.-]*\.py)\Z",
        description='"five_seeds", "article", or a file beside the settings, as "clinic_net.py"',
    ),
]
Text = Annotated[str, Meta(pattern=r"^[^\x00]*\Z", description="text")]
_MOST = 10**15
# A database gives these back as they were: PostgreSQL takes no NaN and no NUL, and makes whole
# numbers of larger ones.
_Value = (
    bool
    | Annotated[int, Meta(ge=-_MOST, le=_MOST)]
    | Annotated[float, Meta(ge=-_MOST, le=_MOST)]
    | Text
)
Parameter = Annotated[
    _Value | list[_Value],
    Meta(description="a number of at most 15 digits, a text, true, false, or a list of such"),
]
"""What the file of one's own network is told."""


class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section, in which an unknown key is an error."""


class DatabaseSettings(Frozen, frozen=True):
    """Time limits towards the database; each shorter than the grace time of a stop."""

    connect_timeout_seconds: Positive = 5
    statement_timeout_seconds: Positive = 20
    lock_timeout_seconds: Positive = 10
    idle_in_transaction_timeout_seconds: Positive = 60
    allow_unverified_tls: bool = False


class ScoreSettings(Frozen, frozen=True):
    """The nightly job."""

    batch_rows: Annotated[int, Meta(ge=1, le=LARGEST_BATCH)] = 20_000
    workers: Annotated[int, Meta(ge=1, le=16)] = 2
    most_workers: Annotated[int, Meta(ge=1, le=256)] = 16
    dask: str = ""


class CustomSettings(Frozen, frozen=True):
    """The fit of one's own network, if `retrain.network` names a file."""

    epochs: Annotated[int, Meta(ge=1, le=10_000)] = 200
    batch_rows: Positive = 64
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.001
    members: Annotated[int, Meta(ge=1, le=32)] = 5
    parameters: dict[Text, Parameter] = {}


class RetrainSettings(Frozen, frozen=True):
    """The weekly job."""

    network: NetworkName = "five_seeds"
    threshold: Share | ToReach = 0.5
    minimum_labels: Positive = 100
    minimum_of_each_class: Positive = 10
    lease_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 60
    custom: CustomSettings = CustomSettings()


class HoldoutSettings(Frozen, frozen=True):
    """The holdout."""

    share: Share = 0.30
    salt: str = ""


class GateSettings(Frozen, frozen=True):
    """The gate: the rows and the measure of a verdict, and further conditions."""

    window: Literal["recent", "all"] = "recent"
    window_weeks: Positive = 26
    window_minimum_rows: Positive = 250
    window_maximum_rows: Positive = 1_000
    measure: Literal["accuracy", "log_loss", "net_benefit"] = "accuracy"
    log_loss_veto: Literal["auto"] | bool = "auto"
    minimum_gain: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    subgroup_margin: Literal["off"] | Annotated[float, Meta(ge=0, lt=1)] = "off"
    approve: bool = False
    first_must_beat: str = ""


class LineageSettings(Frozen, frozen=True):
    """The data kept of old model versions. The champion and the version before it always keep what
    they need."""

    snapshots: Literal["champions", "off"] | Positive = "champions"
    model_bytes: Literal["all"] | Positive = "all"


class ReportSettings(Frozen, frozen=True):
    """The report that each retraining leaves: a folder for it beside the database."""

    folder: APath = ""


class RetainSettings(Frozen, frozen=True):
    """The limits of what `jobs.retain` may remove."""

    minimum_days: Positive = 183


class HealthSettings(Frozen, frozen=True):
    """When rows without a prediction are too many."""

    most_without_prediction: Annotated[float, Meta(ge=0, lt=1)] = USUAL_LIMITS.share
    fewest_without_prediction: Positive = USUAL_LIMITS.rows

    @property
    def limits(self) -> Limits:
        """Both limits as one value."""
        return Limits(self.most_without_prediction, self.fewest_without_prediction)


JOBS = ("retrain", "score")
"""The jobs with a schedule. If both are caught up, it is in this order, so the newest champion
scores."""

PULL = "pull"
"""The job that comes before the others at each tick if there are sources; it has no schedule of its
own."""

STARTED = (*JOBS, PULL)
"""All jobs that the scheduler starts."""


OWN_CODE = "<your network>"
"""What tracebacks call the file of one's own network, which `retrain.network` names."""


class ScheduleSettings(Frozen, frozen=True):
    """When the scheduler starts the jobs: crontab fields, weekdays by name."""

    score: str = "15 2 * * *"
    retrain: str = "0 3 * * sun"
    time_zone: str = "UTC"
    grace_seconds: Positive = 25
    time_limit_minutes: Positive = 240
    catch_up: Literal["latest", "none"] = "latest"
    retries: Annotated[int, Meta(ge=0, le=100)] = 3
    retry_seconds: Positive = 60


WebAddress = Annotated[
    str,
    Meta(
        pattern=r"^(https?://\S+)?$",
        description="an address that begins with http:// or https://, or nothing",
    ),
]


class MetricsSettings(Frozen, frozen=True):
    """The scheduler's Prometheus endpoint."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    address: str = "127.0.0.1"


class PingSettings(Frozen, frozen=True):
    """Addresses that are fetched after each run of a job; they are secrets."""

    score_url: WebAddress = ""
    retrain_url: WebAddress = ""
    pull_url: WebAddress = ""


class AlertsSettings(Frozen, frozen=True):
    """The receivers of alerts; the addresses are secrets."""

    urls: str = ""


class LogSettings(Frozen, frozen=True):
    """The format of log lines on stderr."""

    format: Literal["auto", "text", "json"] = "auto"


class DeclarationSettings(Frozen, frozen=True):
    """The file with the declared features, if they are not in the settings file."""

    file: APath = ""


class Settings(Frozen, frozen=True, rename={"sources": "source"}):
    """All settings; every field has the default that config/pima.toml shows."""

    declaration: DeclarationSettings = DeclarationSettings()

    database: DatabaseSettings = DatabaseSettings()
    score: ScoreSettings = ScoreSettings()
    retrain: RetrainSettings = RetrainSettings()
    holdout: HoldoutSettings = HoldoutSettings()
    gate: GateSettings = GateSettings()
    lineage: LineageSettings = LineageSettings()
    report: ReportSettings = ReportSettings()
    retain: RetainSettings = RetainSettings()
    health: HealthSettings = HealthSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    metrics: MetricsSettings = MetricsSettings()
    ping: PingSettings = PingSettings()
    alerts: AlertsSettings = AlertsSettings()
    logs: LogSettings = LogSettings()
    sources: tuple[Source, ...] = ()
    """The [[source]] sections, each with its name."""

    @property
    def source_names(self) -> list[str]:
        """The names of the declared sources, in order."""
        return [source.name for source in self.sources]


SECTIONS = {
    field.name: {key.name for key in msgspec.structs.fields(field.type)}
    for field in msgspec.structs.fields(Settings)
    if field.name != "sources"
}
