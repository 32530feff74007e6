"""The report as one page of HTML that needs nothing else: no script, no network, no file beside
it."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pima.core.declared.features import Feature
from pima.core.outcomes.realised import FEW_EVENTS, OF_THOSE, in_pairs, told_figures
from pima.core.rows import hindsight
from pima.core.statistics.disclosure import FEW_ROWS, FEWEST_ROWS
from pima.core.statistics.estimates import Estimate, in_words
from pima.core.statistics.performance import FIGURES, TABLED_THRESHOLDS
from pima.core.verdicts.evidence import ModelEvidence, shown_bounds
from pima.core.verdicts.verdict import gained
from pima.logs import counted
from pima.report import pictures
from pima.report.clinician import WORDS
from pima.report.contents import WEEKS_SHOWN, Contents, Exhibit, calibration, distribution
from pima.watch import acted_upon, by_group

_BEST = {"calibration_intercept": " (0 is best)", "calibration_slope": " (1 is best)"}


def render(contents: Contents) -> str:
    """Render the page; the same contents give the same page."""
    pages = _pages()
    # The style sheet is our own, and holds nothing of the data.
    style = Markup(pages.get_template("style.css").render())  # noqa: S704
    return pages.get_template("report.html").render(contents=contents, style=style)


@cache
def _pages() -> Environment:
    """The templates, each compiled when it is first needed."""
    loader = PackageLoader("pima.report", "template")
    pages = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "day": _day,
        "moment": _moment,
        "time": "{:%Y-%m-%d %H:%M}".format,
        "area": _area,
        "figure": in_words,
        "share": _share,
        "words": _words,
        "breakable": breakable,
        "several": counted,
        "values": values,
        "by_feature": lambda subgroups: groupby(subgroups, lambda one: one.feature),
        "thousands": "{:,}".format,
        "known": lambda figure: "" if figure.value is None else _area(figure),
        "gained": gained,
        "digits": _digits,
        "tenths": "{:z.1f}".format,
        "corrected": hindsight.corrections_in_words,
    }
    pages.globals |= {
        "figures": {key: name + _BEST.get(key, "") for key, name in FIGURES.items()},
        "thresholds": TABLED_THRESHOLDS,
        "few": FEW_ROWS,
        "fewest": FEWEST_ROWS,
        "few_events": FEW_EVENTS,
        "weeks_shown": WEEKS_SHOWN,
        "of_those": OF_THOSE,
        "by_group": by_group,
        "acted_upon": acted_upon,
        "plain_words": WORDS,
        "told_figures": told_figures,
        "in_pairs": in_pairs,
        "calibration": calibration,
        "distribution": distribution,
        "pictures": pictures,
        "at_threshold": _at_threshold,
    }
    return pages


def _day(moment: datetime | date | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m-%d}"


def _moment(moment: datetime | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _area(figure: Estimate) -> str:
    return in_words(figure, 2).replace(" to ", "\N{EN DASH}")


def _digits(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _share(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{100 * value:.{digits}f} %"


def _words(name: str) -> Markup:
    return breakable(name.replace("_", " "))


# Only Latin letters: others are joined, or break by their own rules.
_LONG_WORD = re.compile(r"([\x21-\u024f]{10})(?=[\x21-\u024f]{10})")


def breakable(text: str) -> Markup:
    """Mark places within long words at which a narrow column may break them; else it would scroll
    sideways."""
    return Markup("<wbr>").join(_LONG_WORD.sub("\\1\n", text).split("\n"))


def values(feature: Feature) -> Markup:
    """Describe the values that a feature may have."""
    if feature.kind == "category":
        return Markup(", ").join(
            Markup("{} {}").format(code, _own(label)) for code, label in feature.codes.items()
        )
    unit = "" if feature.unit == "count" else _own(feature.unit)
    return Markup("{:g} to {:g} {}").format(feature.low, feature.high, unit).rstrip()


def _own(text: str) -> Markup:
    # A text that is read from the right would pull the next code to its left.
    return Markup("<bdi>{}</bdi>").format(breakable(text))


@dataclass(frozen=True, slots=True)
class _AtThreshold:
    """A row of the tables beside the curves."""

    treat_all: float
    sensitivity: float | None = None
    specificity: float | None = None
    net_benefit: float | None = None


def _at_threshold(found: Exhibit, model: ModelEvidence, threshold: float) -> _AtThreshold:
    """The row of a threshold. The model's cells are None if too few rows have a probability next
    to the threshold."""
    evidence = found.evidence
    n = evidence.thresholds.index(threshold)
    row = _AtThreshold(treat_all=100 * evidence.treat_all.net_benefit[n])
    if model.called is None or threshold not in shown_bounds(evidence, model):
        return row
    row = replace(row, net_benefit=100 * model.net_benefit.net_benefit[n])
    positive = evidence.positive
    if positive:
        row = replace(row, sensitivity=model.called.cases[n] / positive)
    negative = evidence.rows - positive
    if negative:
        row = replace(row, specificity=1 - model.called.others[n] / negative)
    return row
