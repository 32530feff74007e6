"""Reading the settings: config/pima.toml, overridden by PIMA_SECTION__KEY variables, and the
database's URL.

A misspelt key or variable, a missing file and a value of the wrong type are errors that name the
key: a setting that silently does nothing is worse than none. Only commands that pull check the
variables of sources.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from pima.core.declared.faults import first_fault
from pima.core.declared.features import Declaration, Features, Outcome
from pima.core.declared.group import Groups
from pima.core.declared.present_score import PresentScores
from pima.core.declared.source import Source, first_faulty_source
from pima.errors import WrongConfiguration
from pima.settings.sections import SECTIONS, STARTED, Frozen, Settings

DEFAULT_CONFIG = Path("config/pima.toml")
DEFAULT_DATABASE_URL = "sqlite:///pima.db"
SHIPPED_FILE = Path(__file__).parent.parent / "data" / "features.toml"
_IN_A_WHEEL = Path(__file__).parent.parent / "config" / "pima.toml"

_SOURCE_PREFIX = "PIMA_SOURCE__"
_URLS_OF_ROLES = {
    f"PIMA_{job.upper()}__DATABASE_URL{suffix}" for job in STARTED for suffix in ("", "_FILE")
}
# pima's variables that are no settings of a section.
_OTHER_VARIABLES = {"PIMA_TEST_DATABASE_URL"} | _URLS_OF_ROLES
# What Kubernetes puts into each container for a Service named pima or pima-NAME (its manual, page
# "Service", section "Environment variables"). Seen: beside such a Service every command ended with
# 2. Where the name alone could be a misspelt setting, as PIMA_METRICS_PORT, the value decides.
_OF_KUBERNETES = re.compile(
    r"PIMA(_[A-Z0-9]+)*(_SERVICE_HOST=.*|_SERVICE_PORT(_[A-Z0-9]+)*=\d+"
    r"|_PORT(_\d+_(TCP|UDP|SCTP))?=\w+://.*|_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.*)"
)

_Kind = TypeVar("_Kind", bound=Struct)


class _Declaring(Frozen, frozen=True):
    """The sections of a declaration, which the settings file may also hold."""

    outcome: Outcome
    feature: Features
    present_score: PresentScores = ()
    group: Groups = ()


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises WrongConfiguration."""
    try:
        # Some editors write a byte order mark.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        what = f"the file {path} can't be read ({error.strerror})"
        raise WrongConfiguration(
            what=what, expected="a readable TOML file; name it with --config PATH"
        ) from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # also a number of 5,000 digits, and 3,000 brackets
        raise WrongConfiguration(
            what=f"{path} is not TOML", expected=f"valid TOML ({error})"
        ) from None


def converted(sections: Mapping[str, Any], kind: type[_Kind], path: Path | str) -> _Kind:
    """Convert a file's sections. Raises WrongConfiguration with the first key that is wrong,
    without its value."""
    try:
        return msgspec.convert(dict(sections), kind, str_keys=True)
    except msgspec.ValidationError as error:
        what, expected = _fault(str(error), sections, kind)
        raise WrongConfiguration(what=f"{path}: {what}", expected=expected) from None


def _fault(error: str, document: Any, kind: Any) -> tuple[str, str]:
    """Translate msgspec's message into what is wrong, by names of keys and sections, and what was
    expected."""
    # msgspec reports an unknown key "at `key` in" its table.
    at = re.search(r"(?:at|in) `\$(.*?)`", error)
    place = ""
    keys = re.findall(r"\.(\w+)|\[(\d+)\]", at[1]) if at else []
    for key, position in keys:
        if get_origin(kind) is dict:  # its keys are the user's own names
            break
        if key:
            document = document.get(key)
            kind = _types(kind)[key]
            place = f"{place}.{key}".lstrip(".")
        else:
            document = document[int(position)]
            kind = get_args(kind)[0]
            name = document.get("name") if isinstance(document, dict) else None
            place = _numbered(place, int(position), name)
    if found := re.match(r"Object (missing required|contains unknown) field `(.*?)`", error):
        if get_origin(kind) is dict:  # the fault is in one of its values
            (kind,) = (each for each in get_args(get_args(kind)[1]) if issubclass(each, Struct))
        does = "lacks" if found[1].startswith("missing") else "takes no key"
        return f"{place or 'the file'} {does} {found[2]}", f"keys of: {', '.join(_types(kind))}"
    return f"{place or 'the file'} has a wrong value", values_in_words(kind)


