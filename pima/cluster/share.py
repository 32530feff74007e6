"""What a child of a shared work is told: some numbers and hashes, as one text of its command line."""

from dataclasses import fields
from typing import Self

from msgspec import ValidationError, convert

from pima.errors import WrongUsage


class Share:
    """The base of a dataclass, whose fields are what stands in the text."""

    __slots__ = ()

    def __str__(self) -> str:
        return ":".join(str(getattr(self, each.name)) for each in fields(self))  # type: ignore[arg-type]

    @classmethod
    def read(cls, text: str) -> Self:
        """As `str` gives it. Raises WrongUsage."""
        names = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        try:
            return convert(dict(zip(names, text.split(":"), strict=True)), cls, strict=False)
        except (ValueError, ValidationError):
            raise WrongUsage(what="--share is for the children of --processes; leave it out") from None
