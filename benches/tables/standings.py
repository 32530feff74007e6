"""From answers to figures, ranks and targets. Pure."""

from statistics import mean

import numpy as np

from benches.accuracy.judgement import Figures, judge
from benches.accuracy.peers import LOGISTIC_REGRESSION
from benches.accuracy.results import Target
from benches.tables.candidates import CANDIDATES, OURS
from benches.tables.data_sets import DataSet
from benches.tables.trials import Answer

MEASURES = {"error": 1, "auc": -1, "log_loss": 1, "brier": 1}
"""1 where less is better."""
NEAR = 0.01
LEVEL = 0.005
"""In log loss: on a few hundred rows a smaller difference is none."""
MOST_FIRSTS = 5


class Standings:
    """Everyone's figures on every data set."""

    def __init__(self, sets: list[DataSet], shuffles: int, answers: list[Answer]) -> None:
        self.sets = sets
        self.shuffles = shuffles
        self._answers = answers
        self.figures: dict[str, dict[str, Figures]] = {
            data.name: {
                name: judge(
                    np.array([each.probabilities for each in self._of(data.name, name)]),
                    data.rows.outcomes,
                )
                for name in CANDIDATES
            }
            for data in sets
        }

    def seconds(self, data: str, candidate: str) -> float:
        """A fit and its answers, on average."""
        return mean(each.seconds for each in self._of(data, candidate))

    def log_loss(self, data: str, candidate: str) -> float:
        """The measure that the targets are about."""
        return self.figures[data][candidate].log_loss

    def mean_rank(self, candidate: str, measure: str) -> float:
        """Over the data sets, 1 being the best on all of them; equals share the better rank."""
        sign = MEASURES[measure]
        ranks = []
        for figures in self.figures.values():
            mine = sign * getattr(figures[candidate], measure)
            ranks.append(
                1 + sum(sign * getattr(other, measure) < mine for other in figures.values())
            )
        return mean(ranks)

    def behind(self, data: str) -> float:
        """Our log loss less that of the best other; below 0 we are the best."""
        return self.log_loss(data, OURS) - min(
            self.log_loss(data, name) for name in CANDIDATES if name != OURS
        )

    def level(self) -> dict[str, float]:
        """By how much we are behind, or below 0 ahead, where that is too little to be a
        difference."""
        found = {data.name: self.behind(data.name) for data in self.sets}
        return {name: behind for name, behind in found.items() if abs(behind) < LEVEL}

    def _of(self, data: str, candidate: str) -> list[Answer]:
        return [
            each
            for each in self._answers
            if (each.trial.data, each.trial.candidate) == (data, candidate)
        ]


def targets(standings: Standings) -> list[Target]:
    """Each target, met or missed."""
    names = [data.name for data in standings.sets]
    below = [
        name
        for name in names
        if standings.log_loss(name, OURS) < standings.log_loss(name, LOGISTIC_REGRESSION)
    ]
    firsts = [name for name in names if standings.behind(name) < 0]
    clear = [name for name in firsts if name not in standings.level()]
    furthest = max(names, key=standings.behind)
    distance = max(0.0, standings.behind(furthest))
    return [
        Target(
            "log loss below logistic regression's",
            "on every set",
            f"on {len(below)} of {len(names)}",
            len(below) == len(names),
        ),
        Target(
            "lowest log loss of all",
            f"on {MOST_FIRSTS} or more",
            f"on {len(firsts)}, by {LEVEL} or more on {len(clear)}",
            len(firsts) >= MOST_FIRSTS,
        ),
        Target(
            "furthest above the lowest log loss",
            f"<= {NEAR}",
            f"{distance:.4f} ({furthest})" if distance else "0",
            distance <= NEAR,
        ),
    ]
