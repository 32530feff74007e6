"""What the newest figures alarm of, for whoever tells people."""

from dataclasses import dataclass

from sqlalchemy import Connection

from pima.core.watched import State
from pima.store.monitoring import newest_figures

REALISED = "realised_"
"""What the figures of predictions that came true begin with."""


@dataclass(frozen=True, slots=True)
class MonitoringAlert:
    """A figure that is too far from its reference."""

    model_version: int
    feature: str
    """Empty where the figure is about all rows."""
    figure: str
    value: float
    reference: float
    limit: float
    """How far from the reference the value may lie."""


def monitoring_alerts(connection: Connection) -> tuple[MonitoringAlert, ...]:
    """What the last nights alarm of: three of five were beyond the limit, or a week brought too few rows."""
    return tuple(each for each in _alerts(connection) if not each.figure.startswith(REALISED))


def realised_below_limit(connection: Connection) -> tuple[MonitoringAlert, ...]:
    """What came true less often, or did less good, than it may, by the last retraining's figures."""
    return tuple(each for each in _alerts(connection) if each.figure.startswith(REALISED))


def _alerts(connection: Connection) -> list[MonitoringAlert]:
    return [
        MonitoringAlert(
            each.model_version, each.feature, each.figure, each.value or 0.0, each.reference or 0.0, each.allowed or 0.0
        )
        for each in newest_figures(connection)
        if each.state == State.ALERT
    ]