def _numbered(section: str, position: int, name: object) -> str:
    """Name one of several sections by its number, and by its name if that can be shown."""
    shown = f" ({name})" if isinstance(name, str) and name.isidentifier() else ""
    return f"{section} {position + 1}{shown}"


def _types(kind: type[Struct]) -> dict[str, Any]:
    """The type of each key."""
    return {each.encode_name: each.type for each in fields(kind)}


def read_declaration(path: Path) -> Declaration:
    """Read a TOML file of [outcome], [[feature]], [[present_score]] and [[group]] and nothing else.
    Raises WrongConfiguration with the key."""
    return declaration_of(read_toml(path), path)


def declaration_of(sections: Mapping[str, Any], path: Path) -> Declaration:
    """Convert a file's sections to a declaration. Raises WrongConfiguration with the first key that
    is wrong."""
    found = converted(sections, _Declaring, path)
    declaration = Declaration(
        found.outcome, found.feature, present_scores=found.present_score, groups=found.group
    )
    fault = first_fault(declaration)
    if fault is not None:
        raise WrongConfiguration(what=f"{path}: {fault.key} {fault.what}", expected=fault.expected)
    return declaration


SHIPPED = read_declaration(SHIPPED_FILE)
"""The eight measurements of the Pima data set, used if the settings declare nothing."""


def _require_usable(sources: tuple[Source, ...], path: Path) -> None:
    """Raises WrongConfiguration with the first key of a source that is wrong."""
    faulty = first_faulty_source(sources)
    for position, source in enumerate(sources):
        place = f"{path}: {_numbered('source', position, source.name)}:"
        if faulty and source is faulty[0]:
            raise WrongConfiguration(
                what=f"{place} {faulty[1].key} {faulty[1].what}", expected=faulty[1].expected
            )
        try:
            ZoneInfo(source.time_zone)
        except (ValueError, LookupError, OSError):
            expected = "an IANA time zone such as Europe/Berlin"
            raise WrongConfiguration(
                what=f"{place} time_zone is unknown", expected=expected
            ) from None


def url_variable(name: str) -> str:
    """The variable that holds a source's URL; with _FILE appended, the one that names a file with
    the URL."""
    return f"{_SOURCE_PREFIX}{name.upper()}__URL"


def without_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the secrets of sources."""
    return {
        variable: value
        for variable, value in environ.items()
        if not variable.startswith(_SOURCE_PREFIX)
    }


def environ_of_job(environ: Mapping[str, str], job: str) -> dict[str, str]:
    """The environment of a job's process: of all URLs only that of its own role, or DATABASE_URL
    where it has none; a pull's has those of sources too."""
    own = {f"PIMA_{job.upper()}__DATABASE_URL", f"PIMA_{job.upper()}__DATABASE_URL_FILE"}
    others = _URLS_OF_ROLES - own
    if own & environ.keys():
        others |= {"DATABASE_URL", "DATABASE_URL_FILE"}
    kept = environ if job == "pull" else without_urls(environ)
    return {variable: value for variable, value in kept.items() if variable not in others}


