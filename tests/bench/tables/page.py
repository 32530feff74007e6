"""docs/measured/tables.md: the template beside this file, filled in from one run's results."""

from dataclasses import asdict
from pathlib import Path
from string import Template

from pima.model.recipes import FiveSeeds, recipe_for
from tests.bench.accuracy.provenance import Provenance
from tests.bench.accuracy.report import machine, table, targets_table
from tests.bench.tables.candidates import CANDIDATES, SHUFFLES, WIDE
from tests.bench.tables.standings import LEVEL, MEASURES, Standings, targets
from tests.bench.tables.trials import FOLDS

_TEMPLATE = Path(__file__).with_name("template.md")
_WORDS = {"error": "error", "auc": "AUC", "log_loss": "log loss", "brier": "Brier"}


def page(standings: Standings, provenance: Provenance) -> str:
    """The whole page."""
    below, firsts, furthest = targets(standings)
    return Template(_TEMPLATE.read_text()).substitute(
        machine(provenance) | _recipe(standings),
        below=below.found,
        firsts=firsts.found,
        furthest=furthest.found,
        sets_count=len(standings.sets),
        folds=FOLDS,
        last_shuffle=standings.shuffles - 1,
        wide=WIDE,
        slow=", ".join(
            f"{name} on {min(count, standings.shuffles)}" for name, count in SHUFFLES.items()
        ),
        sets=_sets(standings),
        log_losses=_log_losses(standings),
        ranks=_ranks(standings),
        targets=targets_table([below, firsts, furthest]),
        least=LEVEL,
        level=_level(standings),
        figures="\n\n".join(
            f"### {data.name}\n\n{_figures(standings, data.name)}" for data in standings.sets
        ),
    )


def _recipe(standings: Standings) -> dict[str, str]:
    recipe = recipe_for("five_seeds", standings.sets[0].declared)
    assert isinstance(recipe, FiveSeeds)
    return {name: str(number) for name, number in asdict(recipe).items()} | {
        "l2": f"{recipe.l2_times_rows:g}",
        "l2_choice": _either([f"{choice:g}" for choice in recipe.l2_choices]),
        "most_rows": f"{recipe.most_rows_to_choose:,}",
        "strengths": _either([f"{strength:g}" for strength in recipe.line_strengths]),
        "line_rows": f"{recipe.most_rows_of_line:,}",
        "least_scale": f"{recipe.least_scale:.2f}",
    }


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _sets(standings: Standings) -> str:
    header = ("", "rows", "outcome 1", "numbers", "categories", "values missing")
    rows = []
    for data in standings.sets:
        numbers = sum(feature.kind == "number" for feature in data.declared)
        missing = (data.rows.features != data.rows.features).mean()
        counts = (len(data.rows), data.rows.outcomes.sum(), numbers, len(data.declared) - numbers)
        rows.append((data.name, *map(str, counts), f"{missing:.0%}"))
    return table(header, rows)


def _log_losses(standings: Standings) -> str:
    names = [data.name for data in standings.sets]
    rows = [
        (who, *(f"{standings.log_loss(name, who):.4f}" for name in names)) for who in CANDIDATES
    ]
    return table(("", *names), rows)


def _ranks(standings: Standings) -> str:
    rows = [
        (who, *(f"{standings.mean_rank(who, measure):.2f}" for measure in MEASURES))
        for who in CANDIDATES
    ]
    return table(("", *_WORDS.values()), rows)


def _level(standings: Standings) -> str:
    found = standings.level().items()
    told = (f"{name} ({abs(by):.4f} {'ahead' if by < 0 else 'behind'})" for name, by in found)
    return ", ".join(told) or "none of the sets"


def _figures(standings: Standings, name: str) -> str:
    header = ("", *_WORDS.values(), "fit, s")
    rows = []
    for who in CANDIDATES:
        figures = standings.figures[name][who]
        measured = (f"{getattr(figures, measure):.4f}" for measure in MEASURES)
        rows.append((who, *measured, f"{standings.seconds(name, who):.2f}"))
    return table(header, rows)
