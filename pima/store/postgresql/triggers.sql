-- The triggers on patients, which keep row versions, times, keys and the queue true whoever writes.
--
-- `python -m jobs.migrate` runs this file: it puts the schema of patients in the place of public, and the declared
-- features in the place of those between /* features */ and /* end */; between /* copied */ and /* end */ come scores,
-- too, which have more triggers in score_triggers.sql. At every start of a job the triggers that are there are compared
-- with this text.
--
-- All of them fire in sessions of a replica too (ENABLE ALWAYS): loaders such as AWS DMS write in that role. What keeps
-- the queue runs with its owner's rights, so that whoever writes patients needs none on the queue.
--
-- An entry gives way to a newer version, and goes where its row is gone, labelled or another version. So the order in
-- which the triggers of one statement fire does not matter.
--
-- A clinic's own AFTER ROW trigger may label or delete the row that was just written, and ours on the outer statement
-- fire behind it. So ours on the inner statement set pima.look_again until the transaction ends, and the outer ones look
-- at the rows as they stand. Looking always would cost an eighth of each INSERT ... SELECT, and a fifth of an UPDATE.
--
-- No name here is looked up where others may create something: PostgreSQL would take a planted concat(text, text) before
-- its own concat("any"). A path of their own would cost the functions with the writer's rights 2 to 5 in 100 of a write,
-- so they name schemas instead. Their operators are safe: pg_catalog has each for exactly its types, and comes first
-- unless the writer's own path says otherwise.

-- A new row has its version and times by the defaults of their columns. Only an outcome needs its time, and a row whose
-- writer sends all columns another version: `INSERT INTO patients SELECT * FROM a_copy` may bring other values. A version
-- counts only if it is the counter's last value, which the default has just drawn and no earlier row of this id can have:
-- each deletion draws one, too.
CREATE OR REPLACE FUNCTION public.stamp_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version IS DISTINCT FROM pg_catalog.pg_sequence_last_value('public.patient_version') THEN
        NEW.version := pg_catalog.nextval('public.patient_version');
    END IF;
    -- Whoever knows when the outcome became known says so. Nobody knows it before it is, and what lies before 1900 is a
    -- sign for not known, or a day that Excel counted.
    NEW.labelled_at := CASE WHEN NEW.outcome IS NULL THEN NULL
        WHEN NEW.labelled_at BETWEEN '1900-01-01 UTC' AND pg_catalog.clock_timestamp() THEN NEW.labelled_at
        ELSE pg_catalog.clock_timestamp() END;
    RETURN NEW;
END $$;

-- A key that comes again without an id takes the id that it had, and so the row's side: an entry of row_keys never moves
-- to another id. Without an id means here that the id was drawn last in this session and was never used. A given id
-- stays, and enqueue_inserted refuses it if the key had another.
CREATE OR REPLACE FUNCTION public.take_kept_id() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    kept BIGINT;
BEGIN
    SELECT patient_id INTO kept FROM public.row_keys WHERE source = NEW.source AND source_key = NEW.source_key;
    IF kept <> NEW.id THEN
        BEGIN
            IF NEW.id = currval('public.patients_id_seq')
                AND NOT EXISTS (SELECT FROM public.row_keys WHERE patient_id = NEW.id)
                AND NOT EXISTS (SELECT FROM public.patients WHERE id = NEW.id) THEN
                NEW.id := kept;
            END IF;
        EXCEPTION WHEN object_not_in_prerequisite_state THEN
            NULL; -- this session has drawn no id
        END;
    END IF;
    RETURN NEW;
END $$;

-- Another version where a measurement changes, or where an outcome is cleared: the row is to be scored again.
CREATE OR REPLACE FUNCTION public.stamp_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'patients.id is never changed: delete the row and insert another'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.updated_at := pg_catalog.clock_timestamp();
    NEW.version := OLD.version;
    IF (/* features */ NEW.pregnancies, NEW.glucose, NEW.blood_pressure, NEW.skin_thickness, NEW.insulin, NEW.bmi,
            NEW.diabetes_pedigree, NEW.age /* end */)
        IS DISTINCT FROM (/* features */ OLD.pregnancies, OLD.glucose, OLD.blood_pressure, OLD.skin_thickness,
            OLD.insulin, OLD.bmi, OLD.diabetes_pedigree, OLD.age /* end */)
        OR (NEW.outcome IS NULL AND OLD.outcome IS NOT NULL) THEN
        -- Above the row's own, even where the counter was set back: else replaced values would meet those that are kept of
        -- the same version, and the writer an error.
        NEW.version := greatest(pg_catalog.nextval('public.patient_version'), OLD.version + 1);
    END IF;
    IF NEW.outcome IS NULL THEN
        NEW.labelled_at := NULL;
    ELSIF NEW.labelled_at IS DISTINCT FROM OLD.labelled_at AND NEW.labelled_at IS NOT NULL THEN
        IF NEW.labelled_at NOT BETWEEN '1900-01-01 UTC' AND NEW.updated_at THEN
            NEW.labelled_at := NEW.updated_at;
        END IF;
    ELSIF NEW.outcome IS DISTINCT FROM OLD.outcome THEN
        NEW.labelled_at := NEW.updated_at;
    ELSE
        NEW.labelled_at := coalesce(OLD.labelled_at, NEW.updated_at);
    END IF;
    RETURN NEW;
