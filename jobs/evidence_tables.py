"""The evidence beside a verdict as tables with a person's precision; `--json` has all of it."""

from collections.abc import Iterator
from typing import Any

from pima.core.subgroups import FEW_ROWS, FEWEST_ROWS
from pima.core.wording import FIGURES, TABLED_THRESHOLDS
from rich.table import Table


def evidence_tables(evidence: dict[str, Any], challenger: int, champion: int | None) -> Iterator[Table | str]:
    """What a verdict's rows say of both versions, in all and by subgroup."""
    numbers = {"challenger": challenger, "champion": champion}
    models = [model for model in numbers if evidence[model] is not None]
    yield f"\nEvidence of its verdict: {evidence['rows']} rows, {evidence['positive']} with outcome 1; 95 % intervals"
    if not models:
        yield "none: its outputs are no finite numbers, and there was no champion"
        return
    yield _figures(evidence, {model: f"{model}, version {numbers[model]}" for model in models})
    yield "\nNet benefit, in cases found per 100 patients; treating none has 0"
    yield _net_benefit(evidence, models)
    if evidence["subgroups"]:
        yield "\nSubgroups: rows, those with outcome 1, area under ROC"
        yield _subgroups(evidence["subgroups"], models)
        yield f"* fewer than {FEW_ROWS} rows, which say little"
        yield f"- not shown: fewer than {FEWEST_ROWS} rows, or a group from which such a one could be worked out"


def _figures(evidence: dict[str, Any], heads: dict[str, str]) -> Table:
    table = Table("", *heads.values(), box=None)
    for name, label in FIGURES.items():
        table.add_row(label, *(_figure(evidence[model][name], 3) for model in heads))
    return table


def _figure(figure: dict[str, Any], digits: int) -> str:
    if figure["value"] is None:
        return f"none: {figure['reason']}"
    value = f"{figure['value']:z.{digits}f}"
    return value if figure["low"] is None else f"{value} ({figure['low']:z.{digits}f} to {figure['high']:z.{digits}f})"


def _net_benefit(evidence: dict[str, Any], models: list[str]) -> Table:
    table = Table("threshold", *models, "treating all", box=None)
    curves = [*(evidence[model]["net_benefit"] for model in models), evidence["treat_all"]]
    for n, threshold in enumerate(evidence["thresholds"]):
        if threshold in TABLED_THRESHOLDS:
            table.add_row(f"{100 * threshold:.0f} %", *(_point(curve, n) for curve in curves))
    return table


def _point(curve: dict[str, Any], n: int) -> str:
    value, low, high = (curve[part][n] for part in ("net_benefit", "low", "high"))
    told = f"{100 * value:z.1f}"
    return told if low is None else f"{told} ({100 * low:z.1f} to {100 * high:z.1f})"


def _subgroups(subgroups: list[dict[str, Any]], models: list[str]) -> Table:
    table = Table("", "rows", "outcome 1", *models, box=None)
    feature = ""
    for each in subgroups:
        if each["feature"] != feature:
            feature = each["feature"]
            table.add_row(feature)
        if each["rows"] is None:
            table.add_row(f"  {each['group']}", "-")
            continue
        counts = (f"{each['rows']}{'*' if each['few'] else ''}", str(each["positive"]))
        table.add_row(f"  {each['group']}", *counts, *(_figure(each[model]["auroc"], 2) for model in models))
    return table
