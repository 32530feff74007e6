"""What a person calls a row by, in a command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ById:
    """A row by what it is called in `patients`."""

    patient_id: int

    def __str__(self) -> str:
        return f"the id {self.patient_id}"


@dataclass(frozen=True, slots=True)
class ByKey:
    """A row by what it is called in its source; that may be a name, so no text shows it."""

    source: str
    source_key: str

    def __str__(self) -> str:
        return f"that key from the source {self.source}"


@dataclass(frozen=True, slots=True)
class ByPerson:
    """All rows of a person, by its key: as it was written, and then as sources may spell it, of which the first that is
    known counts. No text shows it."""

    spellings: tuple[str, ...]

    def __str__(self) -> str:
        return "a person of that key"
