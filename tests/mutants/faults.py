"""The faults, each a small change of the code's text on each database, and the tests that must
notice it.

Whoever moves a line that a fault changes brings the fault up to date: `tests/unit/test_mutants.py`
names those that no longer fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Edit:
    """One place that a fault changes."""

    file: str
    old: str
    """Occurs exactly once in the file."""
    new: str


@dataclass(frozen=True)
class Form:
    """A fault as it can be made on one of the databases."""

    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]
    """The ids of the tests that must all fail."""


@dataclass(frozen=True)
class Fault:
    """What somebody might break without noticing."""

    name: str
    forms: Mapping[str, Form]
    """By database."""


def misfits(tree: Path, fault: Fault) -> list[str]:
    """The fault's edits whose old text does not occur exactly once, in words."""
    found = {
        f"{fault.name}: {count} times instead of once in {edit.file}:\n{edit.old}"
        for form in fault.forms.values()
        for edit in form.edits
        if (
            count := (tree / edit.file).read_text().count(edit.old)
            if (tree / edit.file).exists()
            else 0
        )
        != 1
    }
    return sorted(found)


def _on_both(name: str, *edits: Edit, caught_by: str) -> Fault:
    """A fault that is one text for both; DATABASE stands in the test's id for either."""
    return Fault(
        name, {each: Form(edits, (caught_by.replace("DATABASE", each),)) for each in DATABASES}
    )


_CLAIMING = "pima/store/postgresql/scoring.py"
_RACE = "tests/jobs/retraining/test_gate.py::test_of_two_promotions_at_once_one_wins_in_each_race[DATABASE]"
_STOP = "tests/jobs/scoring/test_stop.py"
_TOLD = "tests/jobs/privacy/test_no_patient_values.py::test_a_trigger_of_the_clinics_own_that_tells_the_row_is_not_repeated"
_CORRECTED = "tests/store/triggers/test_triggers.py::test_a_corrected_measurement_waits_once_as_a_new_version"
_USED_TWICE = "tests/jobs/scoring/test_version_counter.py::test_a_version_that_a_correction_drew_does_not_come_again"
_OF_ITS_OWN = "tests/jobs/scoring/test_version_counter.py::test_a_row_that_comes_again_after_the_counter_was_set_back_has_a_version_of_its_own"
_UPGRADED = "tests/jobs/databases/test_releases.py::test_the_upgrade_keeps_nobody_waiting_for_its_locks_and_ends_in_no_deadlock"
_KEPT = "tests/store/rows/test_row_history.py::test_each_replaced_version_keeps_all_of_its_values"
_BEFORE_IT_IS = "tests/store/triggers/test_triggers.py::test_no_outcome_is_known_before_it_is"

