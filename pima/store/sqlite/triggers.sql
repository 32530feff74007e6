-- The triggers on patients, which keep row versions, times, keys and the queue true whoever writes.
--
-- `python -m jobs.migrate` runs this file, with the declared features in the place of those between /* features */ and
-- /* end */; between /* copied */ and /* end */ come scores, too, which have one more trigger in score_triggers.sql. At
-- every start of a job the triggers that are there are compared with this text, and a trigger of anybody else on these
-- tables is refused: SQLite promises no order, so it could change a row unseen.
--
-- The UPDATEs of patients in here set off the triggers once more at most, whether recursive_triggers is on or not.
-- DELETE and then INSERT instead of REPLACE: the OR clause of the outer statement would override one inside a trigger.
-- Versions come from one counter that never goes back, whatever is deleted.

-- INSERT OR REPLACE fires no delete trigger, so a new row takes the entry of an old one off, too.
CREATE TRIGGER patients_inserted AFTER INSERT ON patients WHEN NEW.outcome IS NULL
BEGIN
    UPDATE patient_version_counter SET last = last + 1;
    UPDATE patients SET version = (SELECT last FROM patient_version_counter), labelled_at = NULL WHERE id = NEW.id;
    DELETE FROM scoring_queue WHERE patient_id = NEW.id;
    INSERT INTO scoring_queue (patient_id, patient_version, /* copied */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    SELECT NEW.id, last, /* copied */ NEW.pregnancies, NEW.glucose, NEW.blood_pressure,
        NEW.skin_thickness, NEW.insulin, NEW.bmi, NEW.diabetes_pedigree, NEW.age /* end */
    FROM patient_version_counter;
END;

-- Whoever knows when the outcome became known says so. Nobody knows it before it is, and what lies before 1900 is a sign
-- for not known, or a day that Excel counted: SQLite takes 45991 for one in 4588 BC. What looks like a time and is none is
-- refused: SQLite takes 12:00 for a noon of 2000, and 2020-06-31 for the 1st of July. A modifier makes 24:00 the next day.
CREATE TRIGGER patients_labelled AFTER INSERT ON patients WHEN NEW.outcome IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'labelled_at is a time as 2026-10-31 14:30, with a zone as +01:00 where it is not UTC')
    WHERE NEW.labelled_at GLOB '[0-9]*[-:]*' AND (julianday(NEW.labelled_at) IS NULL
        OR date(substr(NEW.labelled_at, 1, 10), '+0 days') IS NOT substr(NEW.labelled_at, 1, 10));
    UPDATE patient_version_counter SET last = last + 1;
    UPDATE patients SET version = (SELECT last FROM patient_version_counter),
        labelled_at = CASE WHEN strftime('%Y-%m-%dT%H:%M:%fZ', NEW.labelled_at, '+0 days')
                BETWEEN '1900-01-01' AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            THEN strftime('%Y-%m-%dT%H:%M:%fZ', NEW.labelled_at, '+0 days')
            ELSE strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END
    WHERE id = NEW.id;
    DELETE FROM scoring_queue WHERE patient_id = NEW.id;
END;

-- A measurement changes, or an outcome is cleared: another version is to be scored, and the replaced values are kept.
CREATE TRIGGER patients_changed
AFTER UPDATE OF /* features */ pregnancies, glucose, blood_pressure, skin_thickness, insulin, bmi, diabetes_pedigree,
    age /* end */, outcome ON patients
WHEN (NEW.outcome IS NULL AND OLD.outcome IS NOT NULL)
    OR /* features */ NEW.pregnancies IS NOT OLD.pregnancies OR NEW.glucose IS NOT OLD.glucose
    OR NEW.blood_pressure IS NOT OLD.blood_pressure OR NEW.skin_thickness IS NOT OLD.skin_thickness
    OR NEW.insulin IS NOT OLD.insulin OR NEW.bmi IS NOT OLD.bmi OR NEW.diabetes_pedigree IS NOT OLD.diabetes_pedigree
    OR NEW.age IS NOT OLD.age /* end */
