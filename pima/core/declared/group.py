"""Groups of people that no model sees: so it can be told whether it is right, and fair, in each."""

from collections.abc import Iterator

from msgspec import Struct


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """One declared division of people, such as by sex, language or site."""

    name: str
    """The column of `patients`, and in files."""
    label: str = ""
    """The name that people use; empty: as the column's."""
    codes: dict[int, str] = {}
    """Each code with its label."""
    bands: tuple[float, ...] = ()
    """Of a number in place of codes, its edges: 30 and 60 make under 30, 30 to under 60, and 60 and
    over."""
    also_called: tuple[str, ...] = ()
    """Other names that its column may have in files."""
    perhaps_called: tuple[str, ...] = ()
    """Names that mean it in some files and something else in others: only a hint in an error."""

    @property
    def called(self) -> str:
        """The name for people."""
        return self.label or self.name.replace("_", " ")

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """What is wrong beyond the codes or bands themselves: the key, what is wrong, what was
        expected."""
        if bool(self.codes) == bool(self.bands):
            what = "stand beside bands" if self.codes else "and bands are missing"
            yield "codes", what, "codes with their labels, or bands of a number"


Groups = tuple[Group, ...]
