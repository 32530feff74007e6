"""Reading a declaration: from the settings, or from a file that they name."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pima.core.features import first_fault
from pima.core.features import Declaration, Feature, Outcome
from pima.errors import WrongConfiguration
from pima.core.wording import in_words

SHIPPED_FILE = Path(__file__).parent / "data" / "features.toml"


def read_declaration(path: Path) -> Declaration:
    """A TOML file that holds [outcome] and [[feature]] and nothing else. Raises WrongConfiguration with the key."""
    return declaration_of(read_toml(path), path)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises WrongConfiguration."""
    try:
        # Some editors put a byte order mark before it.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        what = f"the file {path} can't be read ({error.strerror})"
        raise WrongConfiguration(what=what, expected="a readable TOML file; name it with --config PATH") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongConfiguration(what=f"{path} is not TOML", expected=f"valid TOML ({error})") from None


def declaration_of(sections: Mapping[str, Any], path: Path) -> Declaration:
    """What a file's sections declare. Raises WrongConfiguration with the first key that is wrong."""
    for section in sections:
        if section not in ("outcome", "feature"):
            what = f"{path}: there is no section {section}"
            raise WrongConfiguration(what=what, expected="[outcome] and [[feature]]")
    try:
        declaration = msgspec.convert(dict(sections), Declaration, str_keys=True)
    except msgspec.ValidationError as error:
        raise _wrong(path, str(error), sections) from None
    fault = first_fault(declaration)
    if fault is not None:
        raise WrongConfiguration(what=f"{path}: {fault.key} {fault.what}", expected=fault.expected)
    return declaration


def _wrong(path: Path, error: str, sections: Mapping[str, Any]) -> WrongConfiguration:
    """From msgspec's message the place, and the name of an unknown key; not what stood there."""
    # A code that is none is said to stand "at `key` in" its table.
    at = re.search(r"(?:at|in) `\$\.(outcome|feature)(?:\[(\d+)\])?\.?(\w*)", error)
    if at is None:
        lacking = re.match(r"Object (?:missing required|contains unknown) field `(\w+)`", error)
        what = f"{path}: its sections can't be taken as they are" + (f" ({lacking[1]})" if lacking else "")
        return WrongConfiguration(what=what, expected="[outcome] and one [[feature]] or more")
    section, position, key = at.groups()
    kind = Outcome if section == "outcome" else Feature
    place = section if position is None else _place(sections, int(position))
    found = re.match(r"Object (missing required|contains unknown) field `(.*?)`", error)
    if found:
        fields = ", ".join(kind.__struct_fields__)
        lacks = f"lacks {found[2]}" if found[1].startswith("missing") else f"has no key {found[2]}"
        return WrongConfiguration(what=f"{path}: {place} {lacks}", expected=f"keys of: {fields}")
    if not key:
        return WrongConfiguration(what=f"{path}: {place} is not a table", expected=f"[[{section}]] and keys in it")
    return WrongConfiguration(what=f"{path}: {place}.{key} can't be taken as it is", expected=_expected(kind, key))


def _place(sections: Mapping[str, Any], position: int) -> str:
    """A feature by its number, and by its name where it has one."""
    feature = sections["feature"][position]
    name = feature.get("name") if isinstance(feature, dict) else None
    return f"feature {position + 1}" + (f" ({name})" if isinstance(name, str) and name.isidentifier() else "")


def _expected(kind: type[msgspec.Struct], key: str) -> str:
    return in_words(next(field.type for field in msgspec.structs.fields(kind) if field.name == key))


SHIPPED = read_declaration(SHIPPED_FILE)
"""The eight measurements of the Pima set: what is scored where the settings declare nothing."""
