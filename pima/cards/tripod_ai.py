"""The items of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378): 27, some of several parts, in our words."""

from pima.cards import answers
from pima.cards.hti_1 import MONITORED, UPDATED
from pima.cards.records import Facts, Item

_FIGURES = (
    "AUROC, log loss, Brier score, calibration intercept and slope, sensitivity, specificity, predictive values and "
    "net benefit over thresholds, with 95 % intervals, for both models on the same held-out rows, in all and by "
    "subgroup."
)


def tripod_ai(facts: Facts) -> tuple[Item, ...]:
    """Each with its answer, where software can know it."""
    return (*_before(facts), *_methods(facts), *_results(facts))


def _before(facts: Facts) -> tuple[Item, ...]:
    data = facts.data
    title = f"Version {facts.version}: a neural network that predicts {facts.outcome}."
    return (
        Item("1", "Title: the study as one of a prediction model, population and outcome", title),
        Item("2", "Abstract", None),
        Item("3a", "Context of care and reasons for the model", None),
        Item("3b", "Target population, purpose in the pathway of care, intended users", None),
        Item("3c", "Known inequalities in health between groups", None),
        Item(
            "4", "Objectives: development, evaluation or both", "Both: each version is fitted, then judged, in one run."
        ),
        Item("5a", "Sources of data, and whether they represent the target population", None),
        Item("5b", "Dates of the data", answers.dates(data)),
        Item("6a", "Setting and centres", None),
        Item("6b", "Eligibility of participants", answers.left_out(data)),
        Item("6c", "Treatments received", None),
    )


def _methods(facts: Facts) -> tuple[Item, ...]:
    prepared = "Ranges and codes are checked by the same rules in training and in service. Nothing is converted."
    model = (
        f"A neural network of the recipe `{facts.network}`; `docs/model-and-gate.md` tells how it is built and fitted, "
        f"and how that was chosen. Seed {facts.seed}, derived from the data."
    )
    threshold = answers.threshold(facts)
    return (
        Item("7", "Preparation of the data, and whether it was alike for all groups", prepared),
        Item("8a", "Outcome, its time horizon, how and when it is assessed", f"Outcome 1 means: {facts.outcome}."),
        Item("8b", "Who assessed the outcome, where that takes judgement", None),
        Item("8c", "Blinding of that assessment", None),
        Item("9a", "Choice of the initial predictors", None),
        Item("9b", "Predictors: definition, and how and when they were measured", answers.inputs(facts)),
        Item("9c", "Who assessed predictors, where that takes judgement", None),
        Item("10", "How the sample size came about", f"All rows with a known outcome: {answers.sizes(facts.data)}"),
        Item("11", "Missing data", answers.missing()),
        Item("12a", "How the data were divided", answers.sides(facts.data)),
        Item(
            "12b", "How predictors were handled", "Scaled by the training rows; powers as declared or as the fit chose."
        ),
        Item("12c", "Type of model, its building, tuning and internal validation", model),
        Item("12d", "Differences between clusters, such as hospitals", None),
        Item("12e", "Measures of performance", _FIGURES),
        Item("12f", "Updating of the model", UPDATED),
        Item("12g", "How predictions were calculated in the evaluation", "By the compiled form that scores patients."),
        Item(
            "13", "Methods against class imbalance", "None: rows have no weights, so probabilities need no correction."
        ),
        Item("14", "Approaches to fairness", None),
        Item("15", "Output, and how thresholds were chosen", f"{answers.output(facts)} {threshold}"),
        Item("16", "Differences between development and evaluation data", answers.sides(facts.data)),
        Item("17", "Ethical approval and consent", None),
        Item("18a", "Funding", None),
        Item("18b", "Conflicts of interest", None),
        Item("18c", "Protocol", None),
        Item("18d", "Registration", None),
        Item("18e", "Availability of the data", None),
        Item(
            "18f",
            "Availability of the code",
            f"pima's source (Apache-2.0); `models reproduce {facts.version}` fits it again, while its rows are kept.",
        ),
        Item("19", "Involvement of patients and the public", None),
    )


def _results(facts: Facts) -> tuple[Item, ...]:
    data, evidence = facts.data, facts.evidence
    events = f" Of those it was judged on, {evidence.positive} of {evidence.rows} have outcome 1." if evidence else ""
    form = f"`models export {facts.version} PATH.keras`; sha256 of its compiled form: {facts.compiled_sha256}."
    return (
        Item("20a", "Flow of participants", f"{answers.sizes(data)} {answers.left_out(data)}"),
        Item("20b", "Characteristics of participants", None),
        Item("20c", "Comparison of predictors between development and evaluation data", None),
        Item("21", "Participants and events in each analysis", f"{answers.sizes(data)}{events}"),
        Item("22", "The full model, so that it can be used", form),
        Item("23a", "Performance with intervals, in key subgroups too", answers.performance(evidence)),
        Item("23b", "Differences in performance between clusters", None),
        Item("24", "Results of updating", answers.judged(facts)),
        Item("25", "Interpretation", None),
        Item("26", "Limitations", " ".join(answers.limits(facts))),
        Item("27a", "How poor or missing input is handled in use", answers.missing()),
        Item("27b", "What users must do, and what they must know for it", None),
        Item("27c", "Next steps for research", f"None is planned by software. {MONITORED}"),
    )
