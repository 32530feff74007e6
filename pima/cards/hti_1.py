"""The 31 source attributes of a predictive decision support intervention, by the US rule HTI-1: 45 CFR
170.315(b)(11)(iv)(B), numbered as there."""

from pima.cards import answers
from pima.cards.records import Facts, Item

MONITORED = (
    "Each outcome that comes after a prediction is compared with it (`jobs.status` has the share that came true). "
    "Each retraining judges the version in use again, on held-out rows labelled lately."
)
UPDATED = (
    "Each scheduled retraining (weekly, unless configured otherwise) fits a challenger on all outcomes known by then. "
    "It is put to use only if it is strictly better than the version in use on the same held-out rows. "
    "A person can undo it."
)


def hti_1(facts: Facts) -> tuple[Item, ...]:
    """Each with its answer, where software can know it."""
    data, evidence = facts.data, facts.evidence
    of_subgroups = answers.by_subgroup(evidence)
    out_of_range = "Patients whose values lie outside the ranges under Inputs: they are rejected, not scored."
    return (
        Item("1(i)", "Name and contact information of the developer", None),
        Item("1(ii)", "Funding source of the technical implementation", None),
        Item("1(iii)", "The value that is produced as output", answers.output(facts)),
        Item("1(iv)", "Kind of output", "A prediction (a probability), and the classification that follows from it."),
        Item("2(i)", "Intended use", None),
        Item("2(ii)", "Intended patient populations", None),
        Item("2(iii)", "Intended users", None),
        Item("2(iv)", "Intended role in decisions: informs, augments or replaces clinical management", None),
        Item("3(i)", "Tasks, situations or populations for which it is cautioned against", out_of_range),
        Item("3(ii)", "Known risks, inappropriate settings or uses, limitations", " ".join(answers.limits(facts))),
        Item("4(i)", "Criteria by which training rows were included or excluded", answers.left_out(data)),
        Item(
            "4(ii)",
            "Use of race, ethnicity, language, sexual orientation, gender identity, sex, date of birth, social "
            "determinants or health assessments as inputs",
            f"{answers.inputs(facts)} No other column is seen by the model.",
        ),
        Item("4(iii)", "How well the training rows represent those groups", None),
        Item("4(iv)", "Relevance of the training data to where it is used", None),
        Item("5(i)", "Approach to make sure that the output is fair", None),
        Item("5(ii)", "Approaches to manage, reduce or eliminate bias", None),
        Item("6(i)", "Source, setting or environment of external validation", answers.OTHER_DATA),
        Item("6(ii)", "Who tested it externally", None),
        Item("6(iii)", "How well the external data represent those groups", None),
        Item("6(iv)", "Process of external validation", None),
        Item("7(i)", "Validity in test data of the training data's source", answers.performance(evidence)),
        Item("7(ii)", "Fairness in test data of the training data's source", of_subgroups),
        Item("7(iii)", "Validity in data from another source", None),
        Item("7(iv)", "Fairness in data from another source", None),
        Item("7(v)", "Evaluations of what its use does to patients' outcomes", None),
        Item("8(i)", "How and how often validity is monitored", MONITORED),
        Item("8(ii)", "Validity in local data", answers.performance(evidence)),
        Item(
            "8(iii)",
            "How and how often fairness is monitored",
            of_subgroups and f"With each retraining. {of_subgroups}",
        ),
        Item("8(iv)", "Fairness in local data", of_subgroups),
        Item("9(i)", "How and how often it is updated", UPDATED),
        Item("9(ii)", "How often performance is corrected when risks to validity or fairness are found", None),
    )