BEGIN
    INSERT INTO row_history (patient_id, patient_version, /* features */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    VALUES (OLD.id, OLD.version, /* features */ OLD.pregnancies, OLD.glucose, OLD.blood_pressure, OLD.skin_thickness,
        OLD.insulin, OLD.bmi, OLD.diabetes_pedigree, OLD.age /* end */);
    -- Above the row's own, even where the counter was set back.
    UPDATE patient_version_counter SET last = max(last, OLD.version) + 1;
    UPDATE patients SET version = (SELECT last FROM patient_version_counter),
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = NEW.id;
    DELETE FROM scoring_queue WHERE patient_id = NEW.id;
    INSERT INTO scoring_queue (patient_id, patient_version, /* copied */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    SELECT NEW.id, last, /* copied */ NEW.pregnancies, NEW.glucose,
        NEW.blood_pressure, NEW.skin_thickness, NEW.insulin, NEW.bmi, NEW.diabetes_pedigree, NEW.age /* end */
    FROM patient_version_counter WHERE NEW.outcome IS NULL;
END;

-- An outcome comes, changes or is cleared, or somebody says when it became known. A new row's version comes with its
-- label's time, and is no business of this one.
CREATE TRIGGER patients_outcome_changed AFTER UPDATE OF outcome, labelled_at ON patients
WHEN NEW.version IS OLD.version AND (NEW.outcome IS NOT OLD.outcome OR NEW.labelled_at IS NOT OLD.labelled_at)
BEGIN
    SELECT RAISE(ABORT, 'labelled_at is a time as 2026-10-31 14:30, with a zone as +01:00 where it is not UTC')
    WHERE NEW.labelled_at IS NOT OLD.labelled_at AND NEW.labelled_at GLOB '[0-9]*[-:]*'
        AND (julianday(NEW.labelled_at) IS NULL
            OR date(substr(NEW.labelled_at, 1, 10), '+0 days') IS NOT substr(NEW.labelled_at, 1, 10));
    UPDATE patients SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), labelled_at = CASE
        WHEN NEW.outcome IS NULL THEN NULL
        WHEN NEW.outcome IS OLD.outcome AND NEW.labelled_at IS NULL THEN OLD.labelled_at
        WHEN NEW.labelled_at IS NOT OLD.labelled_at
            AND strftime('%Y-%m-%dT%H:%M:%fZ', NEW.labelled_at, '+0 days')
                BETWEEN '1900-01-01' AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        THEN strftime('%Y-%m-%dT%H:%M:%fZ', NEW.labelled_at, '+0 days')
        ELSE strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END
    WHERE id = NEW.id;
    DELETE FROM scoring_queue WHERE patient_id = NEW.id AND NEW.outcome IS NOT NULL;
    -- The days of both are counted anew.
    INSERT INTO changed_outcomes (labelled_at, index_at)
    SELECT OLD.labelled_at, OLD.index_at WHERE OLD.outcome IS NOT NULL
    UNION ALL SELECT labelled_at, index_at FROM patients WHERE id = NEW.id AND outcome IS NOT NULL;
END;

-- However a moment is written, it is kept in one form. It has triggers of its own, so that rows without it pay nothing. No
-- model sees it: it draws no version and queues nothing.
CREATE TRIGGER patients_index_inserted AFTER INSERT ON patients
WHEN NEW.index_at IS NOT NULL AND NEW.index_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.index_at, '+0 days')
BEGIN
    SELECT RAISE(ABORT, 'index_at is a time as 2026-10-31 14:30, with a zone as +01:00 where it is not UTC')
    WHERE julianday(NEW.index_at) IS NULL
        OR date(substr(NEW.index_at, 1, 10), '+0 days') IS NOT substr(NEW.index_at, 1, 10);
    UPDATE patients SET index_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.index_at, '+0 days') WHERE id = NEW.id;
END;

