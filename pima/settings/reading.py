"""Reading the settings: config/pima.toml, then PIMA_SECTION__KEY variables over it, then the database's URL.

A misspelt key or variable, a missing file and a value of the wrong type are errors that name the key: a setting that
silently does nothing is worse than none. The variables of sources are looked at by what pulls.
"""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from pima.core.features import Declaration, Feature, Outcome, first_fault
from pima.core.source import MappedColumn, Source, first_faulty_source
from pima.errors import WrongConfiguration
from pima.settings.sections import SECTIONS, Settings

DEFAULT_CONFIG = Path("config/pima.toml")
DEFAULT_DATABASE_URL = "sqlite:///pima.db"
SHIPPED_FILE = Path(__file__).parent.parent / "data" / "features.toml"

_DECLARING = ("outcome", "feature")
"""The sections of a declaration, which the settings' file may hold too."""
_SOURCE_PREFIX = "PIMA_SOURCE__"
_MAPPED_COLUMNS = "for each feature a column's name, or a table with column, factor, offset, words"
_LACKING_OR_UNKNOWN = r"Object (missing required|contains unknown) field `(.*?)`"

_JOBS_WITH_A_ROLE = ("score", "retrain", "pull")
# Variables of ours that are not settings of a section.
_OTHER_VARIABLES = {"PIMA_TEST_DATABASE_URL"} | {
    f"PIMA_{job.upper()}__DATABASE_URL{suffix}" for job in _JOBS_WITH_A_ROLE for suffix in ("", "_FILE")
}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises WrongConfiguration."""
    try:
        # Some editors put a byte order mark before it.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        what = f"the file {path} can't be read ({error.strerror})"
        raise WrongConfiguration(what=what, expected="a readable TOML file; name it with --config PATH") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongConfiguration(what=f"{path} is not TOML", expected=f"valid TOML ({error})") from None


def read_declaration(path: Path) -> Declaration:
    """Read a TOML file of [outcome] and [[feature]] and nothing else. Raises WrongConfiguration with the key."""
    return declaration_of(read_toml(path), path)


def declaration_of(sections: Mapping[str, Any], path: Path) -> Declaration:
    """Convert a file's sections to a declaration. Raises WrongConfiguration with the first key that is wrong."""
    for section in sections:
        if section not in _DECLARING:
            what = f"{path}: there is no section {section}"
            raise WrongConfiguration(what=what, expected="[outcome] and [[feature]]")
    try:
        declaration = msgspec.convert(dict(sections), Declaration, str_keys=True)
    except msgspec.ValidationError as error:
        raise _wrong_declaration(path, str(error), sections) from None
    fault = first_fault(declaration)
    if fault is not None:
        raise WrongConfiguration(what=f"{path}: {fault.key} {fault.what}", expected=fault.expected)
    return declaration


def _wrong_declaration(path: Path, error: str, sections: Mapping[str, Any]) -> WrongConfiguration:
    # A code that is none is said to stand "at `key` in" its table.
    at = re.search(r"(?:at|in) `\$\.(outcome|feature)(?:\[(\d+)\])?\.?(\w*)", error)
    if at is None:
        lacking = re.match(_LACKING_OR_UNKNOWN, error)
        what = f"{path}: its sections can't be taken as they are" + (f" ({lacking[2]})" if lacking else "")
        return WrongConfiguration(what=what, expected="[outcome] and one [[feature]] or more")
    section, position, key = at.groups()
    where = f"{path}: {section}"
    if position is not None:
        name = _shown_name(sections["feature"][int(position)])
        where += f" {int(position) + 1}" + (f" ({name})" if name else "")
    kind = Outcome if section == "outcome" else Feature
    return _wrong_key(where, f"{where}.{key}" if key else "", kind, key, f"[[{section}]]", error)


def _wrong_key(
    where: str, key_in_place: str, kind: type[msgspec.Struct], key: str, section: str, error: str
) -> WrongConfiguration:
    """Translate msgspec's message to the place and the name of a key; what stood there is not told."""
    if found := re.match(_LACKING_OR_UNKNOWN, error):
        does = "lacks" if found[1].startswith("missing") else "has no key"
        expected = f"keys of: {', '.join(kind.__struct_fields__)}"
        return WrongConfiguration(what=f"{where} {does} {found[2]}", expected=expected)
    if not key:
        return WrongConfiguration(what=f"{where} is not a table", expected=f"{section} and keys in it")
    expected = _MAPPED_COLUMNS if key == "columns" else in_words(_type_of(kind, key))
    return WrongConfiguration(what=f"{key_in_place} can't be taken as it is", expected=expected)