def require_urls_of_sources(environ: Mapping[str, str], sources: tuple[Source, ...]) -> None:
    """Raises WrongConfiguration for a variable that is the URL of none of these sources: it is
    probably misspelt."""
    known = {url_variable(source.name) for source in sources}
    for variable in sorted(environ.keys() - without_urls(environ).keys()):
        if variable.removesuffix("_FILE") not in known:
            declared = ", ".join(sorted(known)) or "none, since the settings have no [[source]]"
            expected = f"that it is unset, or the URL of a [[source]] in the settings: {declared}"
            raise WrongConfiguration(
                what=f"the variable {variable} is the URL of no source", expected=expected
            )


def read_settings(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Merge file and variables; None means the default file. Raises WrongConfiguration naming the
    key."""
    path = config or _default_config()
    merged = {
        name: section
        for name, section in read_toml(path).items()
        if name not in _Declaring.__struct_fields__
    }
    for variable, (section, key, text) in _variables(environ).items():
        if isinstance(merged.setdefault(section, {}), dict):
            merged[section][key] = _checked_text(variable, section, key, text)
    settings = converted(merged, Settings, path)
    _require_usable(settings.sources, path)
    return settings


def _default_config() -> Path:
    """The file of this folder, or, in an installed wheel and a folder without one, the file that
    the wheel brings."""
    if _IN_A_WHEEL.exists() and not DEFAULT_CONFIG.exists():
        return _IN_A_WHEEL
    return DEFAULT_CONFIG


def settings_folder(config: Path | None) -> Path:
    """The folder of the settings file, where other files lie that it names."""
    return (config or _default_config()).parent


def read_with_declaration(
    config: Path | None, environ: Mapping[str, str]
) -> tuple[Settings, Declaration]:
    """Read the settings and their declaration. Raises WrongConfiguration naming the key."""
    settings = read_settings(config, environ)
    return settings, declared(config, settings)


def declared(config: Path | None, settings: Settings) -> Declaration:
    """Read the declaration in the settings file, or in the file that it names; if there is none,
    the shipped one.

    Raises WrongConfiguration naming the key.
    """
    path = config or _default_config()
    file = settings.declaration.file
    sections = {
        name: section
        for name, section in read_toml(path).items()
        if name in _Declaring.__struct_fields__
    }
    if sections and file:
        what = (
            f"{path}: declaration.file names {file}, and {' and '.join(sections)} are in the "
            "settings too"
        )
        raise WrongConfiguration(what=what, expected="the features in one of the two")
    found = SHIPPED
    if file:
        found = read_declaration(path.parent / file)
    elif sections:
        found = declaration_of(sections, path)
    _require_times(settings.sources, found, path)
    return found


def _require_times(sources: tuple[Source, ...], declared: Declaration, path: Path) -> None:
    """Raises WrongConfiguration for a source that does not say when an outcome became known, where
    it matters whether somebody acted before."""
    for position, source in enumerate(sources):
        if declared.outcome.if_acted == "unknown" and source.outcome and not source.outcome_at:
            place = f"{path}: {_numbered('source', position, source.name)}"
            raise WrongConfiguration(
                what=f'{place}: outcome_at is not there, and outcome.if_acted is "unknown"',
                expected="the column of the time at which the outcome became known: without it an "
                "action after the event looks like one before it",
            )


def require_score_to_beat(settings: Settings, scores: Sequence[str]) -> None:
    """Raises WrongConfiguration if gate.first_must_beat names none of these scores."""
    name = settings.gate.first_must_beat
    if name and name not in scores:
        known = ", ".join(scores) or "none is declared"
        raise WrongConfiguration(
            what=f"gate.first_must_beat names {name}, which is no [[present_score]]",
            expected=f"nothing, or one of: {known}",
        )


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """The settings in variables, as name -> (section, key, text); PIMA_SECTION__KEY_FILE names a
    file with the text."""
    found = {}
    for variable, value in sorted(without_urls(environ).items()):
        if not variable.startswith("PIMA_") or variable in _OTHER_VARIABLES:
            continue
        if _OF_KUBERNETES.fullmatch(f"{variable}={value}"):
            continue
        section, _, key = variable.removeprefix("PIMA_").lower().partition("__")
        if key.endswith("_file") and key.removesuffix("_file") in SECTIONS.get(section, ()):
            key = key.removesuffix("_file")
        if key not in SECTIONS.get(section, ()):
            known = ", ".join(sorted(SECTIONS.get(section, SECTIONS)))
            what = f"the variable {variable} names no setting"
            raise WrongConfiguration(what=what, expected=f"PIMA_SECTION__KEY with one of: {known}")
        name = f"PIMA_{section}__{key}".upper()
        found[name] = (section, key, secret(environ, name) or "")
    return found


def _checked_text(variable: str, section: str, key: str, text: str) -> object:
    """Convert a variable's text to the type of its key."""
    key_type = _types(_types(Settings)[section])[key]
    types = [key_type]
    # One type at a time: for "a number or a text" msgspec would keep a number's text as text.
    if get_origin(key_type) in (Union, UnionType):
        types = [*get_args(key_type)]
    for one_type in types:
        with suppress(msgspec.ValidationError):
            return msgspec.convert(text, one_type, strict=False)
    what = f"the variable {variable} has a wrong value"
    raise WrongConfiguration(what=what, expected=values_in_words(key_type))


def database_url(environ: Mapping[str, str], job: str | None = None) -> str:
    """The URL for a job: that of its role (PIMA_SCORE__DATABASE_URL and so on), else DATABASE_URL,
    else the default.

    Each may be set as X, or as X_FILE, which names a file with it; setting both is an error.
    """
    names = [f"PIMA_{job.upper()}__DATABASE_URL"] if job in STARTED else []
    for name in [*names, "DATABASE_URL"]:
        url = secret(environ, name)
        if url is not None:
            return url
    return DEFAULT_DATABASE_URL


def source_url(environ: Mapping[str, str], name: str) -> str:
    """The URL of a source. Raises WrongConfiguration if it is not set."""
    url = secret(environ, url_variable(name))
    if url is None:
        what = f"the URL of the source {name} is not given"
        raise WrongConfiguration(
            what=what, expected=f"{url_variable(name)}, or {url_variable(name)}_FILE, a file"
        )
    return url


def secret(environ: Mapping[str, str], name: str) -> str | None:
    """The value of NAME, or the contents of the file that NAME_FILE names without trailing line
    breaks."""
    value = environ.get(name)
    file = environ.get(f"{name}_FILE")
    if value is not None and file is not None:
        raise WrongConfiguration(
            what=f"both {name} and {name}_FILE are set", expected="one of the two"
        )
    if file is None:
        return value
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        what = f"the file that {name}_FILE names can't be read"
        raise WrongConfiguration(what=what, expected="a readable text file that holds it") from None


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    date: "a day without quotes, as 2026-12-02",
}


def values_in_words(key_type: Any) -> str:
    """The values that a setting of this type takes, in words: "a whole number, at least 1 and at
    most 16"."""
    origin = get_origin(key_type)
    parts = get_args(key_type)
    if origin in (Union, UnionType):
        return " or ".join(values_in_words(part) for part in parts if part is not NoneType)
    if origin is dict:
        return f"a table: {values_in_words(parts[0])} = {values_in_words(parts[1])}, ..."
    if origin is tuple:
        return f"a list, each {values_in_words(parts[0])}"
    if origin is None and issubclass(key_type, Struct):
        return f"a table with keys of: {', '.join(_types(key_type))}"
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is Annotated:
        kind, meta = parts
        bounds = (
            ("at least", meta.ge),
            ("above", meta.gt),
            ("at most", meta.le),
            ("below", meta.lt),
        )
        said = [f"{word} {bound:,}" for word, bound in bounds if bound is not None]
        return meta.description or f"{_WORDS[kind]}, {' and '.join(said)}"
    return _WORDS[key_type]
