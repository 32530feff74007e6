"""From a table to declared rows without anybody's judgement: its declaration is the draft of
`python -m jobs.suggest` as it comes."""

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benches.look.unseen import Unseen
from benches.tables.data_sets import DataSet, Rows
from pima.core.declared.features import Feature, Features
from pima.core.declared.source import MappedColumn
from pima.core.rows.cells import measured
from pima.core.rows.validation import validate
from pima.extras.suggest.draft import draft_of
from pima.extras.suggest.draft_text import as_toml
from pima.extras.suggest.tables import table_of
from pima.intake.whole_tables import table_of_file
from pima.settings.reading import declaration_of

NOISE = 60


@dataclass(frozen=True, slots=True)
class Drafted:
    """A table that is ready to be fitted on."""

    data: DataSet
    all_rows: int
    censored: int
    """Rows whose outcome within the horizon is not known."""
    rejected: int
    """Rows outside the draft's ranges or codes."""


@cache
def drafted(asked: Unseen) -> Drafted:
    """Read a table, draft its declaration, and keep the rows that the declaration takes."""
    table = asked.read()
    known = table[table["outcome"].notna()].drop(columns=list(asked.late))
    features, read = _suggested(known.convert_dtypes())
    columns = [
        measured(each, MappedColumn(each.name), read[each.name]).to_judge for each in features
    ]
    found = validate(columns, features)
    outcomes = known["outcome"].to_numpy()[found.accepted].astype(np.int8)
    data = DataSet(asked.name, features, Rows(found.features, outcomes))
    return Drafted(data, len(table), len(table) - len(known), len(found.rejected))


def with_noise(data: DataSet) -> DataSet:
    """The same rows with 60 columns of numbers that mean nothing."""
    drawn = np.random.default_rng(NOISE).standard_normal((len(data.rows), NOISE))
    nothing = tuple(Feature(f"noise_{n}") for n in range(NOISE))
    features = np.concatenate([data.rows.features, drawn.astype(np.float32)], axis=1)
    rows = replace(data.rows, features=features)
    return DataSet(f"{data.name} + {NOISE}", (*data.declared, *nothing), rows)


def _suggested(table: pd.DataFrame) -> tuple[Features, dict[str, pd.Series]]:
    """The features of the draft, and the columns as a file of them is read."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        table.to_csv(path, index=False)
        with table_of_file(path) as opened:
            blocks = list(opened.blocks)
    draft = draft_of(table_of(path.name, None, opened.names, blocks), "outcome")
    assert not isinstance(draft, str), draft
    said = tomllib.loads(as_toml(draft))
    declaration = declaration_of({key: said[key] for key in ("outcome", "feature")}, path)
    columns = zip(*(columns for columns, _ in blocks), strict=True)
    read = [pd.Series(list(chain.from_iterable(parts)), dtype=object) for parts in columns]
    return declaration.features, dict(zip(opened.names or (), read, strict=True))