FAULTS = (
    Fault(
        "a claim without its lock",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/store/sqlite/database.py",
                        '"BEGIN IMMEDIATE" if writes else "BEGIN"',
                        '"BEGIN"',
                    ),
                ),
                (
                    "tests/store/test_engine.py::test_a_file_that_another_writes_is_busy_to_writers_only",
                ),
            ),
            "postgresql": Form(
                (
                    Edit(_CLAIMING, " LIMIT %s FOR UPDATE SKIP LOCKED)", " LIMIT %s)"),
                    Edit(_CLAIMING, " AND xmax = pg_current_xact_id()::xid", ""),
                    Edit(
                        _CLAIMING,
                        "if cursor.rowcount != len(words):",
                        "if cursor.rowcount > len(words):",
                    ),
                ),
                (
                    "tests/store/rows/test_queue.py::test_a_claim_does_not_see_another_open_claim_on_the_same_rows",
                ),
            ),
        },
    ),
    _on_both(
        "the claim's delete is committed before the predictions are written",
        Edit(
            "pima/scoring.py",
            """
                with self._write_lock:
                    self._write(connection, scored)""",
            """
                connection.commit()
                with self._write_lock, writing(self.engine) as another:
                    self._write(another, scored)""",
        ),
        caught_by="tests/jobs/scoring/test_score_batches.py"
        "::test_a_batch_of_which_anything_can_not_be_written_waits_again[DATABASE-predictions]",
    ),
    _on_both(
        "the champion is moved without comparing its sequence number",
        Edit(
            "pima/train/ledger.py",
            "if registry.lock_champion(connection).sequence != judgement.champion.sequence:",
            "if registry.lock_champion(connection).sequence < judgement.champion.sequence:",
        ),
        caught_by=_RACE,
    ),
    _on_both(
        "a run that began before a stop goes on",
        Edit(
            "pima/scoring.py",
            "if self._ended or rows == 0 or registry.was_stopped_since(connection, self.start.sequence):",
            "if self._ended or rows == 0:",
        ),
        caught_by=f"{_STOP}::test_a_run_that_began_before_a_stop_ends_before_its_next_batch"
        "[DATABASE-suspended]",
    ),
    _on_both(
        "a run goes on once a stop is over",
        Edit(
            "pima/store/models/registry.py",
            """select(champion.c.last_stop), "champion")
    return int(last_stop) > sequence""",
            """select(champion.c.suspended_at), "champion")
    return last_stop is not None""",
        ),
        caught_by=f"{_STOP}::test_a_run_that_began_before_a_stop_ends_before_its_next_batch"
        "[DATABASE-promoted at once]",
    ),
    _on_both(
        "a stop, or another change of the champion, is not counted",
        Edit(
            "pima/store/models/registry.py",
            '"sequence": champion.c.sequence + 1',
            '"sequence": champion.c.sequence',
        ),
        caught_by="tests/jobs/retraining/test_gate.py"
        "::test_a_verdict_that_a_stop_overtook_is_given_again_and_blocked[DATABASE]",
    ),
    Fault(
        "a stop does not wait for a promotion",
        {
            "postgresql": Form(
                (
                    Edit(
                        "pima/train/ledger.py",
                        """
        before = registry.lock_champion(connection)
        if before.model_version is None:""",
                        """
        before = registry.read_champion(connection)
        if before.model_version is None:""",
                    ),
                ),
                (
                    "tests/jobs/retraining/test_gate.py::test_a_stop_beside_a_promotion_stops_whatever_was_promoted[postgresql]",
                ),
            ),
        },
    ),
    _on_both(
        "a model's bytes are used without checking their sha256",
        Edit(
            "pima/scorer.py",
            "registry.scorer_sha256(number, artifact.content, artifact) != artifact.scorer_sha256",
            "registry.scorer_sha256(number, artifact.content, artifact) == artifact.content",
        ),
        caught_by="tests/jobs/scoring/test_bad_rows.py"
        "::test_a_damaged_champion_touches_no_row_until_a_person_mends_it[DATABASE-a bit flipped]",
    ),
    _on_both(
        "the holdout is drawn anew by each retraining",
        Edit(
            "pima/train/retraining.py",
            "labelled_history(connection, declared, holdout, rule)",
            "labelled_history(connection, declared, HoldoutRule(f'{holdout.salt} {read_at}', "
            "holdout.share), rule)",
        ),
        caught_by="tests/jobs/retraining/test_retrain.py"
        "::test_each_retraining_holds_the_same_rows_out_whatever_has_come_since[DATABASE]",
    ),
    _on_both(
        "models learn from today's values, whatever was predicted on",
        Edit(
            "pima/train/retraining.py",
            "settled, today = as_predicted_on(labelled, then)",
            "settled, today = labelled, labelled[:0]",
        ),
        caught_by="tests/jobs/retraining/test_predicted_on.py"
        "::test_models_learn_from_what_was_predicted_on_and_it_is_said[DATABASE]",
    ),
    Fault(
        "no trigger for updates, so that corrections are not queued",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/store/sqlite/triggers.sql",
                        """WHEN (NEW.outcome IS NULL AND OLD.outcome IS NOT NULL)
    OR""",
                        "WHEN NEW.id < 0 AND (false OR",
                    ),
                    Edit(
                        "pima/store/sqlite/triggers.sql",
                        "NEW.age IS NOT OLD.age /* end */",
                        "NEW.age IS NOT OLD.age /* end */)",
                    ),
                ),
                (f"{_CORRECTED}[sqlite]",),
            ),
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/triggers.sql",
                        "WHERE n.outcome IS NULL AND n.version <> o.version",
                        "WHERE false",
                    ),
                ),
                (f"{_CORRECTED}[postgresql]",),
            ),
        },
    ),
    _on_both(
        "one tick may have two runs of one attempt",
        Edit(
            "pima/store/schema.sql",
            "    CONSTRAINT uq_runs_job_scheduled_for_attempt UNIQUE (job, scheduled_for, "
            "attempt),\n",
            "",
        ),
        Edit(
            "pima/store/service/runs.py",
            'insert = database_of(connection).insert_unless_there(runs, ("job", "scheduled_for", '
            '"attempt"))',
            "insert = runs.insert()",
        ),
        caught_by="tests/store/test_leases_and_runs.py::test_two_schedulers_at_once_make_one_run_of_a_tick[DATABASE]",
    ),
    Fault(
        "an error of scoring's second worker is swallowed (on SQLite, which has one, of its loop)",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/scoring.py",
                        """
                self._do_batch()
        finally:""",
                        """
                self._do_batch()
        except Exception:
            pass
        finally:""",
                    ),
                ),
                (
                    "tests/jobs/scoring/test_score_batches.py::test_an_error_of_a_later_batch_is_the_runs[sqlite]",
                ),
            ),
            "postgresql": Form(
                (Edit("pima/scoring.py", "worker.result()", "worker.exception()"),),
                (
                    "tests/jobs/scoring/test_score_batches.py::test_an_error_of_the_helping_worker_is_the_runs",
                ),
            ),
        },
    ),
    Fault(
        "a correction takes the next version without drawing it, so that it comes again",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/store/sqlite/triggers.sql",
                        """SET version = (SELECT last FROM patient_version_counter),
        updated_at""",
                        """SET version = OLD.version + 1,
        updated_at""",
                    ),
                    Edit(
                        "pima/store/sqlite/triggers.sql",
                        "AND NEW.version <> (SELECT last FROM patient_version_counter)",
                        "AND NEW.version <> OLD.version + 1",
                    ),
                ),
                (f"{_USED_TWICE}[sqlite]",),
            ),
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/triggers.sql",
                        """greatest(pg_catalog.nextval('public.patient_version'), OLD.version + 1);
    END IF;
    IF NEW""",
                        """OLD.version + 1;
    END IF;
    IF NEW""",
                    ),
                ),
                (f"{_USED_TWICE}[postgresql]",),
            ),
        },
    ),
    Fault(
        "a deletion leaves the counter of versions where it was set back",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/store/sqlite/triggers.sql",
                        "WHERE last < OLD.version;",
                        "WHERE last < 0;",
                    ),
                ),
                (f"{_OF_ITS_OWN}[sqlite-by its id-0]",),
            ),
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/triggers.sql",
                        "<= OLD.version LOOP",
                        "< OLD.version - 1 LOOP",
                    ),
                ),
                (f"{_OF_ITS_OWN}[postgresql-by its id-0]",),
            ),
        },
    ),
    Fault(
        "labels are written by the codes of a declaration that no longer counts",
        {
            each: Form(
                (
                    Edit(
                        "pima/store/models/registry.py",
                        "if newest_declaration(connection).arriving != known:",
                        "if not newest_declaration(connection).arriving:",
                    ),
                ),
                tuple(
                    f"tests/jobs/declaring/test_declaration_during_work.py::{name}[{each}]"
                    for name in (
                        "test_a_load_that_still_reads_takes_no_labels_by_the_codes_of_before",
                        "test_a_pull_that_has_begun_takes_none_either",
                    )
                ),
            )
            for each in DATABASES
        },
    ),
    Fault(
        "the driver's text, which may hold a row, is let through",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/store/sqlite/database.py",
                        'what = f"SQLite says {name}"',
                        'what = f"SQLite says {name} {error}"',
                    ),
                ),
                (f"{_TOLD}[sqlite]",),
            ),
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/errors.py",
                        'what = " ".join([what, *filter',
                        'what = " ".join([what, str(error), *filter',
                    ),
                ),
                (
                    f"{_TOLD}[postgresql]",
                    "tests/store/test_engine.py::test_no_value_of_a_row_is_told_by_an_error[postgresql]",
                ),
            ),
        },
    ),
    _on_both(
        "the gate asks for one correct row less",
        Edit(
            "pima/core/verdicts/gate.py",
            "if gain is not None and gain <= TIE:",
            "if gain is not None and gain < -TIE:",
        ),
        caught_by=_RACE,
    ),
    Fault(
        "a requeue that locks no row of patients",
        {
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/rows/queue.py",
                        'unless_held = database_of(connection).unless_held.format("SHARE OF p")',
                        'unless_held = ""',
                    ),
                ),
                tuple(
                    f"tests/jobs/scoring/test_requeue.py::{name}"
                    for name in (
                        "test_what_changes_between_being_found_and_being_locked_is_left_to_its_triggers",
                        "test_who_is_forgotten_while_a_requeue_has_the_row_is_off_the_queue",
                        "test_a_requeue_leaves_out_who_is_being_forgotten",
                    )
                ),
            ),
        },
    ),
    Fault(
        "a claim that does not look whether a requeued row still stands",
        {
            "postgresql": Form(
                (Edit(_CLAIMING, "CASE WHEN requeued IS NULL OR", "CASE WHEN true OR"),),
                tuple(
                    "tests/jobs/scoring/test_requeue.py::test_what_a_clinic_takes_away_in_an_older_snapshot_is_not_claimed"
                    f"[requeue_stale-{level}]"
                    for level in ("REPEATABLE READ", "SERIALIZABLE")
                ),
            ),
        },
    ),
    _on_both(
        "looks at the holdout are counted without those of dry runs",
        Edit(
            "pima/store/models/beside_verdicts.py",
            "AND status = 'succeeded' AND {asked}",
            "AND status = 'succeeded' AND trigger <> 'dry_run' AND {asked}",
        ),
        caught_by="tests/jobs/retraining/test_gate.py::test_a_dry_run_has_asked_the_holdout_too[DATABASE]",
    ),
    _on_both(
        "each look lets a first champion past the score as the first one does",
        Edit(
            "pima/core/verdicts/reasons.py",
            "    return LATER_LOOK_P\n",
            "    return FIRST_LOOK_P\n",
        ),
        caught_by="tests/jobs/retraining/test_score_in_use.py"
        "::test_after_the_first_look_a_model_must_be_more_clearly_better[DATABASE]",
    ),
    _on_both(
        "whether equality says anything is asked of rows that came in different ways, too",
        Edit("pima/core/rows/history.py", '[*names, "Keyed"]', "names"),
        caught_by="tests/unit/core/rows/test_history_holdout.py"
        "::test_rows_that_came_a_second_time_from_a_source_are_twins_however_many_they_are",
    ),
    _on_both(
        "a kept id that another row has by now is no error of its own",
        Edit(
            "pima/intake/sources/pulling.py",
            "            self._require_kept_ids_free(within)\n",
            "",
        ),
        caught_by="tests/jobs/scoring/test_version_counter.py::test_a_kept_id_that_another_row_has_by_now_is_told[DATABASE]",
    ),
    Fault(
        "a new row's outcome may be known in the future",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/store/sqlite/triggers.sql",
                        """BETWEEN '1900-01-01' AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            THEN""",
                        ">= '1900-01-01' THEN",
                    ),
                ),
                (f"{_BEFORE_IT_IS}[sqlite]",),
            ),
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/triggers.sql",
                        "WHEN NEW.labelled_at BETWEEN '1900-01-01 UTC' AND "
                        "pg_catalog.clock_timestamp() THEN",
                        "WHEN NEW.labelled_at >= '1900-01-01 UTC' THEN",
                    ),
                ),
                (f"{_BEFORE_IT_IS}[postgresql]",),
            ),
        },
    ),
    Fault(
        "values that an update replaces are not kept",
        {
            "sqlite": Form(
                (
                    Edit(
                        "pima/store/sqlite/triggers.sql",
                        "    -- Above the row's own, even where the counter was set back.\n",
                        "    DELETE FROM row_history WHERE patient_id = OLD.id;\n",
                    ),
                ),
                (f"{_KEPT}[sqlite]",),
            ),
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/triggers.sql",
                        "WHERE n.version <> o.version;",
                        "WHERE false;",
                    ),
                ),
                (f"{_KEPT}[postgresql]",),
            ),
        },
    ),
    Fault(
        "values are kept only if the trigger sees their prediction",
        {
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/triggers.sql",
                        "WHERE n.version <> o.version;",
                        """WHERE n.version <> o.version
        AND EXISTS (SELECT FROM public.predictions d WHERE d.patient_id = o.id);""",
                    ),
                ),
                tuple(
                    "tests/store/rows/test_row_history.py::test_values_that_are_replaced_beside_a_scorer_that_has_not_committed_stay"
                    f"[glucose = 99-{level}]"
                    for level in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
                ),
            ),
        },
    ),
    _on_both(
        "values that nothing was predicted on are let go too early",
        Edit("pima/store/rows/row_history.py", "timedelta(days=1)", "timedelta()"),
        caught_by="tests/store/rows/test_row_history.py"
        "::test_scoring_lets_go_what_nothing_was_predicted_on_and_a_day_later[DATABASE]",
    ),
    _on_both(
        "values are let go that something was predicted on",
        Edit(
            "pima/store/rows/row_history.py",
            "AND d.patient_version = h.patient_version) IS NULL)",
            "AND d.patient_version > h.patient_version) IS NULL)",
        ),
        caught_by="tests/jobs/scoring/test_row_history_by_log.py"
        "::test_the_history_equals_a_log_of_all_that_was_written[DATABASE-short]",
    ),
    _on_both(
        "a night looks at nothing that was replaced before the last one",
        Edit("pima/store/rows/row_history.py", "looked_at - 2 * LIVES_AT_LEAST", "looked_at"),
        caught_by="tests/store/rows/test_row_history.py"
        "::test_each_night_looks_at_what_was_replaced_since_the_last_one[DATABASE]",
    ),
    Fault(
        "who lets values go waits for others",
        {
            "postgresql": Form(
                (
                    Edit(
                        "pima/store/postgresql/database.py",
                        'unless_held = "FOR {} SKIP LOCKED"',
                        'unless_held = "FOR {} NOWAIT"',
                    ),
                ),
                ("tests/store/rows/test_row_history.py::test_of_two_who_let_go_nobody_waits",),
            ),
        },
    ),
    _on_both(
        "retain deletes the prediction that counts",
        Edit("pima/store/rows/row_history.py", "predictions.patient_version = {counted}", "1 = 0"),
        caught_by="tests/store/rows/test_row_history.py"
        "::test_retain_leaves_the_prediction_that_counts[DATABASE]",
    ),
    _on_both(
        "whom somebody acted on is on both sides of follow-up",
        Edit(
            "pima/store/rows/settling.py",
            'return f" AND NOT {self.acted_upon}" if self.leaves_acted_out else ""',
            'return ""',
        ),
        caught_by="tests/store/rows/test_acted_upon.py"
        "::test_what_was_acted_upon_is_on_neither_side_of_follow_up_and_in_no_figure[DATABASE-False]",
    ),
    _on_both(
        "an action counts since the first prediction that retain has left",
        Edit(
            "pima/store/rows/row_history.py",
            "outcome IS NULL OR acted_at IS NOT NULL OR",
            "outcome IS NULL OR",
        ),
        caught_by="tests/store/rows/test_acted_upon.py"
        "::test_a_first_prediction_that_was_removed_is_known_still[DATABASE]",
    ),
    _on_both(
        "what was acted upon goes by a prediction after it",
        Edit("pima/store/rows/settling.py", "THEN {self.acted_by} ELSE", "THEN {until} ELSE"),
        caught_by="tests/store/rows/test_acted_upon.py"
        "::test_acting_goes_by_what_was_predicted_before_it[DATABASE-False]",
    ),
    Fault(
        "an upgrade waits for its locks, and others behind it",
        {
            "postgresql": Form(
                (Edit("pima/store/postgresql/migrating.py", "MODE NOWAIT", "MODE"),),
                (f"{_UPGRADED}[0.1.0-patients-postgresql]",),
            ),
        },
    ),
)
