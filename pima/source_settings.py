"""Reading [[source]] from the settings, and the URL of a source, which is a secret, from the environment."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from pima.core.source import MappedColumn, Source, first_fault
from pima.errors import WrongConfiguration
from pima.core.wording import in_words

_PREFIX = "PIMA_SOURCE__"
_COLUMNS = "for each feature a column's name, or a table with column, factor, offset, words"


def sources_of(section: Any, path: Path) -> tuple[Source, ...]:
    """What the settings' file declares. Raises WrongConfiguration with the first key that is wrong."""
    try:
        sources = msgspec.convert(section, tuple[Source, ...])
    except msgspec.ValidationError as error:
        raise _wrong(path, str(error), section) from None
    if (found := first_fault(sources)) is not None:
        source, fault = found
        what = f"{path}: {_place(source.name)}{fault.key} {fault.what}"
        raise WrongConfiguration(what=what, expected=fault.expected)
    for source in sources:
        _require_time_zone(source, path)
    return sources


def _require_time_zone(source: Source, path: Path) -> None:
    try:
        ZoneInfo(source.time_zone)
    except (ValueError, LookupError, OSError):
        what = f"{path}: {_place(source.name)}time_zone is none that is known"
        raise WrongConfiguration(what=what, expected="an IANA time zone such as Europe/Berlin") from None


def _wrong(path: Path, error: str, section: Any) -> WrongConfiguration:
    """From msgspec's message the place, and the name of an unknown key; not what stood there."""
    at = re.search(r"at `\$\[(\d+)\]\.?(\w*)", error)
    if at is None:
        return WrongConfiguration(what=f"{path}: source can't be taken as it is", expected="[[source]] and keys in it")
    one = section[int(at[1])]
    place = _place(one.get("name") if isinstance(one, dict) else None)
    found = re.match(r"Object (missing required|contains unknown) field `(.*?)`", error)
    if found:
        fields = (MappedColumn if at[2] else Source).__struct_fields__
        does = "lacks" if found[1].startswith("missing") else "has no key"
        what = f"{path}: {place}{at[2] + ' ' if at[2] else ''}{does} {found[2]}"
        return WrongConfiguration(what=what, expected=f"keys of: {', '.join(fields)}")
    if not at[2]:
        return WrongConfiguration(what=f"{path}: {place}is not a table", expected="[[source]] and keys in it")
    what = f"{path}: {place}{at[2]} can't be taken as it is"
    return WrongConfiguration(what=what, expected=_COLUMNS if at[2] == "columns" else in_words(_type_of(at[2])))


def _type_of(key: str) -> Any:
    return next(field.type for field in msgspec.structs.fields(Source) if field.name == key)


def _place(name: object) -> str:
    """A source by its name, where it has one that can be shown."""
    return f"source {name}: " if isinstance(name, str) and name.isidentifier() else "a source: "


def url_variable(name: str) -> str:
    """The variable that holds a source's URL; with _FILE behind it, the file that does."""
    return f"{_PREFIX}{name.upper()}__URL"


def without_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a job that reads no source, and so is told no secret of one."""
    return {variable: value for variable, value in environ.items() if not variable.startswith(_PREFIX)}


def require_urls_of_sources(environ: Mapping[str, str], sources: tuple[Source, ...]) -> None:
    """Raises WrongConfiguration for a source's variable that is the URL of none of these: whoever set it meant one."""
    known = {url_variable(source.name) for source in sources}
    for variable in sorted(environ.keys() - without_urls(environ).keys()):
        if variable.removesuffix("_FILE") not in known:
            what = f"the variable {variable} is the URL of no source"
            raise WrongConfiguration(what=what, expected=_of_a_source(variable, known))


def _of_a_source(variable: str, known: set[str]) -> str:
    named = re.fullmatch(rf"{_PREFIX}([A-Z][A-Z0-9_]*?)__URL(_FILE)?", variable)
    declared = f'that it is unset, or a [[source]] with name = "{named[1].lower()}" in the settings' if named else ""
    others = f"one of: {', '.join(sorted(known))}" if known else ""
    return "; or ".join(filter(None, (declared, others))) or "that it is unset: the settings have no [[source]]"
