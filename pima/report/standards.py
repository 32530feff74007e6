"""The questions of two standards about a model, with answers in sentences if software can know
them.

HTI-1: the 31 source attributes of a predictive decision support intervention, by the US rule 45 CFR
170.315(b)(11)(iv)(B), numbered as there. TRIPOD+AI (Collins et al., BMJ 2024;385:e078378): its 27
items, some of several parts, in our words.
"""

from dataclasses import dataclass

from pima.core import hindsight
from pima.core.figures import in_words
from pima.logs import counted
from pima.model.recipes import is_file
from pima.report.version_facts import Data, VersionEvidence, VersionFacts

_MONITORED = (
    "Each settled outcome is compared with the prediction that was made before it "
    "(`jobs.status` has the figures). "
    "Each retraining judges the version in use again, on held-out rows labelled lately."
)
_UPDATED = (
    "Each scheduled retraining (weekly, unless configured otherwise) fits a challenger on all "
    "outcomes known by then. It is put to use only if it is strictly better than the version in "
    "use on the same held-out rows. A person can undo it."
)
_OTHER_DATA = "None that pima knows of: all figures are on held-out rows of the same database."
_MISSING = (
    "A missing number counts as the mean of the training rows, a missing category as none of its "
    "codes; which inputs may be missing is under Inputs. A row that lacks another, or has a value "
    "out of its range, is rejected with the reason and gets no prediction."
)
_FIGURES = (
    "AUROC, log loss, Brier score, calibration intercept and slope, sensitivity, specificity, "
    "predictive values and net benefit over thresholds, with 95 % intervals, for both models on "
    "the same held-out rows, in all and by subgroup."
)


@dataclass(frozen=True, slots=True)
class Item:
    """An item that a standard asks for."""

    code: str
    """Its number in the standard."""
    asks: str
    answer: str | None
    """The answer; None if software can't know it, so that people must answer."""


def hti_1(facts: VersionFacts) -> tuple[Item, ...]:
    """Answer the source attributes of HTI-1, if software can know the answer."""
    data, evidence = facts.data, facts.evidence
    of_subgroups = by_subgroup(evidence)
    out_of_range = (
        "Patients whose values lie outside the ranges under Inputs: they are rejected, not scored."
    )
    return (
        Item("1(i)", "Name and contact information of the developer", None),
        Item("1(ii)", "Funding source of the technical implementation", None),
        Item("1(iii)", "The value that is produced as output", output(facts)),
        Item(
            "1(iv)",
            "Kind of output",
            "A prediction (a probability), and the classification that follows from it.",
        ),
        Item("2(i)", "Intended use", None),
        Item("2(ii)", "Intended patient populations", None),
        Item("2(iii)", "Intended users", None),
        Item(
            "2(iv)",
            "Intended role in decisions: informs, augments or replaces clinical management",
            None,
        ),
        Item(
            "3(i)",
            "Tasks, situations or populations for which it is cautioned against",
            out_of_range,
        ),
        Item(
            "3(ii)",
            "Known risks, inappropriate settings or uses, limitations",
            " ".join(limits(facts)),
        ),
        Item("4(i)", "Criteria by which training rows were included or excluded", left_out(data)),
        Item(
            "4(ii)",
            "Use of race, ethnicity, language, sexual orientation, gender identity, sex, date of "
            "birth, social determinants or health assessments as inputs",
            f"{inputs(facts)} No other column is seen by the model.",
        ),
        Item("4(iii)", "How well the training rows represent those groups", None),
        Item("4(iv)", "Relevance of the training data to where it is used", None),
        Item("5(i)", "Approach to make sure that the output is fair", None),
        Item("5(ii)", "Approaches to manage, reduce or eliminate bias", None),
        Item("6(i)", "Source, setting or environment of external validation", _OTHER_DATA),
        Item("6(ii)", "Who tested it externally", None),
        Item("6(iii)", "How well the external data represent those groups", None),
        Item("6(iv)", "Process of external validation", None),
        Item("7(i)", "Validity in test data of the training data's source", performance(evidence)),
        Item("7(ii)", "Fairness in test data of the training data's source", of_subgroups),
        Item("7(iii)", "Validity in data from another source", None),
        Item("7(iv)", "Fairness in data from another source", None),
        Item("7(v)", "Evaluations of what its use does to patients' outcomes", None),
        Item("8(i)", "How and how often validity is monitored", _MONITORED),
        Item("8(ii)", "Validity in local data", performance(evidence)),
        Item(
            "8(iii)",
            "How and how often fairness is monitored",
            of_subgroups and f"With each retraining. {of_subgroups}",
        ),
        Item("8(iv)", "Fairness in local data", of_subgroups),
        Item("9(i)", "How and how often it is updated", _UPDATED),
        Item(
            "9(ii)",
            "How often performance is corrected when risks to validity or fairness are found",
            None,
        ),
    )


