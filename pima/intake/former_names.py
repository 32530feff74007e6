"""A source that was given another name in the settings: under that one each of its rows would come a second time."""

from collections.abc import Collection, Sequence

from sqlalchemy import Engine

from pima.errors import SourceRefused
from pima.store.engine import reading
from pima.store.source_pulls import pulled_names
from pima.store.source_rows import OurColumns, rows_of

_MOST_SAMPLED = 4_000


class KeySample:
    """Some thousand of the keys that pass, all of them where they are fewer, spread over their order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._step = 1

    def add(self, keys: Sequence[str]) -> None:
        """With the keys of a block more."""
        self.keys += keys[:: self._step]
        while len(self.keys) > _MOST_SAMPLED:
            self.keys = self.keys[::2]
            self._step *= 2


def require_no_other_name(engine: Engine, name: str, declared: Collection[str], keys: Sequence[str]) -> None:
    """Raises SourceRefused where most keys of a source that we have no rows of are those of one that the settings no
    longer declare."""
    with reading(engine) as connection:
        for former in sorted(set(pulled_names(connection)) - {name, *declared}):
            known = len(rows_of(connection, OurColumns(former, (), has_moment=False), keys))
            if known > len(keys) / 2:
                raise SourceRefused(source=name, what=_told(former, known, len(keys)))


def _told(former: str, known: int, asked: int) -> str:
    return (
        f"we have no rows of it yet, and {known:,} of {asked:,} of its keys are those of rows of the source {former}, "
        f"which the settings no longer declare. If it was renamed, give it its former name back ({former}): a source's "
        f"name is part of what a row is called, and under another one each row would come a second time. If it is "
        f"really another source, declare {former}, too"
    )
