"""docs/measured/tables.md: the template beside this file, filled in from one run's results."""

from dataclasses import asdict
from pathlib import Path
from string import Template

from benches.accuracy.provenance import Provenance
from benches.accuracy.report import machine, table, targets_table
from benches.tables.candidates import CANDIDATES, SHUFFLES, WIDE
from benches.tables.standings import LEVEL, Standings, targets
from benches.tables.trials import FOLDS
from pima.model.recipes import FiveSeeds, recipe_for

_TEMPLATE = Path(__file__).with_name("template.md")


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
        log_losses=_figures(standings, "log_loss"),
        targets=targets_table([below, firsts, furthest]),
        least=LEVEL,
        level=_level(standings),
        errors=_figures(standings, "error"),
        aucs=_figures(standings, "auc"),
        briers=_figures(standings, "brier"),
        seconds=_seconds(standings),
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


def _level(standings: Standings) -> str:
    found = standings.level().items()
    told = (f"{name} ({abs(by):.4f} {'ahead' if by < 0 else 'behind'})" for name, by in found)
    return ", ".join(told) or "none of the sets"


def _figures(standings: Standings, measure: str) -> str:
    rows = []
    for who in CANDIDATES:
        figures = (getattr(of_set[who], measure) for of_set in standings.figures.values())
        told = (f"{figure:.4f}" for figure in figures)
        rows.append((who, *told, f"{standings.mean_rank(who, measure):.2f}"))
    return table(("", *standings.figures, "mean rank"), rows)


def _seconds(standings: Standings) -> str:
    names = standings.figures
    rows = [(who, *(f"{standings.seconds(name, who):.2f}" for name in names)) for who in CANDIDATES]
    return table(("", *names), rows)
