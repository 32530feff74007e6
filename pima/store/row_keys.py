"""Whose row it is, in the triggers' words: what they keep in `row_keys` when a key comes."""


def has_key(row: str) -> str:
    """The condition that a row needs an entry: the side of one without keys goes by its id, for ever."""
    return f"({row}.source_key IS NOT NULL OR {row}.person_key IS NOT NULL)"


def key_arrives(new: str, old: str) -> str:
    """The condition that an update brings a key where there was none."""
    return " OR ".join(f"({old}.{key} IS NULL AND {new}.{key} IS NOT NULL)" for key in ("source_key", "person_key"))


def side_key(row: str) -> str:
    """By what a row's side of the holdout is decided when it first comes.

    No two kinds can meet: digits begin the one, a source's name holds no space.
    """
    return (
        f"CASE WHEN {row}.person_key IS NOT NULL THEN 'person ' || {row}.person_key"
        f" WHEN {row}.source_key IS NOT NULL THEN 'source ' || {row}.source || ' ' || {row}.source_key"
        f" ELSE CAST({row}.id AS TEXT) END"
    )


ID_IS_FIXED = "patients.id is never changed: delete the row and insert another"
KEY_IS_FIXED = "patients.source_key is never changed: delete the row and insert another"
OTHER_KEY = "this id had another source key, which row_keys has: insert the row under an id of its own"
OTHER_ID = "this source key had another id, which row_keys has: insert the row under that"
