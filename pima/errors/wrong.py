"""What ends a command with exit code 2: wrong usage, configuration or file."""

from pima.errors.base import WRONG, PimaError


class WrongConfiguration(PimaError):
    """Configuration: {what}. Expected: {expected}."""

    exit_code = WRONG
    code = "wrong_configuration"
    note = "It may also contradict what the database was made with."


class DeclarationDiffers(PimaError):
    """The settings declare other features than those this database was made for: {what}. Set the declaration back, or
    carry the change over: `python -m jobs.migrate --features --reason TEXT`; run it first with --dry-run, which tells
    what it would do."""

    exit_code = WRONG
    code = "declaration_differs"


class WrongUsage(PimaError):
    """{what}"""

    exit_code = WRONG
    code = "wrong_usage"
    note = "The command's `--help` shows its options."


class FileRefused(PimaError):
    """{file}: refused, nothing was loaded. {report}"""

    exit_code = WRONG
    code = "file_refused"
    note = (
        "`--partial` loads the good lines. Of a file without ids, load the bad ones afterwards, "
        "corrected, from a file of their own."
    )


class NothingToSuggest(PimaError):
    """{table}: nothing can be suggested. {why}"""

    exit_code = WRONG
    code = "nothing_to_suggest"
    note = "It asks for 20 rows, columns with names, and one column that can be a feature."


class FileLoadedBefore(PimaError):
    """{file}: a file with the same lines was loaded on {loaded_at}, and it has no ids: loading it again would create
    every patient a second time. Nothing was loaded. If you mean to, add --again."""

    exit_code = WRONG
    code = "file_loaded_before"
    note = "Line ends, spaces and quotes make no difference."


class SourceUnusable(PimaError):
    """The source {source} can't be read as configured: {what}. Nothing was changed. Expected: {expected}."""

    exit_code = WRONG
    code = "source_unusable"
    note = "SELECT on the table or view is the only right that it needs."


class SourceKeysUnusable(PimaError):
    """Rows of the source {source} can't be told apart: {what}. Nothing was changed. Name in `key` what tells each row
    from all others, with its `key_type`, or leave such rows out by a view or a query. Keys are compared without
    trailing spaces, UUIDs in lower case with hyphens."""

    exit_code = WRONG
    code = "source_keys_unusable"


class KeptIdTaken(PimaError):
    """Rows of the source {source} have come back, and the ids that they had are those of other rows of `patients` by
    now ({rows}, by id: {first}). Nothing of their block was written, what was committed before stays. Where such a row
    is the same one, set its source and source_key; else delete it and insert it again without an id, which gives it one
    of its own. Then run this again."""

    exit_code = WRONG
    code = "kept_id_taken"
    note = "Find out who set the counter of ids back."


class ModelFileRefused(PimaError):
    """{file}: can't be used as a model, {what}. Nothing was written. Expected: a file that
    `python -m jobs.models export N --out FILE` of this release has written; copy or export it again."""

    exit_code = WRONG
    code = "model_file_refused"


class DatasetRefused(PimaError):
    """{dataset}: can't be scored, {what}. Parts that are finished stay. Expected: Parquet with a column for each
    feature of the model."""

    exit_code = WRONG
    code = "dataset_refused"


class ClusterUnfit(PimaError):
    """The cluster's workers can't score for this service, and no row was touched: {what}. Expected: on each worker this
    release with its requirements, and for the queue the database's URL in the worker's own environment, for files the
    same folders and stores under the same names."""

    exit_code = WRONG
    code = "cluster_unfit"


class RunNotOpen(PimaError):
    """There is no open {job} run {run_id}. --run-id is for the scheduler, which opens the run first; leave it out when
    you start the job by hand."""

    exit_code = WRONG
    code = "run_not_open"


class NoSuchVersion(PimaError):
    """There is no model version {number}. `python -m jobs.models list` shows those that exist."""

    exit_code = WRONG
    code = "no_such_version"


class NobodyToForget(PimaError):
    """Nothing is known of {called}, so nothing was erased. `forget ID` takes the id that the row has or had in
    `patients`, `forget SOURCE KEY` the name of its source and what it is called there, `forget --person KEY` a
    person. To keep somebody out who has no row here, as after the restore of an older backup, add --without-rows."""

    exit_code = WRONG
    code = "nobody_to_forget"


class PersonHasMoreRows(PimaError):
    """That row is one of {rows} of the same person, who is forgotten as a whole or not at all: a model may have learned
    from this row and be judged on the others. Nothing was changed. `forget --person KEY` erases all of them. To take a
    single row out, delete it from `patients`."""

    exit_code = WRONG
    code = "person_has_more_rows"


class RowsGivenAway(PimaError):
    """Under that key {rows} came that are another person's or nobody's by now. Nothing was changed. If they are still
    that person's, forget that other person, too, or each row that is nobody's by its id. Then, or if they are somebody
    else's, add --without-rows: they stay, and what tells that they came under that key is made unreadable."""

    exit_code = WRONG
    code = "rows_given_away"


class NoReportKept(PimaError):
    """No retraining has left a report in the database yet. Without --last, `python -m jobs.report` makes one of how
    things stand now."""

    exit_code = WRONG
    code = "no_report_kept"


class NoSuchRow(PimaError):
    """There is no patient with {called}, so nothing was explained. `explain ID` takes the id that the row has in the
    table patients, `explain SOURCE KEY` the name of its source and what it is called there."""

    exit_code = WRONG
    code = "no_such_row"
