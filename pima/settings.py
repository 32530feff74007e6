"""Settings: config/pima.toml, then PIMA_SECTION__KEY variables over it, then the database's URL.

Read once at the start of a command and handed down as one frozen record. A misspelt key or variable, a missing file
and a value of the wrong type are errors that name the key: a setting that silently does nothing is worse than none.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from pima.errors import WrongConfiguration

DEFAULT_CONFIG = Path("config/pima.toml")
DEFAULT_DATABASE_URL = "sqlite:///pima.db"

LARGEST_BATCH = 1_000_000
"""Rows. On PostgreSQL a batch comes as one value, of 80 bytes a row and at most 1 GB."""
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Share = Annotated[float, Meta(gt=0, lt=1)]


class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section; an unknown key in it is an error."""


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


class RetrainSettings(Frozen, frozen=True):
    """The weekly job."""

    network: Literal["five_seeds", "article"] = "five_seeds"
    threshold: Share = 0.5
    minimum_labels: Positive = 100
    minimum_of_each_class: Positive = 10
    lease_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 60


class HoldoutSettings(Frozen, frozen=True):
    """Who is never trained on."""

    share: Share = 0.30
    salt: str = ""


class GateSettings(Frozen, frozen=True):
    """What a verdict is given on, and what may be asked beyond the rule."""

    window: Literal["recent", "all"] = "recent"
    window_weeks: Positive = 26
    window_minimum_rows: Positive = 250
    window_maximum_rows: Positive = 1_000
    log_loss_veto: bool = False
    minimum_gain: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    approve: bool = False


class LineageSettings(Frozen, frozen=True):
    """What is kept of old model versions; never less than what the champion and the one before it need."""

    snapshots: Literal["champions", "off"] | Positive = "champions"
    model_bytes: Literal["all"] | Positive = "all"


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
    stale_seconds: Annotated[int, Meta(ge=30, le=86_400)] = 120


WebAddress = Annotated[str, Meta(pattern=r"^(https?://\S+)?$")]


class MetricsSettings(Frozen, frozen=True):
    """The scheduler's Prometheus endpoint."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    address: str = "127.0.0.1"


class PingSettings(Frozen, frozen=True):
    """Addresses that are fetched after each run of a job; they are secrets."""

    score_url: WebAddress = ""
    retrain_url: WebAddress = ""


class LogSettings(Frozen, frozen=True):
    """How log lines look on stderr."""

    format: Literal["auto", "text", "json"] = "auto"


class Settings(Frozen, frozen=True):
    """All of it; every field has the default that config/pima.toml shows."""

    database: DatabaseSettings = DatabaseSettings()
    score: ScoreSettings = ScoreSettings()
    retrain: RetrainSettings = RetrainSettings()
    holdout: HoldoutSettings = HoldoutSettings()
    gate: GateSettings = GateSettings()
    lineage: LineageSettings = LineageSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    metrics: MetricsSettings = MetricsSettings()
    ping: PingSettings = PingSettings()
    logs: LogSettings = LogSettings()


SECTIONS = {
    field.name: {key.name for key in msgspec.structs.fields(field.type)} for field in msgspec.structs.fields(Settings)
}

# Variables of ours that are not settings of a section.
_OTHER_VARIABLES = {
    "PIMA_SCORE__DATABASE_URL",
    "PIMA_SCORE__DATABASE_URL_FILE",
    "PIMA_RETRAIN__DATABASE_URL",
    "PIMA_RETRAIN__DATABASE_URL_FILE",
    "PIMA_TEST_DATABASE_URL",
}


def read_settings(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Merge file and variables; None means the default file. Raises WrongConfiguration naming the key."""
    path = config or DEFAULT_CONFIG
    merged = _read_toml(path)
    for variable, (section, key, text) in _variables(environ).items():
        merged.setdefault(section, {})
        if not isinstance(merged[section], dict):
            raise WrongConfiguration(what=f"{path}: {section} is not a section", expected=f"[{section}] and keys in it")
        merged[section][key] = _checked_text(variable, section, key, text)
    try:
        return msgspec.convert(merged, Settings)
    except msgspec.ValidationError as error:
        # The message names the key and what was expected of it, never what stood there.
        raise WrongConfiguration(what=f"{path} or a PIMA_ variable", expected=str(error)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"the file {path} can't be read ({error.strerror})"
        raise WrongConfiguration(what=what, expected="a readable TOML file; name it with --config PATH") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongConfiguration(what=f"{path} is not TOML", expected=f"valid TOML ({error})") from None


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """PIMA_SECTION__KEY -> (section, key, text); PIMA_SECTION__KEY_FILE names a file that holds the text."""
    found = {}
    for variable in sorted(environ):
        if not variable.startswith("PIMA_") or variable in _OTHER_VARIABLES:
            continue
        section, _, key = variable.removeprefix("PIMA_").lower().partition("__")
        if key.endswith("_file") and key.removesuffix("_file") in SECTIONS.get(section, ()):
            key = key.removesuffix("_file")
        if section not in SECTIONS or key not in SECTIONS[section]:
            known = ", ".join(sorted(SECTIONS[section])) if section in SECTIONS else ", ".join(sorted(SECTIONS))
            what = f"the variable {variable} names no setting"
            raise WrongConfiguration(what=what, expected=f"PIMA_SECTION__KEY with one of: {known}")
        name = f"PIMA_{section}__{key}".upper()
        found[name] = (section, key, secret(environ, name) or "")
    return found


def _checked_text(variable: str, section: str, key: str, text: str) -> object:
    """A variable's text as the type of its key."""
    section_type = next(field.type for field in msgspec.structs.fields(Settings) if field.name == section)
    key_type = next(field.type for field in msgspec.structs.fields(section_type) if field.name == key)
    try:
        return msgspec.convert(text, key_type, strict=False)
    except msgspec.ValidationError as error:
        choices = _choices(key_type)
        expected = f"one of {', '.join(choices)}" if choices else str(error)
        raise WrongConfiguration(what=f"the variable {variable}", expected=expected) from None


def _choices(key_type: Any) -> list[str]:
    """The words that a setting takes, and "a number" where it takes one besides."""
    words = [repr(choice) for choice in get_args(key_type) if isinstance(choice, str)]
    if get_origin(key_type) is UnionType or get_origin(key_type) is Union:
        parts = get_args(key_type)
        words = [word for part in parts for word in _choices(part)]
        words += ["a number"] if any(get_origin(part) is Annotated for part in parts) else []
    return words


def database_url(environ: Mapping[str, str], job: str | None = None) -> str:
    """The URL for a job: its own role's (PIMA_SCORE__..., PIMA_RETRAIN__...), else DATABASE_URL, else the default.

    Each may be given as X or as X_FILE, a file that holds it; both set is an error.
    """
    names = [f"PIMA_{job.upper()}__DATABASE_URL"] if job in ("score", "retrain") else []
    for name in [*names, "DATABASE_URL"]:
        url = secret(environ, name)
        if url is not None:
            return url
    return DEFAULT_DATABASE_URL


def secret(environ: Mapping[str, str], name: str) -> str | None:
    """The value of NAME or the contents of the file that NAME_FILE names, a trailing newline stripped."""
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if value is not None and file is not None:
        raise WrongConfiguration(what=f"both {name} and {name}_FILE are set", expected="one of the two")
    if file is None:
        return value
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        what = f"the file that {name}_FILE names can't be read"
        raise WrongConfiguration(what=what, expected="a readable text file that holds it") from None
