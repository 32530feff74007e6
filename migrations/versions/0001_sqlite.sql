-- pima's schema on SQLite. Tables are STRICT, which knows the types INTEGER, REAL, TEXT and BLOB only; moments are
-- ISO 8601 texts in UTC. The triggers on patients stand in pima/store/sqlite/triggers.sql.

-- Patients, what they are called, and the queue ---------------------------------------------------------------------

-- One row a patient, or a visit; the clinic's own software writes here. The features' columns stand between the
-- markers: `python -m jobs.migrate` puts those of the declaration in their place.
CREATE TABLE patients (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- features
    pregnancies REAL,
    glucose REAL,
    blood_pressure REAL,
    skin_thickness REAL,
    insulin REAL,
    bmi REAL,
    diabetes_pedigree REAL,
    age REAL,
    -- end of features
    outcome INTEGER,
    labelled_at TEXT,
    version INTEGER NOT NULL DEFAULT 0,
    recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    source TEXT,
    source_key TEXT,
    person_key TEXT,
    CONSTRAINT ck_patients_outcome CHECK (outcome IN (0, 1)),
    CONSTRAINT ck_patients_id CHECK (id > 0)
) STRICT;

-- The newest outcomes, for what came true; the weekly read of all labelled rows goes through it too.
CREATE INDEX ix_patients_labelled_at ON patients (labelled_at) WHERE labelled_at IS NOT NULL;

CREATE UNIQUE INDEX ix_patients_source_source_key ON patients (source, source_key) WHERE source_key IS NOT NULL;

-- What rows with keys were called when they first came, which decides their side of the holdout, and whose they are by
-- now. It outlives the rows.
CREATE TABLE row_keys (
    patient_id INTEGER NOT NULL CONSTRAINT pk_row_keys PRIMARY KEY,
    source TEXT,
    source_key TEXT,
    side_key TEXT NOT NULL,
    first_seen_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    person_key TEXT,
    CONSTRAINT uq_row_keys_source_source_key UNIQUE (source, source_key),
    CONSTRAINT ck_row_keys_source CHECK (source GLOB '[a-z]*' AND source NOT GLOB '*[^a-z0-9_]*' AND length(source) <= 30),
    CONSTRAINT ck_row_keys_source_key CHECK ((source IS NULL) = (source_key IS NULL)
        AND length(CAST(source_key AS BLOB)) BETWEEN 1 AND 200),
    CONSTRAINT ck_row_keys_person_key CHECK (length(CAST(person_key AS BLOB)) BETWEEN 1 AND 200)
) STRICT;

-- How far the last pull of each source came, so that the next one need not compare all of it.
CREATE TABLE source_pulls (
    source TEXT NOT NULL CONSTRAINT pk_source_pulls PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    changed_up_to TEXT,
    compared_whole_at TEXT,
    completed_at TEXT
) STRICT;

-- Rows of sources that a pull could not take in as they are there, and since when; never their values.
CREATE TABLE source_rejections (
    source TEXT NOT NULL,
    source_key TEXT NOT NULL,
    reason TEXT NOT NULL,
    field TEXT NOT NULL,
    since TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT pk_source_rejections PRIMARY KEY (source, source_key)
) STRICT;

