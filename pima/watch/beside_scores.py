"""The service, or one version, beside the scores in use today, over settled outcomes: both as they
stood when the row was predicted, before its outcome came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from pima.core.arrays import BoolArray, Float64Array, Int64Array
from pima.core.declared.present_score import PresentScore
from pima.core.nights.kinds import REALISED, Watched
from pima.core.outcomes.realised import WEEKS_ON_TOP
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.verdicts.contest import Contest, Role, on_all_rows
from pima.core.verdicts.evidence import Evidence, evidence
from pima.core.verdicts.pairs import PairEvidence, pairs_of, sentence_of
from pima.core.verdicts.score_scale import ScoreScale, is_known, without_few
from pima.logs import counted
from pima.store.models.beside_verdicts import scale_beside
from pima.store.models.registry import newest_declaration
from pima.store.rows.settled import SettledOutcome, columns_of, persons_beside, scores_beside


@dataclass(frozen=True, slots=True)
class BesideScore:
    """The service, or one version, beside one score, on the same rows."""

    score: PresentScore
    outcomes: int
    """All settled outcomes of these predictions, of which the pair has those with the score."""
    pair: PairEvidence
    contest: Contest
    """The service or the version in the role of the champion, and the score."""

    @property
    def evidence(self) -> Evidence:
        """The curves of both, computed each time: only a report draws them."""
        decide = tuple(replace(each, decides=True) for each in self.contest.contestants)
        return evidence(replace(self.contest, contestants=decide))

    def __str__(self) -> str:
        return sentence_of(self.pair, "the service", self._over)

    @property
    def _over(self) -> str:
        """The rows of the pair, and why they are not all."""
        outcomes = f"the newest {counted(self.outcomes, 'settled outcome')}"
        outcomes += f" of the last {WEEKS_ON_TOP} weeks"
        unknown = self.outcomes - self.pair.rows
        if unknown == 0:
            return outcomes
        # Of fewer it is not told apart how many these are: others are left out with them.
        few = "at most " if unknown == FEWEST_ROWS else ""
        return (
            f"{self.pair.rows:,} of {outcomes} (of {few}{unknown:,} the score was not known then)"
        )

    def watched(self) -> Iterator[Watched]:
        """Make rows of `monitoring`: what the version gains on the score."""
        rows = self.pair.rows
        for name in ("auroc_gain", "log_loss_gain", "net_benefit_gain"):
            gain = getattr(self.pair, name)
            if gain is not None:
                figure = f"{REALISED}{name}"
                yield Watched(
                    self.score.name, figure, gain.value, rows, low=gain.low, high=gain.high
                )


def beside_scores(connection: Connection, found: Sequence[SettledOutcome]) -> Iterator[BesideScore]:
    """Compare predictions with each declared score of which enough is known, by their settled
    outcomes, newest first."""
    for score in newest_declaration(connection).present_scores:
        said = np.array(scores_beside(connection, found, score.name), dtype=np.float64)
        # Newest first: what is left out in order that few can't be told apart is the newest.
        known = without_few(is_known(score, said), np.ones(len(said), dtype=bool))
        if known.sum() < FEWEST_ROWS:
            continue
        scale = scale_beside(connection, score, {each.model_version for each in found})
        if scale is not None:
            persons = persons_beside(connection, found)
            yield _compared(score, scale, said, known, found, persons)


def _compared(
    score: PresentScore,
    scale: ScoreScale,
    said: Float64Array,
    known: BoolArray,
    found: Sequence[SettledOutcome],
    persons: Int64Array,
) -> BesideScore:
    """Compare predictions with the score on the rows `known`, (n,); `said` are the score's values,
    and `persons` those of the rows, (n,)."""
    probabilities, _, outcomes = columns_of(found)
    ours = on_all_rows("the service", Role.CHAMPION, found[0].threshold, probabilities)
    contest = Contest(
        outcomes=outcomes,
        groups=pd.DataFrame(index=range(len(said))),
        in_window=ours.scorable,
        persons=persons,
        contestants=(ours, scale.stands_beside(ours, score, said, known)),
    )
    (pair,) = pairs_of(contest, [Role.CHAMPION])
    return BesideScore(score, len(found), pair, contest)
