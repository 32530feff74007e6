"""Contests for the gate, in which nothing speaks for or against anybody but the numbers."""

import numpy as np

from pima.core.gate import Contest


def contest(
    outcomes: np.ndarray, challenger: np.ndarray, champion: np.ndarray | None, threshold: float, /, **changes: object
) -> Contest:
    """Both sides are judged by one threshold, on all rows, unless the changes say otherwise."""
    whole: dict[str, object] = {
        "outcomes": outcomes,
        "challenger": challenger,
        "champion": champion,
        "in_window": np.ones(len(outcomes), dtype=bool),
        "challenger_threshold": threshold,
        "champion_threshold": threshold,
        "champion_unloadable": False,
        "parity_passed": True,
        "pinned": False,
        "rolled_back_before": False,
    }
    return Contest(**(whole | changes))  # type: ignore[arg-type]
