"""Rows whose versions are too low, in a person's words."""

from pima.core.wording import counted


def told_below_predicted(rows: int) -> str:
    """For so many waiting rows: what is wrong, and what to do."""
    waiting = counted(rows, "waiting row")
    return (
        f"{waiting} with a version below one that was predicted for the same id: have the owner run\n"
        "python -m jobs.requeue --new-versions, or current_predictions goes on showing that prediction"
    )