def tripod_ai(facts: VersionFacts) -> tuple[Item, ...]:
    """Answer the items of TRIPOD+AI, if software can know the answer."""
    data, evidence = facts.data, facts.evidence
    prepared = (
        "Ranges and codes are checked by the same rules in training and in service. Nothing is "
        "converted. Rows that were corrected after their prediction have the values that it was "
        f"made from: {hindsight.in_words(data.corrected)}."
    )
    told = (
        "`docs/understand/model-and-gate.md` tells how it is built and fitted, and how that was "
        "chosen"
    )
    if is_file(facts.network):
        told = "the version keeps the text of that file, which builds it"
    model = (
        f"A neural network of the recipe `{facts.network}`; {told}. Seed {facts.seed}, derived "
        "from the data."
    )
    events = (
        f" Of those it was judged on, {evidence.positive} of {evidence.rows} have outcome 1."
        if evidence
        else ""
    )
    form = (
        f"`models export {facts.version} PATH.keras`; sha256 of its compiled form: "
        f"{facts.compiled_sha256}."
    )
    title = f"Version {facts.version}: a neural network that predicts {facts.outcome}."
    return (
        Item("1", "Title: the study as one of a prediction model, population and outcome", title),
        Item("2", "Abstract", None),
        Item("3a", "Context of care and reasons for the model", None),
        Item("3b", "Target population, purpose in the pathway of care, intended users", None),
        Item("3c", "Known inequalities in health between groups", None),
        Item(
            "4",
            "Objectives: development, evaluation or both",
            "Both: each version is fitted, then judged, in one run.",
        ),
        Item("5a", "Sources of data, and whether they represent the target population", None),
        Item("5b", "Dates of the data", dates(data)),
        Item("6a", "Setting and centres", None),
        Item("6b", "Eligibility of participants", left_out(data)),
        Item("6c", "Treatments received", None),
        Item("7", "Preparation of the data, and whether it was alike for all groups", prepared),
        Item(
            "8a",
            "Outcome, its time horizon, how and when it is assessed",
            f"Outcome 1 means: {facts.outcome}.",
        ),
        Item("8b", "Who assessed the outcome, where that takes judgement", None),
        Item("8c", "Blinding of that assessment", None),
        Item("9a", "Choice of the initial predictors", None),
        Item("9b", "Predictors: definition, and how and when they were measured", inputs(facts)),
        Item("9c", "Who assessed predictors, where that takes judgement", None),
        Item(
            "10", "How the sample size came about", f"All rows with a known outcome: {sizes(data)}"
        ),
        Item("11", "Missing data", _MISSING),
        Item("12a", "How the data were divided", sides(facts.data)),
        Item(
            "12b",
            "How predictors were handled",
            "Scaled by the training rows; powers as declared or as the fit chose.",
        ),
        Item("12c", "Type of model, its building, tuning and internal validation", model),
        Item("12d", "Differences between clusters, such as hospitals", None),
        Item("12e", "Measures of performance", _FIGURES),
        Item("12f", "Updating of the model", _UPDATED),
        Item(
            "12g",
            "How predictions were calculated in the evaluation",
            "By the compiled form that scores.",
        ),
        Item(
            "13",
            "Methods against class imbalance",
            "None: rows have no weights, so probabilities need no correction.",
        ),
        Item("14", "Approaches to fairness", None),
        Item("15", "Output, and how thresholds were chosen", f"{output(facts)} {threshold(facts)}"),
        Item("16", "Differences between development and evaluation data", sides(facts.data)),
        Item("17", "Ethical approval and consent", None),
        Item("18a", "Funding", None),
        Item("18b", "Conflicts of interest", None),
        Item("18c", "Protocol", None),
        Item("18d", "Registration", None),
        Item("18e", "Availability of the data", None),
        Item(
            "18f",
            "Availability of the code",
            f"pima's source (Apache-2.0); `models reproduce {facts.version}` fits it again, while "
            "its rows are kept.",
        ),
        Item("19", "Involvement of patients and the public", None),
        Item("20a", "Flow of participants", f"{sizes(data)} {left_out(data)}"),
        Item("20b", "Characteristics of participants", None),
        Item("20c", "Comparison of predictors between development and evaluation data", None),
        Item("21", "Participants and events in each analysis", f"{sizes(data)}{events}"),
        Item("22", "The full model, so that it can be used", form),
        Item("23a", "Performance with intervals, in key subgroups too", performance(evidence)),
        Item("23b", "Differences in performance between clusters", None),
        Item(
            "24", "Results of updating", None if facts.judged is None else facts.judged.explanation
        ),
        Item("25", "Interpretation", None),
        Item("26", "Limitations", " ".join(limits(facts))),
        Item("27a", "How poor or missing input is handled in use", _MISSING),
        Item("27b", "What users must do, and what they must know for it", None),
        Item("27c", "Next steps for research", f"None is planned by software. {_MONITORED}"),
    )


