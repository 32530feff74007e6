"""The settings of a command: config/pima.toml, then PIMA_SECTION__KEY variables over it, then the database's URL.

A misspelt key or variable, a missing file and a value of the wrong type are errors that name the key: a setting that
silently does nothing is worse than none. The variables of sources are looked at by what pulls.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from pima.core.features import Declaration
from pima.settings.reading import SHIPPED, declaration_of, read_declaration, read_toml
from pima.errors import WrongConfiguration
from pima.core.wording import in_words
from pima.settings.sections import SECTIONS, Settings
from pima.settings.reading import sources_of, url_variable, without_urls

DEFAULT_CONFIG = Path("config/pima.toml")
DEFAULT_DATABASE_URL = "sqlite:///pima.db"

_DECLARING = ("outcome", "feature")
"""The sections of a declaration, which the settings' file may hold too."""

# Variables of ours that are not settings of a section.
_OTHER_VARIABLES = {
    "PIMA_SCORE__DATABASE_URL",
    "PIMA_SCORE__DATABASE_URL_FILE",
    "PIMA_RETRAIN__DATABASE_URL",
    "PIMA_RETRAIN__DATABASE_URL_FILE",
    "PIMA_PULL__DATABASE_URL",
    "PIMA_PULL__DATABASE_URL_FILE",
    "PIMA_TEST_DATABASE_URL",
}


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
        raise _wrong_file(path, str(error)) from None
    _require_no_nul(path, merged)
    return msgspec.structs.replace(settings, sources=sources)


def _require_no_nul(path: Path, sections: Mapping[str, Mapping[str, object]]) -> None:
    """No path, address or database takes one, and each would say so in its own way, and late."""
    for section, keys in sections.items():
        for key, value in keys.items():
            if isinstance(value, str) and "\0" in value:
                what = f"{path}: {section}.{key} holds a NUL character"
                raise WrongConfiguration(what=what, expected=in_words(_type_of(section, key)))


def declared(config: Path | None, settings: Settings) -> Declaration:
    """What the settings' file declares, or the file that it names; the shipped declaration where neither says anything.

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


def _wrong_file(path: Path, error: str) -> WrongConfiguration:
    """From msgspec's message its place and the name of an unknown key; not what stood there."""
    at = re.search(r"at `\$\.(\w+)\.?(\w*)`$", error)
    section, key = at.groups() if at else ("", "")
    unknown = re.match(r"Object contains unknown field `(.*?)`(?: - at |$)", error)
    if unknown:
        names, what = (SECTIONS[section], f"[{section}] has no key") if section else (SECTIONS, "there is no section")
        expected = f"one of: {', '.join(sorted(names))}"
        return WrongConfiguration(what=f"{path}: {what} {unknown[1]}", expected=expected)
    if not key:
        return _no_section(path, section)
    expected = in_words(_type_of(section, key))
    return WrongConfiguration(what=f"{path}: {section}.{key} can't be taken as it is", expected=expected)


def _no_section(path: Path, section: str) -> WrongConfiguration:
    return WrongConfiguration(what=f"{path}: {section} is not a section", expected=f"[{section}] and keys in it")


def _type_of(section: str, key: str) -> Any:
    of_section = next(field.type for field in msgspec.structs.fields(Settings) if field.name == section)
    return next(field.type for field in msgspec.structs.fields(of_section) if field.name == key)


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
    key_type = _type_of(section, key)
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
    names = [f"PIMA_{job.upper()}__DATABASE_URL"] if job in ("score", "retrain", "pull") else []
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
