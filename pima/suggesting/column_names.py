"""What the name of a column tells of it, and the plain name of the feature that is made of it."""

import re
import unicodedata
from collections.abc import Collection, Iterator

from pima.core.features import LONGEST_NAME, RESERVED
from pima.core.features import folded_name
from pima.suggesting.cells import as_number, is_date

_PERSON = ("patient", "person", "subject", "mrn", "pid", "member", "insured")
_THING = (
    "id",
    "no",
    "nr",
    "number",
    "key",
    "uuid",
    "guid",
    "code",
    "zip",
    "plz",
    "postcode",
    "phone",
    "tel",
    "ssn",
    "mrn",
)
_ADDRESS = re.compile(r"zip\d*|zipcode|plz|post(al|leitzahl|code|alcode)|phone|telephone|telefon|tel|fax")
_NAME = re.compile(r"(sur|fore|first|last|full|family|vor|nach)?names?|e?mail|address|adresse|street|strasse")
_PERSONS = (["patient"], ["person"], ["subject"])
_UNDIVIDED = re.compile(r"(patient|person|subject|member|visit|case|encounter|episode|record|row|sample)(id|no|nr|key)")
_PART_OF_A_KEY = ("site", "clinic", "ward", "visit", "case", "encounter", "episode", "sample", "seq", "sequence")
_OUTCOME = (
    "outcome",
    "class",
    "label",
    "target",
    "diabet",
    "diagnos",
    "readmi",
    "died",
    "death",
    "dead",
    "deceas",
    "mortal",
    "event",
    "relaps",
    "recur",
    "surviv",
    "complic",
    "failure",
    "disease",
    "positive",
    "result",
    "respon",
)
_CHANGED = ("updat", "modif", "chang", "mtime")
_KNOWN_SINCE = ("diagnos", "outcome", "result", "event", "death", "died")


def parts_of(name: str) -> list[str]:
    """Its words in lower case: patientNo and patient_no are both patient and no."""
    divided = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [part for part in re.split(r"[\W_]+", divided.casefold()) if part]


def names_a_person(name: str) -> bool:
    """Whether the column may say which person a row is about."""
    parts = parts_of(name)
    return names_things(name) and any(part.startswith(_PERSON) for part in parts)


def names_things(name: str) -> bool:
    """Whether what stands in the column names things and measures none."""
    parts = parts_of(name)
    return bool(parts) and (parts[-1] in _THING or parts in _PERSONS or _UNDIVIDED.fullmatch(parts[-1]) is not None)


def names_an_address(name: str) -> bool:
    """Whether the digits in the column say where somebody lives or how to call them, and measure nothing."""
    return any(_ADDRESS.fullmatch(part) for part in parts_of(name))


def is_no_key(name: str) -> bool:
    """Whether what stands in the column is shared, or changes with a marriage or a move, even if all rows differ."""
    return names_an_address(name) or any(_NAME.fullmatch(part) for part in parts_of(name))


def may_be_in_a_key(name: str) -> bool:
    """Whether the column may tell rows apart, alone or with others."""
    return names_things(name) or names_a_person(name) or any(part in _PART_OF_A_KEY for part in parts_of(name))


def names_an_outcome(name: str) -> bool:
    """Whether the column may be what is predicted."""
    return any(part.startswith(_OUTCOME) for part in parts_of(name))


def names_a_change(name: str) -> bool:
    """Whether a time in the column may be that of the row's last change."""
    return any(part.startswith(_CHANGED) for part in parts_of(name))


def names_an_outcomes_time(name: str) -> bool:
    """Whether a time in the column may be that at which the outcome became known."""
    return any(part.startswith(_KNOWN_SINCE) for part in parts_of(name))


def is_a_value(name: str) -> bool:
    """Whether it is none, but what stands in a row: a number, a date, a UUID."""
    text = name.strip()
    is_uuid = re.fullmatch(r"\{?[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\}?", text) is not None
    return as_number(text) is not None or is_date(text) or is_uuid


def plain_names(columns: Collection[str], taken: Collection[str] = ()) -> dict[str, str]:
    """For each column the plain name of a feature, each another one, also to files, which may write them otherwise."""
    theirs = {folded_name(column) for column in columns}
    ours = {folded_name(name) for name in (*RESERVED, *taken)}
    found: dict[str, str] = {}
    for column in columns:
        # A name that another column has already is that one's.
        others = ours | (theirs - {folded_name(column)})
        found[column] = next(name for name in _candidates(column) if folded_name(name) not in others)
        ours.add(folded_name(found[column]))
    return found


def _candidates(column: str) -> Iterator[str]:
    ascii_text = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "_", ascii_text.lower()).strip("_")
    name = plain if plain[:1].isalpha() else f"column_{plain}".strip("_")
    name = name[: LONGEST_NAME - 6].strip("_")
    yield name
    for n in range(2, 100_000):
        yield f"{name}_{n}"
