"""The data sets: each a declaration and rows, read as the service reads a clinic's own; see
data/PROVENANCE.md."""

import csv
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from sklearn.datasets import load_breast_cancer

from benches.accuracy.shipped import shipped_rows
from pima.core.arrays import Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.declared.features import Features
from pima.core.rows.validation import by_feature, validate
from pima.settings.reading import SHIPPED, read_declaration

FOLDER = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows."""

    features: Float32Array
    """(n, features), in their own units, categories as codes, NaN where missing."""
    outcomes: Int8Array
    """(n,), 0 or 1."""

    def __len__(self) -> int:
        return len(self.outcomes)

    def take(self, which: Int64Array) -> "Rows":
        """Some of the rows."""
        return Rows(self.features[which], self.outcomes[which])


@dataclass(frozen=True, slots=True)
class DataSet:
    """One of the benchmark's."""

    name: str
    declared: Features
    """No power and no scale among them: the fit is on its own."""
    rows: Rows


def data_sets() -> list[DataSet]:
    """All of them, in the order of the tables."""
    with_a_file = [
        _from_files(name)
        for name in ("heart", "mammographic", "haberman", "wisconsin", "hypothyroid")
    ]
    return [_pima(), *with_a_file, _breast_cancer()]


def one_hot(data: DataSet) -> Float64Array:
    """(n, inputs) for the peers: numbers as they are, NaN where missing; categories a column a
    code, of a missing one all 0."""
    columns = []
    for feature, column in zip(data.declared, data.rows.features.T.astype(np.float64), strict=True):
        columns += (
            [column == code for code in sorted(feature.codes)]
            if feature.kind == "category"
            else [column]
        )
    return np.stack(columns, axis=1).astype(np.float64)


def _pima() -> DataSet:
    declared = tuple(
        msgspec.structs.replace(feature, power=None, scale=None) for feature in SHIPPED.features
    )
    rows = shipped_rows()
    return DataSet("pima", declared, Rows(rows.features, rows.outcomes))


def _from_files(name: str) -> DataSet:
    declared = read_declaration(FOLDER / f"{name}.toml").features
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == [*(feature.name for feature in declared), "outcome"]
    table = np.array([[float(cell or "nan") for cell in line] for line in lines])
    return _as_data_set(name, declared, table[:, :-1], table[:, -1])


def _breast_cancer() -> DataSet:
    name = "breast_cancer"
    bundle = load_breast_cancer()
    # There 0 is malignant, which is what is looked for.
    return _as_data_set(
        name, read_declaration(FOLDER / f"{name}.toml").features, bundle.data, 1 - bundle.target
    )


def _as_data_set(
    name: str, declared: Features, values: Float64Array, outcomes: Float64Array
) -> DataSet:
    found = validate(by_feature(values), declared)
    assert not len(found.rejected), f"{name}: {set(zip(found.fields, found.reasons, strict=True))}"
    return DataSet(name, declared, Rows(found.features, outcomes.astype(np.int8)))