def _shown_name(section: object) -> str:
    """The name in a section where it has one that can be shown, else nothing."""
    name = section.get("name") if isinstance(section, dict) else None
    return name if isinstance(name, str) and name.isidentifier() else ""


def _type_of(kind: type[msgspec.Struct], key: str) -> Any:
    return next(field.type for field in msgspec.structs.fields(kind) if field.name == key)


SHIPPED = read_declaration(SHIPPED_FILE)
"""The eight measurements of the Pima set: what is scored where the settings declare nothing."""


def sources_of(section: Any, path: Path) -> tuple[Source, ...]:
    """Convert [[source]] to sources. Raises WrongConfiguration with the first key that is wrong."""
    try:
        sources = msgspec.convert(section, tuple[Source, ...])
    except msgspec.ValidationError as error:
        raise _wrong_source(path, str(error), section) from None
    if (found := first_faulty_source(sources)) is not None:
        source, fault = found
        what = f"{path}: {_source_place(source.name)} {fault.key} {fault.what}"
        raise WrongConfiguration(what=what, expected=fault.expected)
    for source in sources:
        try:
            ZoneInfo(source.time_zone)
        except (ValueError, LookupError, OSError):
            what = f"{path}: {_source_place(source.name)} time_zone is none that is known"
            raise WrongConfiguration(what=what, expected="an IANA time zone such as Europe/Berlin") from None
    return sources


def _wrong_source(path: Path, error: str, section: Any) -> WrongConfiguration:
    at = re.search(r"at `\$\[(\d+)\]\.?(\w*)", error)
    if at is None:
        return WrongConfiguration(what=f"{path}: source can't be taken as it is", expected="[[source]] and keys in it")
    where, key = f"{path}: {_source_place(_shown_name(section[int(at[1])]))}", at[2]
    place = f"{where} {key}" if key else where
    kind = MappedColumn if key and re.match(_LACKING_OR_UNKNOWN, error) else Source
    return _wrong_key(place, place, kind, key, "[[source]]", error)


def _source_place(name: str) -> str:
    return f"source {name}:" if name.isidentifier() else "a source:"


def url_variable(name: str) -> str:
    """The variable that holds a source's URL; with _FILE behind it, the file that does."""
    return f"{_SOURCE_PREFIX}{name.upper()}__URL"


def without_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a job that reads no source, and so is told no secret of one."""
    return {variable: value for variable, value in environ.items() if not variable.startswith(_SOURCE_PREFIX)}


def require_urls_of_sources(environ: Mapping[str, str], sources: tuple[Source, ...]) -> None:
    """Raises WrongConfiguration for a source's variable that is the URL of none of these: whoever set it meant one."""
    known = {url_variable(source.name) for source in sources}
    for variable in sorted(environ.keys() - without_urls(environ).keys()):
        if variable.removesuffix("_FILE") not in known:
            what = f"the variable {variable} is the URL of no source"
            raise WrongConfiguration(what=what, expected=_expected_of_a_source(variable, known))


def _expected_of_a_source(variable: str, known: set[str]) -> str:
    named = re.fullmatch(rf"{_SOURCE_PREFIX}([A-Z][A-Z0-9_]*?)__URL(_FILE)?", variable)
    declared = f'that it is unset, or a [[source]] with name = "{named[1].lower()}" in the settings' if named else ""
    others = f"one of: {', '.join(sorted(known))}" if known else ""
    return "; or ".join(filter(None, (declared, others))) or "that it is unset: the settings have no [[source]]"


