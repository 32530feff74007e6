"""What a clinician needs first: what the number is, from where on this clinic acts, and that a
person decides; and the words of the house in plain ones."""

from pima.core.declared.features import Outcome
from pima.settings.sections import RetrainSettings
from pima.store.models.registry import VersionSummary

_USUAL = f"{RetrainSettings().threshold}"

WORDS = {
    "champion": "the version of the model that scores now",
    "challenger": "the version that a retraining has just made, and that may replace it",
    "verdict": "what pima decided when it compared the two on the same patients, and why",
    "held-out row": "a patient or visit that no version ever learns from, kept back for verdicts",
    "settled": (
        "known for good: the outcome is there, and the time in which it is waited for is over"
    ),
    "outcome 1": "what is predicted did happen; outcome 0: it did not",
    "observed / expected": (
        "how many had outcome 1, divided by how many the probabilities promised; 1 is best"
    ),
    "sensitivity": "of all with outcome 1, the share that was predicted 1",
    "specificity": "of all with outcome 0, the share that was predicted 0",
    "area under ROC": (
        "how often one with outcome 1 has a higher number than one with outcome 0; 0.5 is guessing"
    ),
}


def within(outcome: Outcome) -> str:
    """Say how long the outcome is waited for; empty without a horizon."""
    return f" within {outcome.horizon}" if outcome.horizon else ""


def threshold_rule(version: VersionSummary) -> str:
    """The setting of a version's threshold: a number, or the figure that it had to reach."""
    rule = version.settings.get("threshold", version.threshold)
    return rule if isinstance(rule, str) else f"{rule:g}"


def first_sentences(outcome: Outcome, threshold: float, rule: str) -> tuple[str, str, str]:
    """Say what the number is, from where on this clinic acts, and who decides."""
    number = (
        f"The number says how likely this is: {outcome.words}{within(outcome)}. Where it "
        "holds, about 30 of 100 patients with the number 0.30 have it."
    )
    acts = f"This clinic acts from {threshold:g} on, which was chosen to reach {rule}."
    if rule == _USUAL:
        acts = (
            f"Nobody here has chosen from where on to act: predictions are 1 from {threshold:g} "
            "on, as pima does unless it is told otherwise."
        )
    elif rule == f"{threshold:g}":
        acts = f"This clinic acts from {threshold:g} on."
    decides = (
        "A person decides: the number is one hint beside all that is known of the patient, no "
        "diagnosis and no order."
    )
    return number, acts, decides
