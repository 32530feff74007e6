"""Why one row has its prediction: the row as it is now, by the champion of today."""

from sqlalchemy import Engine

from pima.core.identifiers import ById, ByKey
from pima.errors import NoSuchRow, RowCannotBeScored
from pima.explaining.explainer import load_explainer
from pima.explaining.explanation import Explanation
from pima.store.engine import reading
from pima.store.rows_as_read import row_by_id, row_by_key


def explain_row(engine: Engine, called: ById | ByKey) -> Explanation:
    """Raises NoSuchRow, RowCannotBeScored, and what `load_explainer` raises."""
    explainer = load_explainer(engine)
    with reading(engine) as connection:
        if isinstance(called, ById):
            rows = row_by_id(connection, called.patient_id, explainer.names)
        else:
            rows = row_by_key(connection, called.source, called.source_key, explainer.names)
    if len(rows.ids) == 0:
        raise NoSuchRow(called=called)
    found = explainer.validated(rows.measurements)
    if len(found.accepted) == 0:
        raise RowCannotBeScored(patient_id=int(rows.ids[0]), field=found.fields[0], reason=found.reasons[0])
    return explainer.explain(rows, found, 0)
