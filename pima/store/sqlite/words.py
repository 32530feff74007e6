"""SQLite's words for what stands in statements that are otherwise the same."""

from pima.store.database import Words

WORDS = Words(
    now="strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    # A given id moves the counter, so a trigger holds the upper bound.
    id_in_range="id > 0",
    differs="IS NOT",
    stamping_column="outcome",
    share_if_unlocked="",
)