-- Row versions that wait, with all that scoring needs, so that it needs no right on patients.
CREATE TABLE scoring_queue (
    patient_id INTEGER NOT NULL CONSTRAINT pk_scoring_queue PRIMARY KEY,
    patient_version INTEGER NOT NULL,
    -- features
    pregnancies REAL,
    glucose REAL,
    blood_pressure REAL,
    skin_thickness REAL,
    insulin REAL,
    bmi REAL,
    diabetes_pedigree REAL,
    age REAL,
    -- end of features
    enqueued_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- Files that were loaded, so that none is taken in twice.
CREATE TABLE loads (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL,
    file_name TEXT NOT NULL,
    rows INTEGER NOT NULL,
    loaded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- Who was forgotten: a salted hash of each name that they had, by which loads and pulls refuse them.
CREATE TABLE forgotten (
    mark TEXT NOT NULL CONSTRAINT pk_forgotten PRIMARY KEY,
    since TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    decided_by TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

-- Row versions come from one counter, which the triggers move.
CREATE TABLE patient_version_counter (
    id INTEGER NOT NULL CONSTRAINT pk_patient_version_counter PRIMARY KEY,
    last INTEGER NOT NULL,
    CONSTRAINT ck_patient_version_counter_one_row CHECK (id = 1)
) STRICT;

INSERT INTO patient_version_counter (id, last) VALUES (1, 0);

-- What became of the rows -------------------------------------------------------------------------------------------

-- Append-only until `retain` removes what is old.
CREATE TABLE predictions (
    patient_id INTEGER NOT NULL,
    patient_version INTEGER NOT NULL,
    model_version INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    probability REAL NOT NULL,
    predicted_class INTEGER NOT NULL,
    threshold REAL NOT NULL,
    scored_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT pk_predictions PRIMARY KEY (patient_id, patient_version, model_version),
    CONSTRAINT ck_predictions_probability CHECK (probability >= 0 AND probability <= 1),
    CONSTRAINT ck_predictions_predicted_class CHECK (predicted_class IN (0, 1))
) STRICT;

-- Row versions that could not be scored: the first rule that each broke and the column, never a value.
CREATE TABLE rejections (
    patient_id INTEGER NOT NULL,
    patient_version INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    field TEXT NOT NULL,
    rejected_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT pk_rejections PRIMARY KEY (patient_id, patient_version)
) STRICT;

-- What each run of scoring counted, by the bins of its version's reference; later runs pool it where they are small.
-- Of a run that several workers share, each leaves its own under some number; 0 has the night's last word.
CREATE TABLE tallies (
    run_id INTEGER NOT NULL,
    part INTEGER NOT NULL,
    model_version INTEGER NOT NULL,
    tally TEXT NOT NULL,
    recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT pk_tallies PRIMARY KEY (run_id, part)
) STRICT;

-- A row a run, feature and figure; no feature where it is about all rows. Beyond its limit is a value that lies farther
-- from the reference than allowed.
CREATE TABLE monitoring (
    run_id INTEGER NOT NULL,
    model_version INTEGER NOT NULL,
    feature TEXT NOT NULL,
    figure TEXT NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    rows INTEGER NOT NULL,
    reference REAL,
    allowed REAL,
    state TEXT NOT NULL,
    recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT pk_monitoring PRIMARY KEY (run_id, model_version, feature, figure),
    CONSTRAINT ck_monitoring_state CHECK (state IN ('usual', 'alert', 'insufficient_data', 'no_reference'))
) STRICT;

-- Models, what they were fitted and judged on, and each decision about them -----------------------------------------

-- What is declared: the features; append-only, the highest number counts.
CREATE TABLE declarations (
    number INTEGER NOT NULL CONSTRAINT pk_declarations PRIMARY KEY,
    declaration TEXT NOT NULL,
    since TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    decided_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT ck_declarations_number CHECK (number > 0)
) STRICT;

CREATE TABLE model_versions (
    number INTEGER NOT NULL CONSTRAINT pk_model_versions PRIMARY KEY,
    run_id INTEGER NOT NULL,
    keras_artifact BLOB,
    keras_sha256 TEXT NOT NULL,
    compiled_artifact BLOB,
    compiled_sha256 TEXT NOT NULL,
    threshold REAL NOT NULL,
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL,
    libraries TEXT NOT NULL,
    data_fingerprint TEXT NOT NULL,
    settings_fingerprint TEXT NOT NULL,
    training_rows INTEGER NOT NULL,
    holdout_rows INTEGER NOT NULL,
    rows_left_out TEXT NOT NULL,
    metrics TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    first_labelled_at TEXT,
    last_labelled_at TEXT,
    -- The features that it was fitted on, as they were declared then.
    features TEXT NOT NULL,
    -- Of the rows that it learned from, as Parquet; kept whether its snapshot is or not.
    training_ids BLOB NOT NULL,
    -- Their distributions, in bins of ten rows at least: what nights are compared with.
    reference TEXT NOT NULL,
    CONSTRAINT ck_model_versions_number CHECK (number > 0)
) STRICT;

-- The exact rows that a version was fitted on, as Parquet; for the champion, the one before it and the newest.
CREATE TABLE training_snapshots (
    model_version INTEGER NOT NULL CONSTRAINT pk_training_snapshots PRIMARY KEY,
    content BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    rows INTEGER NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    -- What it was before rows of people who were forgotten were taken out; NULL where none were.
    first_sha256 TEXT,
    CONSTRAINT fk_training_snapshots_model_version FOREIGN KEY (model_version) REFERENCES model_versions (number)
) STRICT;

-- Which holdout rows a verdict was judged on; several verdicts may share one.
CREATE TABLE test_sets (
    fingerprint TEXT NOT NULL CONSTRAINT pk_test_sets PRIMARY KEY,
    patient_ids TEXT NOT NULL,
    rows INTEGER NOT NULL,
    first_labelled_at TEXT,
    last_labelled_at TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    -- When ids of people who were forgotten were last taken out; the fingerprint stays that of all.
    redacted_at TEXT
) STRICT;

-- One row; the sequence number is what a compare-and-swap compares.
CREATE TABLE champion (
    id INTEGER NOT NULL CONSTRAINT pk_champion PRIMARY KEY,
    model_version INTEGER,
    sequence INTEGER NOT NULL,
    pinned INTEGER NOT NULL,
    CONSTRAINT ck_champion_one_row CHECK (id = 1),
    CONSTRAINT ck_champion_pinned CHECK (pinned IN (0, 1)),
    CONSTRAINT fk_champion_model_version FOREIGN KEY (model_version) REFERENCES model_versions (number)
) STRICT;

INSERT INTO champion (id, model_version, sequence, pinned) VALUES (1, NULL, 0, 0);

-- The ledger of every decision; append-only.
CREATE TABLE promotions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    explanation TEXT NOT NULL,
    from_version INTEGER,
    to_version INTEGER,
    challenger INTEGER,
    champion_sequence INTEGER NOT NULL,
    data_fingerprint TEXT,
    settings_fingerprint TEXT,
    figures TEXT NOT NULL,
    run_id INTEGER,
    decided_by TEXT NOT NULL,
    decided_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    test_set_fingerprint TEXT,
    -- Both models' figures on its rows, in all and by subgroup: some 100 kB, which the ledger's readers leave alone.
    evidence TEXT
) STRICT;

-- What retrainings leave for people to look at: pages of HTML, the newest few.
CREATE TABLE reports (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    made_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    html TEXT NOT NULL
) STRICT;

-- Runs, schedules and leases, and what the service remembers of itself ----------------------------------------------

-- What is decided once, when the schema is made.
CREATE TABLE installation (
    id INTEGER NOT NULL CONSTRAINT pk_installation PRIMARY KEY,
    holdout_salt TEXT NOT NULL,
    holdout_share REAL NOT NULL,
    -- Another one: whoever may ask who was forgotten could choose keys by the holdout's.
    forgetting_salt TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT ck_installation_one_row CHECK (id = 1),
    CONSTRAINT ck_installation_holdout_share CHECK (holdout_share > 0 AND holdout_share < 1)
) STRICT;

CREATE TABLE runs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    trigger TEXT NOT NULL,
    scheduled_for TEXT,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    model_version INTEGER,
    counts TEXT NOT NULL,
    error_code TEXT,
    host TEXT NOT NULL,
    started_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    heartbeat_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    finished_at TEXT,
    -- How the child process ended, where a scheduler started it.
    exit_code INTEGER,
    signal TEXT,
    error_line TEXT,
    CONSTRAINT uq_runs_job_scheduled_for_attempt UNIQUE (job, scheduled_for, attempt),
    CONSTRAINT ck_runs_status CHECK (status IN ('running', 'succeeded', 'refused', 'failed', 'try_again_later',
        'interrupted', 'crashed', 'missed', 'skipped'))
) STRICT;

-- What runs have counted that are removed: metrics go on from there.
CREATE TABLE removed_runs (
    job TEXT NOT NULL,
    status TEXT NOT NULL,
    runs INTEGER NOT NULL,
    predicted INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    already_scored INTEGER NOT NULL,
    CONSTRAINT pk_removed_runs PRIMARY KEY (job, status)
) STRICT;

-- What each receiver of alerts was told of each condition that holds, and for a day of each that does no more.
CREATE TABLE alerts (
    receiver INTEGER NOT NULL,
    condition TEXT NOT NULL,
    since TEXT NOT NULL,
    told_at TEXT,
    is_open INTEGER NOT NULL,
    -- Until when somebody is sending.
    claimed_until TEXT,
    -- Why it holds, as a code, and when it was told lately.
    cause TEXT,
    told_lately TEXT,
    -- Of one that comes and goes, when it last did.
    flapped_at TEXT,
    CONSTRAINT pk_alerts PRIMARY KEY (receiver, condition),
    CONSTRAINT ck_alerts_receiver CHECK (receiver > 0),
    CONSTRAINT ck_alerts_is_open CHECK (is_open IN (0, 1))
) STRICT;

-- Since when each job has had its present schedule, and when a scheduler last said that it lives.
CREATE TABLE schedules (
    job TEXT NOT NULL CONSTRAINT pk_schedules PRIMARY KEY,
    expression TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    first_seen_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL
) STRICT;

CREATE TABLE leases (
    name TEXT NOT NULL CONSTRAINT pk_leases PRIMARY KEY,
    owner TEXT NOT NULL,
    fence INTEGER NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;

-- Views -------------------------------------------------------------------------------------------------------------

-- One prediction a patient: of the newest version that has any, the champion's, else the last run's. It is superseded
-- where the row has another version by now, or can't be used any more as it stands in its source.
-- It runs with its owner's rights: who reads it needs none on patients or row_keys. Both are joined by their keys, so
-- that who asks for nothing of them pays nothing, and who asks for much pays no look-up a row.
CREATE VIEW current_predictions AS
    SELECT p.patient_id, p.patient_version, p.model_version, p.run_id, p.probability, p.predicted_class, p.threshold,
           p.scored_at,
           ((t.version <> p.patient_version) IS TRUE
            OR EXISTS (SELECT 1 FROM rejections r
                       WHERE r.patient_id = p.patient_id AND r.patient_version > p.patient_version)
            OR EXISTS (SELECT 1 FROM source_rejections r
                       WHERE r.source = k.source AND r.source_key = k.source_key)) AS superseded,
           k.source, k.source_key, k.person_key,
           t.id IS NULL AS deleted
    FROM predictions p
    LEFT JOIN row_keys k ON k.patient_id = p.patient_id
    LEFT JOIN patients t ON t.id = p.patient_id
    WHERE NOT EXISTS (
        SELECT 1 FROM predictions other
        WHERE other.patient_id = p.patient_id
          AND (other.patient_version,
               CASE WHEN other.model_version = (SELECT model_version FROM champion) THEN 1 ELSE 0 END,
               other.run_id, other.model_version)
              > (p.patient_version,
                 CASE WHEN p.model_version = (SELECT model_version FROM champion) THEN 1 ELSE 0 END,
                 p.run_id, p.model_version));

-- Which version each row of patients has, for whoever counts the rows that have no prediction: no value, no outcome.
CREATE VIEW patient_versions AS
    SELECT id AS patient_id, version AS patient_version, outcome IS NOT NULL AS is_labelled FROM patients;

-- Every prediction with the outcome that came after it, by the names that monitoring tools expect; no patient in it.
CREATE VIEW monitored_predictions AS
    SELECT p.model_version AS model_id, p.scored_at AS timestamp, p.probability AS prediction, t.outcome AS label
    FROM predictions p
    LEFT JOIN patients t ON t.id = p.patient_id AND t.outcome IN (0, 1) AND t.labelled_at >= p.scored_at;
