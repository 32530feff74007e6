"""The features' columns in statements."""

from collections.abc import Iterable


def listed(names: Iterable[str], of: str = "") -> str:
    """The columns with commas between them, of the table or alias that is named."""
    return ", ".join(column(name, of) for name in names)


def column(name: str, of: str = "") -> str:
    """One column. Quoted, since a declared name may be one of SQL's words; a declared name holds no quote."""
    return f'{of}."{name}"' if of else f'"{name}"'


def assigned(names: Iterable[str], source: str) -> str:
    """The assignments behind SET that take columns over from another row."""
    return ", ".join(f"{column(name)} = {column(name, source)}" for name in names)


def any_differs(names: Iterable[str], one: str, differs: str, other: str) -> str:
    """The condition that two rows differ in one of them at least; `differs` is the operator that knows NULL."""
    return " OR ".join(f"{column(name, one)} {differs} {column(name, other)}" for name in names)
