
-- What scores need, where any are declared. A score is copied into the queue with the measurements (triggers.sql), and
-- the copy follows it while the row waits. No model sees it: it draws no version and queues nothing.
CREATE TRIGGER patients_score_changed
AFTER UPDATE OF /* scores */ pregnancies, glucose /* end */ ON patients
WHEN /* scores */ NEW.pregnancies IS NOT OLD.pregnancies OR NEW.glucose IS NOT OLD.glucose /* end */
BEGIN
    UPDATE patients SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
    UPDATE scoring_queue SET /* scores */ pregnancies = NEW.pregnancies, glucose = NEW.glucose /* end */
    WHERE patient_id = NEW.id;
END;
