"""SQLite, as the store knows it."""

from pima.store.database import Database, Triggers, imported_when_called
from pima.store.sqlite import triggers
from pima.store.sqlite.constraints import constraints
from pima.store.sqlite.driver_errors import contested, is_refusal, translated
from pima.store.sqlite.engine import (
    cursor,
    insert_unless_there,
    leave_no_trace,
    make_engine,
    place,
    require_sound_url,
    without_time_limit,
)
from pima.store.sqlite.loading import (
    draw_ids_above_given,
    index_staged,
    join_by_index,
    lock_unless_held,
    wait_for_other_loads,
    waiting_a_moment,
)
from pima.store.sqlite.schema import (
    columns,
    fault_of_names,
    fault_of_tables,
    keep_patients,
    wait_for_batches,
    wait_for_other_migrations,
)
from pima.store.sqlite.tables import TYPES, finish_tables
from pima.store.sqlite.words import WORDS

DATABASE = Database(
    require_sound_url=require_sound_url,
    place=place,
    make_engine=make_engine,
    snapshot={},
    translated=translated,
    contested=contested,
    is_refusal=is_refusal,
    insert_unless_there=insert_unless_there,
    without_time_limit=without_time_limit,
    cursor=cursor,
    stream=cursor,
    read_columns=imported_when_called("pima.store.sqlite.reading", "read_columns"),
    claim=imported_when_called("pima.store.sqlite.claiming", "claim"),
    write_predictions=imported_when_called("pima.store.sqlite.predictions", "write_predictions"),
    write_rejections=imported_when_called("pima.store.sqlite.predictions", "write_rejections"),
    wait_for_other_loads=wait_for_other_loads,
    waiting_a_moment=waiting_a_moment,
    lock_unless_held=lock_unless_held,
    append_frame=imported_when_called("pima.store.sqlite.reading", "append_frame"),
    index_staged=index_staged,
    join_by_index=join_by_index,
    draw_ids_above_given=draw_ids_above_given,
    leave_no_trace=leave_no_trace,
    types=TYPES,
    words=WORDS,
    triggers=Triggers(make=triggers.make, fault=triggers.fault),
    few_ids=None,
    columns=columns,
    fault_of_names=fault_of_names,
    fault_of_tables=fault_of_tables,
    constraints=constraints,
    wait_for_other_migrations=wait_for_other_migrations,
    keep_patients=keep_patients,
    wait_for_batches=wait_for_batches,
    make_roles=None,
    roles_out_of_reach=lambda _: [],
    is_a_file=True,
    has_one_writer=True,
    finish_tables=finish_tables,
)
