"""Whose row it is, in the triggers' words: what they keep in `row_keys` when a key comes."""

from pima.core.features import KEYS
from pima.store.database import Words


def has_key(row: str) -> str:
    """The condition that a row needs an entry: one without keys goes by its id, until it is deleted and comes again."""
    return f"({row}.source_key IS NOT NULL OR {row}.person_key IS NOT NULL)"


def says_whose(row: str) -> str:
    """The condition that a row has any of the three."""
    return f"coalesce({', '.join(f'{row}.{key}' for key in KEYS)}) IS NOT NULL"


def are_keys(row: str, words: Words) -> str:
    """The condition that what a row has of them is as it must be; NULL, too, where nothing speaks against it."""
    conditions = (words.source_is_name, words.source_key_in_range, words.person_key_in_range)
    return " AND ".join(f"({condition.format(f'{row}.')})" for condition in conditions)


def side_key(row: str, row_id: str = "id") -> str:
    """By what a row's side of the holdout is decided when it first comes; `row_id` is the column that has its id.

    No two kinds can meet: digits begin the one, a source's name holds no space.
    """
    return (
        f"CASE WHEN {row}.person_key IS NOT NULL THEN 'person ' || {row}.person_key"
        f" WHEN {row}.source_key IS NOT NULL THEN 'source ' || {row}.source || ' ' || {row}.source_key"
        f" ELSE CAST({row}.{row_id} AS TEXT) END"
    )


# As the row stands, not as the statement had it: a trigger of the clinic's may have changed it meanwhile.
_PERSON = "(SELECT p.person_key FROM patients p WHERE p.id = {0}.patient_id)"
PERSON_STAYS = f"coalesce({_PERSON}, row_keys.person_key)"
"""Of a row that is deleted and comes again, whose person nobody has taken back."""


def person_changes(words: Words) -> str:
    """Of an update: one that leaves the person alone tells nothing of a person whom the row came again without."""
    return f"CASE WHEN NEW.person_key {words.differs} OLD.person_key THEN {_PERSON} ELSE row_keys.person_key END"


def kept_again(new: str, person: str) -> str:
    """What is assigned in an entry that is there already; `person` is one of the two above."""
    keys = ", ".join(f"{key} = coalesce(row_keys.{key}, {new}.{key})" for key in ("source", "source_key"))
    return f"{keys}, person_key = {person.format(new)}"


NO_KEYS = (
    "source and source_key are both there or both NULL, a source is a lower-case letter, then lower-case letters,"
    " digits and underscores, 30 in all, and keys have 1 to 200 bytes"
)
ID_IS_FIXED = "patients.id is never changed: delete the row and insert another"
KEY_IS_FIXED = "patients.source_key is never changed: delete the row and insert another"
OTHER_KEY = "this id had another source key, which row_keys has: insert the row under an id of its own"
OTHER_ID = "this source key had another id, which row_keys has: insert the row under that"
