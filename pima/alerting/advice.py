"""What to do about each condition, in a sentence with the command; docs/operations.md says more."""

_BY_HAND = "`python -m jobs.status` shows its last runs; `python -m jobs.{job}` runs it now"

ADVICE = {
    "declaration_differs": "Set the declaration back, or look what carrying it over would do: "
    "`python -m jobs.migrate --features --dry-run`",
    "scheduler_silent": "Start it, or read its log for why it ended: `python -m jobs.scheduler`",
    "score_failed": _BY_HAND.format(job="score"),
    "retrain_failed": _BY_HAND.format(job="retrain"),
    "score_not_succeeding": _BY_HAND.format(job="score"),
    "retrain_not_succeeding": _BY_HAND.format(job="retrain"),
    "pull_failed": _BY_HAND.format(job="pull"),
    "pull_not_succeeding": _BY_HAND.format(job="pull"),
    "queue_old": "Is the job running, and is there a champion? `python -m jobs.status`",
    "no_champion": "Load more outcomes, then `python -m jobs.retrain`; or look at the versions and promote one: "
    "`python -m jobs.models list`",
    "rows_without_prediction": "`python -m jobs.status` shows the reasons and columns, the table `rejections` each row "
    "that scoring rejected. Has a unit or a column of the source changed? Mend `[source.columns]` or the source, then "
    "`python -m jobs.pull --full` and `python -m jobs.score`. Rows that were never queued: `python -m jobs.requeue`, "
    "then `python -m jobs.score`",
    "drift": "See whether a unit, a device or the patients have changed: `python -m jobs.report` shows all figures, "
    "docs/monitoring.md says what they mean",
    "realised_below_limit": "`python -m jobs.report` shows it by week; docs/monitoring.md says what may be behind it",
    "champion_changed": "Nothing, if you expected it; `python -m jobs.models list` shows the versions, "
    "`python -m jobs.models rollback --reason TEXT` goes back",
    "verdict_blocked": "`python -m jobs.models show {number}` says why",
    "awaits_approval": "`python -m jobs.models show {number}`, then "
    "`python -m jobs.models promote {number} --reason TEXT`",
}
OF_ERRORS = "Look the code up in docs/operations.md; `python -m jobs.health` says whether it is still so"
"""What stands for the codes of errors, which have messages that say what to do."""