END $$;

-- Before rows go: whatever comes again under their ids has a newer version.
CREATE OR REPLACE FUNCTION public.draw_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.nextval('public.patient_version');
    RETURN NULL;
END $$;

-- Of a row whose version is the last one, or above it since the counter was set back. Each number is drawn: to set the
-- counter could set it back for somebody else.
CREATE OR REPLACE FUNCTION public.draw_version_above() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE pg_catalog.nextval('public.patient_version') <= OLD.version LOOP
        NULL;
    END LOOP;
    RETURN OLD;
END $$;

-- The functions below keep their plans for a session, which may have begun with a single row on an empty table. So they
-- look up by key, always (enable_seqscan); OFFSET 0 keeps the planner from making a join of a look-up.

-- What new rows are called, and the rows that are to be scored.
CREATE OR REPLACE FUNCTION public.enqueue_inserted() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    kept BIGINT;
BEGIN
    INSERT INTO public.scoring_queue (patient_id, patient_version, /* copied */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    SELECT id, version, /* copied */ pregnancies, glucose, blood_pressure, skin_thickness, insulin, bmi,
        diabetes_pedigree, age /* end */
    FROM new_rows WHERE outcome IS NULL
    ON CONFLICT (patient_id) DO UPDATE
    SET patient_version = EXCLUDED.patient_version, enqueued_at = EXCLUDED.enqueued_at,
        /* copied */ pregnancies = EXCLUDED.pregnancies, glucose = EXCLUDED.glucose,
        blood_pressure = EXCLUDED.blood_pressure, skin_thickness = EXCLUDED.skin_thickness, insulin = EXCLUDED.insulin,
        bmi = EXCLUDED.bmi, diabetes_pedigree = EXCLUDED.diabetes_pedigree, age = EXCLUDED.age /* end */
    WHERE scoring_queue.patient_version < EXCLUDED.patient_version;

    IF current_setting('pima.look_again', true) = 'on' THEN
        DELETE FROM public.scoring_queue q WHERE q.patient_id = ANY (ARRAY(SELECT id FROM new_rows))
            AND NOT EXISTS (SELECT FROM public.patients p
                WHERE p.id = q.patient_id AND p.version = q.patient_version AND p.outcome IS NULL OFFSET 0);
    END IF;

    IF NOT EXISTS (SELECT FROM new_rows WHERE coalesce(source, source_key, person_key) IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    -- A row keeps the side of the holdout that it had when it first came, and an id keeps its source's key.
    INSERT INTO public.row_keys (patient_id, source, source_key, person_key, side_key)
    SELECT n.id, n.source, n.source_key, n.person_key,
        CASE WHEN n.person_key IS NOT NULL THEN 'person ' || n.person_key
             WHEN n.source_key IS NOT NULL THEN concat('source ', n.source, ' ', n.source_key)
             ELSE n.id::text END
    FROM new_rows n WHERE coalesce(n.source, n.source_key, n.person_key) IS NOT NULL ORDER BY n.id
    ON CONFLICT (patient_id) DO UPDATE
    SET source = coalesce(row_keys.source, EXCLUDED.source),
        source_key = coalesce(row_keys.source_key, EXCLUDED.source_key),
        -- As the row stands: an AFTER trigger of the clinic's may have spelt it otherwise since.
        person_key = coalesce((SELECT p.person_key FROM public.patients p WHERE p.id = EXCLUDED.patient_id),
                              row_keys.person_key)
    WHERE row_keys.source_key IS NULL OR EXCLUDED.source_key IS NULL
        OR (row_keys.source, row_keys.source_key) = (EXCLUDED.source, EXCLUDED.source_key);
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF kept < (SELECT count(*) FROM new_rows WHERE coalesce(source, source_key, person_key) IS NOT NULL) THEN
        RAISE EXCEPTION 'this id had another source key, which row_keys has: insert the row under an id of its own'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

-- Rows with another version are to be scored, and labelled ones no longer. Replaced values go into the history.
-- Without nested loops: a plan that was made for a single row would take 30 s for 20,000 of them.
CREATE OR REPLACE FUNCTION public.enqueue_updated() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_nestloop = off AS $$
BEGIN
    -- Whether they were predicted on or not: who has claimed the version may commit its prediction later.
    INSERT INTO public.row_history (patient_id, patient_version, /* features */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    SELECT o.id, o.version, /* features */ o.pregnancies, o.glucose, o.blood_pressure, o.skin_thickness,
        o.insulin, o.bmi, o.diabetes_pedigree, o.age /* end */
    FROM old_rows o JOIN new_rows n ON n.id = o.id WHERE n.version <> o.version;
    INSERT INTO public.scoring_queue (patient_id, patient_version, /* copied */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    SELECT n.id, n.version, /* copied */ n.pregnancies, n.glucose, n.blood_pressure, n.skin_thickness,
        n.insulin, n.bmi, n.diabetes_pedigree, n.age /* end */
    FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE n.outcome IS NULL AND n.version <> o.version
    ON CONFLICT (patient_id) DO UPDATE
    SET patient_version = EXCLUDED.patient_version, enqueued_at = EXCLUDED.enqueued_at,
        /* copied */ pregnancies = EXCLUDED.pregnancies, glucose = EXCLUDED.glucose,
        blood_pressure = EXCLUDED.blood_pressure, skin_thickness = EXCLUDED.skin_thickness, insulin = EXCLUDED.insulin,
        bmi = EXCLUDED.bmi, diabetes_pedigree = EXCLUDED.diabetes_pedigree, age = EXCLUDED.age /* end */
    WHERE scoring_queue.patient_version < EXCLUDED.patient_version;

    IF current_setting('pima.look_again', true) = 'on' OR EXISTS (SELECT FROM old_rows WHERE outcome IS NOT NULL)
        OR EXISTS (SELECT FROM new_rows WHERE outcome IS NOT NULL) THEN
        IF pg_trigger_depth() > 1 THEN
            PERFORM set_config('pima.look_again', 'on', true);
        END IF;
        -- The days of outcomes that come, change or go are counted anew.
        INSERT INTO public.changed_outcomes (labelled_at, index_at)
        SELECT labelled_at, index_at FROM old_rows WHERE outcome IS NOT NULL
        UNION ALL SELECT labelled_at, index_at FROM new_rows WHERE outcome IS NOT NULL;
        DELETE FROM public.scoring_queue q WHERE q.patient_id = ANY (ARRAY(SELECT id FROM new_rows
                WHERE outcome IS NOT NULL OR current_setting('pima.look_again', true) = 'on'))
            AND NOT EXISTS (SELECT FROM public.patients p
                WHERE p.id = q.patient_id AND p.version = q.patient_version AND p.outcome IS NULL OFFSET 0);
    END IF;
    RETURN NULL;
END $$;

-- A row that another key is given, or another person.
CREATE OR REPLACE FUNCTION public.keep_changed_key() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF OLD.source IS NOT NULL AND (NEW.source, NEW.source_key) IS DISTINCT FROM (OLD.source, OLD.source_key) THEN
        RAISE EXCEPTION 'patients.source_key is never changed: delete the row and insert another'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- The row's side goes by what it was called before.
    INSERT INTO public.row_keys (patient_id, source, source_key, person_key, side_key)
    VALUES (NEW.id, NEW.source, NEW.source_key, NEW.person_key,
        CASE WHEN OLD.person_key IS NOT NULL THEN 'person ' || OLD.person_key
             WHEN OLD.source_key IS NOT NULL THEN 'source ' || OLD.source || ' ' || OLD.source_key
             ELSE OLD.id::text END)
    ON CONFLICT (patient_id) DO UPDATE
    SET source = coalesce(row_keys.source, EXCLUDED.source),
        source_key = coalesce(row_keys.source_key, EXCLUDED.source_key),
        -- An update that leaves the person alone tells nothing of a person whom the row came again without.
        person_key = CASE WHEN NEW.person_key IS DISTINCT FROM OLD.person_key
                          THEN (SELECT p.person_key FROM public.patients p WHERE p.id = EXCLUDED.patient_id)
                          ELSE row_keys.person_key END
    WHERE row_keys.source_key IS NULL OR EXCLUDED.source_key IS NULL
        OR (row_keys.source, row_keys.source_key) = (EXCLUDED.source, EXCLUDED.source_key);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this id had another source key, which row_keys has: insert the row under an id of its own'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

-- Not the entry of a row that has come again under the same id, by the same statement or a clinic's own trigger.
CREATE OR REPLACE FUNCTION public.dequeue_deleted() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF pg_trigger_depth() > 1 THEN
        PERFORM set_config('pima.look_again', 'on', true);
    END IF;
    DELETE FROM public.scoring_queue q WHERE q.patient_id = ANY (ARRAY(SELECT id FROM old_rows))
        AND NOT EXISTS (SELECT FROM public.patients p
            WHERE p.id = q.patient_id AND p.version = q.patient_version AND p.outcome IS NULL OFFSET 0);

    INSERT INTO public.row_history (patient_id, patient_version, /* features */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    SELECT id, version, /* features */ pregnancies, glucose, blood_pressure, skin_thickness, insulin, bmi,
        diabetes_pedigree, age /* end */
    FROM old_rows;
    RETURN NULL;
END $$;

-- DELETE, since TRUNCATE would lock the queue against every scorer until the writer commits.
CREATE OR REPLACE FUNCTION public.dequeue_truncated() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM public.scoring_queue q
    WHERE NOT EXISTS (SELECT FROM public.patients p WHERE p.id = q.patient_id OFFSET 0);
    DELETE FROM public.row_history h
    WHERE NOT EXISTS (SELECT FROM public.patients p WHERE p.id = h.patient_id OFFSET 0);
    RETURN NULL;
END $$;

-- Whoever may call a function with its owner's rights could hang it on a table of their own.
REVOKE ALL ON FUNCTION public.take_kept_id(), public.enqueue_inserted(), public.enqueue_updated(),
    public.keep_changed_key(), public.dequeue_deleted(), public.dequeue_truncated() FROM PUBLIC;
-- An update draws its version with the writer's rights.
GRANT USAGE ON SEQUENCE public.patient_version TO PUBLIC;

-- BEFORE triggers fire in the order of their names: these come last, and see the row as it will stand.
CREATE OR REPLACE TRIGGER zzz_patients_inserted BEFORE INSERT ON public.patients
    FOR EACH ROW WHEN (((new.outcome IS NOT NULL) OR (new.labelled_at IS NOT NULL)
        OR (new.version IS DISTINCT FROM pg_sequence_last_value('public.patient_version'::regclass))))
    EXECUTE FUNCTION public.stamp_insert();
-- pima.gives_ids: a load or a pull has looked up each key's id itself. A call for each row costs it a quarter more.
CREATE OR REPLACE TRIGGER zzz_patients_key_inserted BEFORE INSERT ON public.patients
    FOR EACH ROW WHEN (((new.source_key IS NOT NULL)
        AND (current_setting('pima.gives_ids'::text, true) IS DISTINCT FROM 'on'::text)))
    EXECUTE FUNCTION public.take_kept_id();
CREATE OR REPLACE TRIGGER zzz_patients_updated BEFORE UPDATE ON public.patients
    FOR EACH ROW EXECUTE FUNCTION public.stamp_update();
CREATE OR REPLACE TRIGGER patients_inserted AFTER INSERT ON public.patients
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.enqueue_inserted();
CREATE OR REPLACE TRIGGER patients_updated AFTER UPDATE ON public.patients
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.enqueue_updated();
-- Of these columns: to read the condition for each statement costs an UPDATE of one row a tenth.
CREATE OR REPLACE TRIGGER patients_key_changed AFTER UPDATE OF source, source_key, person_key ON public.patients
    FOR EACH ROW WHEN (((old.source IS DISTINCT FROM new.source) OR (old.source_key IS DISTINCT FROM new.source_key)
        OR (old.person_key IS DISTINCT FROM new.person_key)))
    EXECUTE FUNCTION public.keep_changed_key();
CREATE OR REPLACE TRIGGER patients_leave BEFORE TRUNCATE ON public.patients
    FOR EACH STATEMENT EXECUTE FUNCTION public.draw_version();
CREATE OR REPLACE TRIGGER patients_leave_above BEFORE DELETE ON public.patients
    FOR EACH ROW WHEN ((old.version >= COALESCE(pg_sequence_last_value('public.patient_version'::regclass), (0)::bigint)))
    EXECUTE FUNCTION public.draw_version_above();
CREATE OR REPLACE TRIGGER patients_deleted AFTER DELETE ON public.patients
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.dequeue_deleted();
CREATE OR REPLACE TRIGGER patients_truncated AFTER TRUNCATE ON public.patients
    FOR EACH STATEMENT EXECUTE FUNCTION public.dequeue_truncated();

ALTER TABLE public.patients ENABLE ALWAYS TRIGGER zzz_patients_inserted;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER zzz_patients_key_inserted;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER zzz_patients_updated;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_inserted;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_updated;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_key_changed;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_leave;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_leave_above;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_deleted;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_truncated;
