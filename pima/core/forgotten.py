"""Who was forgotten, as nobody can read it: an HMAC of what a row or a person was called, by which it is known again.

The salt is the installation's own and drawn at random, so that a list of all keys that there may be tells nothing to
whoever does not have the salt.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FORGOTTEN = "forgotten"
"""The code of a row that is refused for it."""


def name_of_id(patient_id: int) -> str:
    """What a row is called by its id. No two kinds of names can meet."""
    return f"id {patient_id}"


def name_of_key(source: str, source_key: str) -> str:
    """What a row is called by its key; a source's name holds no space."""
    return f"source {source} {source_key}"


def name_of_person(person_key: str) -> str:
    """What a person is called."""
    return f"person {person_key}"


def mark_of(name: str, salt: str) -> str:
    """What is kept of a name: 64 hexadecimal digits."""
    return hmac.digest(salt.encode(), name.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """All who were forgotten."""

    salt: str
    marks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is anybody, so that names need be looked at."""
        return bool(self.marks)

    def has(self, name: str) -> bool:
        """Whether this is the name of one of them."""
        return mark_of(name, self.salt) in self.marks

    def among(self, source: str, keys: Sequence[str], persons: Iterable[str | None]) -> list[bool]:
        """Of rows of a source which are theirs, by key or by person."""
        if not self:
            return [False] * len(keys)
        return [
            self.has(name_of_key(source, key)) or (person is not None and self.has(name_of_person(person)))
            for key, person in zip(keys, persons, strict=True)
        ]