CREATE TRIGGER patients_index_changed AFTER UPDATE OF index_at ON patients
WHEN NEW.version IS OLD.version AND NEW.index_at IS NOT OLD.index_at
BEGIN
    SELECT RAISE(ABORT, 'index_at is a time as 2026-10-31 14:30, with a zone as +01:00 where it is not UTC')
    WHERE NEW.index_at IS NOT NULL AND (julianday(NEW.index_at) IS NULL
        OR date(substr(NEW.index_at, 1, 10), '+0 days') IS NOT substr(NEW.index_at, 1, 10));
    UPDATE patients SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
        index_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.index_at, '+0 days')
    WHERE id = NEW.id;
    INSERT INTO changed_outcomes (labelled_at, index_at)
    SELECT OLD.labelled_at, OLD.index_at WHERE OLD.outcome IS NOT NULL
    UNION ALL SELECT labelled_at, index_at FROM patients WHERE id = NEW.id AND outcome IS NOT NULL;
END;

CREATE TRIGGER patients_acted_inserted AFTER INSERT ON patients
WHEN NEW.acted_at IS NOT NULL AND NEW.acted_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.acted_at, '+0 days')
BEGIN
    SELECT RAISE(ABORT, 'acted_at is a time as 2026-10-31 14:30, with a zone as +01:00 where it is not UTC')
    WHERE julianday(NEW.acted_at) IS NULL
        OR date(substr(NEW.acted_at, 1, 10), '+0 days') IS NOT substr(NEW.acted_at, 1, 10);
    UPDATE patients SET acted_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.acted_at, '+0 days') WHERE id = NEW.id;
END;

CREATE TRIGGER patients_acted_changed AFTER UPDATE OF acted_at ON patients
WHEN NEW.version IS OLD.version AND NEW.acted_at IS NOT OLD.acted_at
BEGIN
    SELECT RAISE(ABORT, 'acted_at is a time as 2026-10-31 14:30, with a zone as +01:00 where it is not UTC')
    WHERE NEW.acted_at IS NOT NULL AND (julianday(NEW.acted_at) IS NULL
        OR date(substr(NEW.acted_at, 1, 10), '+0 days') IS NOT substr(NEW.acted_at, 1, 10));
    UPDATE patients SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
        acted_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.acted_at, '+0 days')
    WHERE id = NEW.id;
    INSERT INTO changed_outcomes (labelled_at, index_at)
    SELECT OLD.labelled_at, OLD.index_at WHERE OLD.outcome IS NOT NULL
    UNION ALL SELECT labelled_at, index_at FROM patients WHERE id = NEW.id AND outcome IS NOT NULL;
END;

CREATE TRIGGER patients_deleted AFTER DELETE ON patients
BEGIN
    -- Whatever comes again under the id has a newer version, also where the counter was set back.
    UPDATE patient_version_counter SET last = OLD.version WHERE last < OLD.version;
    DELETE FROM scoring_queue WHERE patient_id = OLD.id;
    INSERT INTO row_history (patient_id, patient_version, /* features */ pregnancies, glucose, blood_pressure,
        skin_thickness, insulin, bmi, diabetes_pedigree, age /* end */)
    VALUES (OLD.id, OLD.version, /* features */ OLD.pregnancies, OLD.glucose, OLD.blood_pressure, OLD.skin_thickness,
        OLD.insulin, OLD.bmi, OLD.diabetes_pedigree, OLD.age /* end */);
END;

-- What a row was called when it first came, and whose it is.
CREATE TRIGGER patients_key_inserted AFTER INSERT ON patients
WHEN coalesce(NEW.source, NEW.source_key, NEW.person_key) IS NOT NULL
BEGIN
    INSERT INTO row_keys (patient_id, source, source_key, person_key, side_key)
    VALUES (NEW.id, NEW.source, NEW.source_key, NEW.person_key,
        CASE WHEN NEW.person_key IS NOT NULL THEN 'person ' || NEW.person_key
             WHEN NEW.source_key IS NOT NULL THEN 'source ' || NEW.source || ' ' || NEW.source_key
             ELSE CAST(NEW.id AS TEXT) END)
    ON CONFLICT (patient_id) DO UPDATE
    SET source = coalesce(row_keys.source, excluded.source),
        source_key = coalesce(row_keys.source_key, excluded.source_key),
        person_key = coalesce(excluded.person_key, row_keys.person_key);