def output(facts: VersionFacts) -> str:
    """Describe the output for a row."""
    at = f"a class, which is 1 from {facts.threshold:g} on"
    return f"The probability of outcome 1 ({facts.outcome}), between 0 and 1, and {at}."


def threshold(facts: VersionFacts) -> str:
    """Describe the threshold and how it was set."""
    if facts.threshold_rule == f"{facts.threshold:g}":
        return (
            f"Class 1 from a probability of {facts.threshold:g} on, as configured "
            "(`retrain.threshold`)."
        )
    return (
        f"Class 1 from a probability of {facts.threshold:g} on, chosen out of fold to reach "
        f"{facts.threshold_rule}."
    )


def inputs(facts: VersionFacts) -> str:
    """List the names of the inputs."""
    names = ", ".join(each.name for each in facts.inputs)
    return (
        f"{counted(len(facts.inputs), 'input')}: {names}; their ranges, units and reasons are "
        "under Inputs."
    )


def dates(data: Data) -> str | None:
    """Describe the dates of the outcomes."""
    if data.first_outcome is None or data.last_outcome is None:
        return None
    return (
        f"Outcomes that became known from {data.first_outcome} to {data.last_outcome}, those of "
        "held-out rows included."
    )


def sizes(data: Data) -> str:
    """Describe the number of rows on both sides."""
    return (
        f"{counted(data.training_rows, 'row')} to learn from, {counted(data.holdout_rows, 'row')} "
        "held out."
    )


def sides(data: Data) -> str:
    """Describe how rows are held out."""
    share = f" {100 * data.holdout_share:g} % of the rows are held out."
    twins = (
        ""
        if data.twins_kept
        else ", nor from a row with exactly the features of one, unless both have a person"
    )
    decides = (
        "A salted hash of the person, the source's key or the id decides once and for all who is "
        "held out"
    )
    return f"{decides}; no version learns from those{twins}.{share}"


def left_out(data: Data) -> str:
    """Describe which rows were left out."""
    found = ", ".join(
        f"{counted(rows, 'row')} {reason.replace('_', ' ')}"
        for reason, rows in data.left_out.items()
    )
    twins = (
        f" {counted(data.twins_kept, 'twin')} of held-out rows stayed in."
        if data.twins_kept
        else ""
    )
    return f"Labelled rows that no rule rejects. Left out: {found or 'none'}.{twins}"


def performance(found: VersionEvidence | None) -> str | None:
    """List the figures that matter most."""
    if found is None:
        return None
    told = (
        "area under ROC",
        "calibration intercept",
        "calibration slope",
        "Brier score",
        "sensitivity",
        "specificity",
    )
    figures = "; ".join(
        f"{each.name} {in_words(each.figure)}" for each in found.figures if each.name in told
    )
    return (
        f"On {counted(found.rows, 'held-out row')}, {found.positive} with outcome 1, 95 % "
        f"intervals: {figures}."
    )


def by_subgroup(found: VersionEvidence | None) -> str | None:
    """Point to the figures by subgroup, and say what they don't show."""
    shown = 0 if found is None else sum(each.rows is not None for each in found.subgroups)
    if not shown:
        return None
    return (
        f"The same figures for {counted(shown, 'subgroup')} by the inputs' codes and bands, under "
        "Subgroups. Whether they are fair, and whether a group is missing that no input tells of, "
        "is for people to judge."
    )


def limits(facts: VersionFacts) -> tuple[str, ...]:
    """List the known limits of the model."""
    found = [
        (
            "It says how likely an outcome is for patients like those it learned from; not what "
            "causes it, nor what helps."
        ),
        "Rows that lack what must be there, or lie out of range, get no prediction.",
        "It was tested on held-out rows of the same database, and nowhere else that pima knows of.",
        "Its figures get worse where those predicted 1 were treated, which pima can't know.",
    ]
    if facts.evidence is None:
        return (
            *found,
            "No evidence is shown for this version, so nothing is known of its subgroups.",
        )
    if facts.evidence.positive < 100:
        cases = counted(facts.evidence.positive, "row")
        found.append(f"Its figures rest on {cases} with outcome 1: look at the intervals.")
    slope = next(
        (each.figure for each in facts.evidence.figures if each.name == "calibration slope"), None
    )
    if slope is not None and slope.high is not None and slope.high < 1:
        found.append(
            "Its probabilities are too extreme: the calibration slope is below 1 over its whole "
            "interval."
        )
    few = [f"{each.feature} {each.group}" for each in facts.evidence.subgroups if each.few]
    if few:
        found.append(f"Subgroups of which little is known, having few rows: {', '.join(few)}.")
    hidden = sum(each.rows is None for each in facts.evidence.subgroups)
    if hidden:
        found.append(f"{counted(hidden, 'subgroup')} may not be shown, having too few rows.")
    return tuple(found)
