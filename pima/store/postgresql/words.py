"""PostgreSQL's words for what stands in statements that are otherwise the same."""

from pima.core.ids import LARGEST_ID
from pima.store.database import Words

WORDS = Words(
    now="clock_timestamp()",
    id_in_range=f"id > 0 AND id <= {LARGEST_ID}",
    differs="IS DISTINCT FROM",
    # Any would do; this is the one that pima_operator may update.
    stamping_column="updated_at",
    share_if_unlocked="FOR SHARE OF p SKIP LOCKED",
)
