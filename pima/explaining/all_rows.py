"""Why all rows have their predictions, into a Parquet file: the rows whose outcome is not known yet, as they are now,
by the champion of today. So also those that wait, and those that an earlier champion has predicted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

from pima.core.identifiers import BELOW_ALL_IDS
from pima.explaining.explainer import Explainer, load_explainer
from pima.explaining.explanation import TOLD, Explanation
from pima.logs import get_logger
from pima.process.stopping import StopRequest
from pima.process.whole_file import whole_file
from pima.store.engine import reading
from pima.store.rows_as_read import unlabelled_rows

BLOCK_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class ExplainedRows:
    """What became of them."""

    path: str
    explained: int
    rejected: int
    """Rows that can't be scored as they are; they stand in no line."""
    model_version: int
    background_rows: int
    exact: bool


def explain_all(engine: Engine, path: Path, stop: StopRequest) -> ExplainedRows:
    """Write a line for each row that can be scored, by id. Raises WrongUsage, Interrupted (no file is left), and
    what `load_explainer` raises."""
    explainer = load_explainer(engine)
    explained = rejected = 0
    with whole_file(path, "--all") as file, pq.ParquetWriter(file, _schema(explainer), compression="zstd") as writer:
        for found, refused in _blocks(engine, explainer, stop):
            writer.write_table(_table(found, explainer))
            explained, rejected = explained + len(found), rejected + refused
            get_logger().info("rows explained", explained=explained, rejected=rejected)
    background = len(explainer.background)
    return ExplainedRows(str(path), explained, rejected, explainer.version, background, explainer.is_exact)


def _blocks(engine: Engine, explainer: Explainer, stop: StopRequest) -> Iterator[tuple[list[Explanation], int]]:
    """Each block's explanations, and how many of its rows can't be scored."""
    after = BELOW_ALL_IDS
    while True:
        # A transaction each: explaining takes longer than anybody should hold one open.
        with reading(engine) as connection:
            rows = unlabelled_rows(connection, explainer.names, after, BLOCK_ROWS)
        if len(rows.ids) == 0:
            return
        after = int(rows.ids[-1])
        accepted = explainer.validated(rows.measurements)
        found = []
        for number in range(len(accepted.accepted)):
            stop.check()
            found.append(explainer.explain(rows, accepted, number))
        yield found, len(accepted.rejected)


def _schema(explainer: Explainer) -> pa.Schema:
    columns = [
        ("patient_id", pa.int64()),
        ("model_version", pa.int64()),
        ("probability", pa.float64()),
        ("predicted_class", pa.int8()),
        ("mean_probability", pa.float64()),
        ("because", pa.string()),
        *((f"moved_by_{name}", pa.float64()) for name in explainer.names),
    ]
    if not explainer.is_exact:
        columns += [(f"error_of_{name}", pa.float64()) for name in explainer.names]
    return pa.schema(columns)


def _table(found: list[Explanation], explainer: Explainer) -> pa.Table:
    return pa.Table.from_pylist([_line(each) for each in found], schema=_schema(explainer))


def _line(found: Explanation) -> dict[str, Any]:
    told = ("patient_id", "model_version", "probability", "predicted_class", "mean_probability")
    moved = found.contributions
    return {
        **{name: getattr(found, name) for name in told},
        "because": "; ".join(each.words for each in moved[:TOLD]),
        **{f"moved_by_{each.feature}": each.contribution for each in moved},
        **{f"error_of_{each.feature}": each.error for each in moved},
    }
