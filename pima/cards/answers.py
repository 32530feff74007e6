"""What software can say of a model, in sentences that both standards ask for."""

from pima.cards.records import Data, Evidence, Facts, Measured
from pima.core.figures import Figure
from pima.core.wording import counted

OTHER_DATA = "None that pima knows of: all figures are on held-out rows of the same database."


def output(facts: Facts) -> str:
    """What a row gets."""
    at = f"a class, which is 1 from {facts.threshold:g} on"
    return f"The probability of outcome 1 ({facts.outcome}), between 0 and 1, and {at}."


def threshold(facts: Facts) -> str:
    """And how it came about."""
    if facts.threshold_rule == f"{facts.threshold:g}":
        return f"Class 1 from a probability of {facts.threshold:g} on, as configured (`retrain.threshold`)."
    return f"Class 1 from a probability of {facts.threshold:g} on, chosen out of fold to reach {facts.threshold_rule}."


def inputs(facts: Facts) -> str:
    """Their names."""
    names = ", ".join(each.name for each in facts.inputs)
    return f"{counted(len(facts.inputs), 'input')}: {names}; their ranges, units and reasons are under Inputs."


def missing() -> str:
    """What becomes of rows that lack something."""
    return (
        "A missing number counts as the mean of the training rows, a missing category as none of its codes; "
        "which inputs may be missing is under Inputs. "
        "A row that lacks another, or has a value out of its range, is rejected with the reason and gets no prediction."
    )


def dates(data: Data) -> str | None:
    """Of the outcomes."""
    if data.first_outcome is None or data.last_outcome is None:
        return None
    return (
        f"Outcomes that became known from {data.first_outcome} to {data.last_outcome}, those of held-out rows included."
    )


def sizes(data: Data) -> str:
    """Of both sides."""
    return f"{counted(data.training_rows, 'row')} to learn from, {counted(data.holdout_rows, 'row')} held out."


def sides(data: Data) -> str:
    """How rows came to theirs."""
    share = f" {100 * data.holdout_share:g} % of the patients are held out."
    twins = "" if data.twins_kept else ", nor from a row with exactly the features of one, unless both have a person"
    decides = "A salted hash of the person, the source's key or the id decides once and for all who is held out"
    return f"{decides}; no version learns from those{twins}.{share}"


def left_out(data: Data) -> str:
    """Which rows were used for nothing."""
    found = ", ".join(f"{counted(rows, 'row')} {reason.replace('_', ' ')}" for reason, rows in data.left_out.items())
    twins = f" {counted(data.twins_kept, 'twin')} of held-out rows stayed in." if data.twins_kept else ""
    return f"Labelled rows that no rule rejects. Left out: {found or 'none'}.{twins}"


def performance(found: Evidence | None) -> str | None:
    """The figures that matter most."""
    if found is None:
        return None
    told = ("area under ROC", "calibration intercept", "calibration slope", "Brier score", "sensitivity", "specificity")
    figures = "; ".join(f"{each.name} {interval(each.figure)}" for each in found.figures if each.name in told)
    return f"On {counted(found.rows, 'held-out row')}, {found.positive} with outcome 1, 95 % intervals: {figures}."


def by_subgroup(found: Evidence | None) -> str | None:
    """That there are figures, and what they don't say."""
    shown = 0 if found is None else sum(each.rows is not None for each in found.subgroups)
    if not shown:
        return None
    return (
        f"The same figures for {counted(shown, 'subgroup')} by the inputs' codes and bands, under Subgroups. "
        "Whether they are fair, and whether a group is missing that no input tells of, is for people to judge."
    )


def interval(figure: Figure, digits: int = 3) -> str:
    """A figure as text."""
    if figure.value is None:
        return f"none ({figure.reason})"
    value = f"{figure.value:z.{digits}f}"
    return value if figure.low is None else f"{value} ({figure.low:z.{digits}f} to {figure.high:z.{digits}f})"


def named(figures: tuple[Measured, ...], name: str) -> Figure | None:
    """The figure of this name."""
    return next((each.figure for each in figures if each.name == name), None)


def judged(facts: Facts) -> str | None:
    """What the gate said."""
    return None if facts.judged is None else facts.judged.explanation


def limits(facts: Facts) -> tuple[str, ...]:
    """What to keep in mind, from what is known."""
    found = [
        "It says how likely an outcome is for patients like those it learned from; not what causes it, nor what helps.",
        "Rows that lack what must be there, or lie out of range, get no prediction.",
        "It was tested on held-out rows of the same database, and nowhere else that pima knows of.",
    ]
    if facts.evidence is None:
        return (*found, "No evidence is shown for this version, so nothing is known of its subgroups.")
    if facts.evidence.positive < 100:
        cases = counted(facts.evidence.positive, "row")
        found.append(f"Its figures rest on {cases} with outcome 1: look at the intervals.")
    slope = named(facts.evidence.figures, "calibration slope")
    if slope is not None and slope.high is not None and slope.high < 1:
        found.append("Its probabilities are too extreme: the calibration slope is below 1 over its whole interval.")
    few = [f"{each.feature} {each.group}" for each in facts.evidence.subgroups if each.few]
    if few:
        found.append(f"Subgroups of which little is known, having few rows: {', '.join(few)}.")
    hidden = sum(each.rows is None for each in facts.evidence.subgroups)
    if hidden:
        found.append(f"{counted(hidden, 'subgroup')} may not be shown, having too few rows.")
    return tuple(found)