END;

CREATE TRIGGER patients_key_changed AFTER UPDATE OF source, source_key, person_key ON patients
WHEN NEW.source IS NOT OLD.source OR NEW.source_key IS NOT OLD.source_key OR NEW.person_key IS NOT OLD.person_key
BEGIN
    SELECT RAISE(ABORT, 'patients.source_key is never changed: delete the row and insert another')
    WHERE OLD.source_key IS NOT NULL AND (NEW.source IS NOT OLD.source OR NEW.source_key IS NOT OLD.source_key);
    -- The row's side goes by what it was called before.
    INSERT INTO row_keys (patient_id, source, source_key, person_key, side_key)
    VALUES (NEW.id, NEW.source, NEW.source_key, NEW.person_key,
        CASE WHEN OLD.person_key IS NOT NULL THEN 'person ' || OLD.person_key
             WHEN OLD.source_key IS NOT NULL THEN 'source ' || OLD.source || ' ' || OLD.source_key
             ELSE CAST(OLD.id AS TEXT) END)
    ON CONFLICT (patient_id) DO UPDATE
    SET source = coalesce(row_keys.source, excluded.source),
        source_key = coalesce(row_keys.source_key, excluded.source_key),
        -- An update that leaves the person alone tells nothing of a person whom the row came again without.
        person_key = CASE WHEN NEW.person_key IS NOT OLD.person_key THEN excluded.person_key
                          ELSE row_keys.person_key END;
END;

-- Looked at here, and not left to the table's constraints, which the OR IGNORE or OR REPLACE of whoever writes patients
-- would override.
CREATE TRIGGER row_keys_are_sound BEFORE INSERT ON row_keys
BEGIN
    SELECT RAISE(ABORT, 'source and source_key are both there or both NULL, a source is a lower-case letter, then lower-case letters, digits and underscores, 30 in all, and keys have 1 to 200 bytes')
    WHERE (NEW.source IS NULL) <> (NEW.source_key IS NULL) OR NEW.source NOT GLOB '[a-z]*'
        OR NEW.source GLOB '*[^a-z0-9_]*' OR length(NEW.source) > 30
        OR length(CAST(NEW.source_key AS BLOB)) NOT BETWEEN 1 AND 200
        OR length(CAST(NEW.person_key AS BLOB)) NOT BETWEEN 1 AND 200;
    -- It names the id, and RAISE takes no text that is put together before SQLite 3.47: so it is told as a JSON path.
    SELECT json_extract('{}', 'this source key had the id ' || patient_id || ': insert the row under that id')
    FROM row_keys WHERE source = NEW.source AND source_key = NEW.source_key AND patient_id <> NEW.patient_id;
    SELECT RAISE(ABORT, 'this id had another source key, which row_keys has: insert the row under an id of its own')
    FROM row_keys
    WHERE patient_id = NEW.patient_id AND source_key IS NOT NULL AND NEW.source_key IS NOT NULL
        AND (source IS NOT NEW.source OR source_key IS NOT NEW.source_key);
END;

-- Whatever name a statement has for the id, which may be rowid, _rowid_ or oid: so it names no column.
CREATE TRIGGER patients_id_is_fixed BEFORE UPDATE ON patients WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'patients.id is never changed: delete the row and insert another');
END;

-- The next drawn id is above every given one. Of an id that is still to be drawn NEW.id is -1 here.
CREATE TRIGGER patients_id_leaves_room BEFORE INSERT ON patients WHEN NEW.id > 4611686018427387904
BEGIN
    SELECT RAISE(ABORT, 'patients.id is at most 4611686018427387904, so that there are ids left to draw');
END;

-- The triggers above set the counter's.
CREATE TRIGGER patients_version_is_drawn BEFORE UPDATE OF version ON patients
WHEN NEW.version IS NOT OLD.version AND NEW.version <> (SELECT last FROM patient_version_counter)
BEGIN
    SELECT RAISE(ABORT, 'version is set by the database: leave it out');
END;
