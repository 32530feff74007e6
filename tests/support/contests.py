"""Contests for the gate, in which nothing speaks for or against anybody but the numbers."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd

from pima.core.verdicts.contest import Circumstances, Contest, Contestant, Role, on_all_rows


def contest(
    outcomes: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray | None = None,
    threshold: float = 0.5,
    groups: pd.DataFrame | None = None,
    **changes: Any,
) -> Contest:
    """Both sides are judged by one threshold, on all rows, unless the changes say otherwise;
    `groups` are subgroups by feature."""
    contestants = [contestant(Role.CHALLENGER, challenger, threshold)]
    if champion is not None:
        contestants.append(contestant(Role.CHAMPION, champion, threshold))
    everywhere = np.ones(len(outcomes), dtype=bool)
    divided = pd.DataFrame(index=range(len(outcomes))) if groups is None else groups
    alone = np.arange(len(outcomes))
    return changed(Contest(outcomes, divided, everywhere, tuple(contestants), alone), **changes)


def contestant(role: Role, probabilities: np.ndarray, threshold: float = 0.5) -> Contestant:
    """One who can be judged on all rows."""
    return on_all_rows(f"the {role}", role, threshold, probabilities)


def changed(
    contest: Contest, of_challenger: Any = None, of_champion: Any = None, **changes: Any
) -> Contest:
    """Another contest, with other fields of a contestant, of the contest or of its
    circumstances."""
    by_role = {Role.CHALLENGER: of_challenger or {}, Role.CHAMPION: of_champion or {}}
    contestants = (replace(each, **by_role.get(each.role, {})) for each in contest.contestants)
    of_circumstances = {each.name for each in fields(Circumstances)} & changes.keys()
    return replace(
        contest,
        contestants=tuple(contestants),
        circumstances=replace(
            contest.circumstances, **{name: changes.pop(name) for name in of_circumstances}
        ),
        **changes,
    )
