
-- What groups need, where any are declared. No model sees them: a change draws no version and queues nothing.
CREATE TRIGGER patients_group_changed
AFTER UPDATE OF /* groups */ pregnancies, glucose /* end */ ON patients
WHEN /* groups */ NEW.pregnancies IS NOT OLD.pregnancies OR NEW.glucose IS NOT OLD.glucose /* end */
BEGIN
    UPDATE patients SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;