def read_settings(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Merge file and variables; None means the default file. Raises WrongConfiguration naming the key."""
    path = config or DEFAULT_CONFIG
    merged = read_toml(path)
    for section in _DECLARING:
        merged.pop(section, None)
    sources = sources_of(merged.pop("source", []), path)
    for variable, (section, key, text) in _variables(environ).items():
        merged.setdefault(section, {})
        if not isinstance(merged[section], dict):
            raise _no_section(path, section)
        merged[section][key] = _checked_text(variable, section, key, text)
    try:
        settings = msgspec.convert(merged, Settings)
    except msgspec.ValidationError as error:
        raise _wrong_setting(path, str(error)) from None
    return msgspec.structs.replace(settings, sources=sources)


def declared(config: Path | None, settings: Settings) -> Declaration:
    """Read what the settings' file declares, or the file that it names; where neither declares, what is shipped.

    Raises WrongConfiguration naming the key.
    """
    path = config or DEFAULT_CONFIG
    file = settings.declaration.file
    sections = {name: section for name, section in read_toml(path).items() if name in _DECLARING}
    if sections and file:
        what = f"{path}: declaration.file names {file}, and {' and '.join(sections)} stand in the settings too"
        raise WrongConfiguration(what=what, expected="the features in one of the two")
    if file:
        return read_declaration(path.parent / file)
    return declaration_of(sections, path) if sections else SHIPPED


def _wrong_setting(path: Path, error: str) -> WrongConfiguration:
    at = re.search(r"at `\$\.(\w+)\.?(\w*)`$", error)
    section, key = at.groups() if at else ("", "")
    unknown = re.match(r"Object contains unknown field `(.*?)`(?: - at |$)", error)
    if unknown:
        names, what = (SECTIONS[section], f"[{section}] has no key") if section else (SECTIONS, "there is no section")
        expected = f"one of: {', '.join(sorted(names))}"
        return WrongConfiguration(what=f"{path}: {what} {unknown[1]}", expected=expected)
    if not key:
        return _no_section(path, section)
    expected = in_words(_type_of_setting(section, key))
    return WrongConfiguration(what=f"{path}: {section}.{key} can't be taken as it is", expected=expected)


def _no_section(path: Path, section: str) -> WrongConfiguration:
    return WrongConfiguration(what=f"{path}: {section} is not a section", expected=f"[{section}] and keys in it")


def _type_of_setting(section: str, key: str) -> Any:
    return _type_of(_type_of(Settings, section), key)


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """PIMA_SECTION__KEY -> (section, key, text); PIMA_SECTION__KEY_FILE names a file that holds the text."""
    found = {}
    for variable in sorted(without_urls(environ)):
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
    key_type = _type_of_setting(section, key)
    # One by one: of a number or a text together, msgspec would take a number's text for the text.
    for one_type in get_args(key_type) if get_origin(key_type) in (Union, UnionType) else (key_type,):
        with suppress(msgspec.ValidationError):
            return msgspec.convert(text, one_type, strict=False)
    what = f"the variable {variable} can't be taken as it is"
    raise WrongConfiguration(what=what, expected=in_words(key_type))


def database_url(environ: Mapping[str, str], job: str | None = None) -> str:
    """The URL for a job: its own role's (PIMA_SCORE__DATABASE_URL and so on), else DATABASE_URL, else the default.

    Each may be given as X or as X_FILE, a file that holds it; both set is an error.
    """
    names = [f"PIMA_{job.upper()}__DATABASE_URL"] if job in _JOBS_WITH_A_ROLE else []
    for name in [*names, "DATABASE_URL"]:
        url = secret(environ, name)
        if url is not None:
            return url
    return DEFAULT_DATABASE_URL


def source_url(environ: Mapping[str, str], name: str) -> str:
    """The URL of a source. Raises WrongConfiguration where it is not given."""
    url = secret(environ, url_variable(name))
    if url is None:
        what = f"the URL of the source {name} is not given"
        raise WrongConfiguration(what=what, expected=f"{url_variable(name)}, or {url_variable(name)}_FILE, a file")
    return url


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


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def in_words(key_type: Any) -> str:
    """The values that a setting of this type takes, such as "a whole number, at least 1 and at most 16"."""
    origin, parts = get_origin(key_type), get_args(key_type)
    if origin in (Union, UnionType):
        return " or ".join(in_words(part) for part in parts if part is not NoneType)
    if origin is dict:
        return f"a table: {in_words(parts[0])} = {in_words(parts[1])}, ..."
    if origin is tuple:
        return f"a list, each {in_words(parts[0])}"
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is Annotated:
        meta: Meta = parts[1]
        bounds = (("at least", meta.ge), ("above", meta.gt), ("at most", meta.le), ("below", meta.lt))
        said = [f"{word} {bound:,}" for word, bound in bounds if bound is not None]
        return meta.description or f"{_WORDS[parts[0]]}, {' and '.join(said)}"
    return _WORDS[key_type]
