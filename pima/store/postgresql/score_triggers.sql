
-- What scores need, where any are declared. A score is copied into the queue with the measurements (triggers.sql), and
-- the copy follows it while the row waits. No model sees it: it draws no version and queues nothing.

-- It takes the row as it stands: a clinic's own AFTER ROW trigger may have changed it once more, and this one fires for
-- that change first. If such a trigger changed a row that is not on the queue yet, the triggers below look again.
CREATE OR REPLACE FUNCTION public.follow_scores() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF pg_trigger_depth() > 1 THEN
        PERFORM set_config('pima.look_again', 'on', true);
    END IF;
    UPDATE public.scoring_queue q SET (/* scores */ pregnancies, glucose /* end */)
        = (SELECT /* scores */ p.pregnancies, p.glucose /* end */ FROM public.patients p WHERE p.id = NEW.id)
    WHERE q.patient_id = NEW.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION public.follow_scores_again() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF current_setting('pima.look_again', true) = 'on' THEN
        UPDATE public.scoring_queue q SET (/* scores */ pregnancies, glucose /* end */)
            = (SELECT /* scores */ p.pregnancies, p.glucose /* end */ FROM public.patients p WHERE p.id = q.patient_id)
        WHERE q.patient_id = ANY (ARRAY(SELECT id FROM new_rows));
    END IF;
    RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION public.follow_scores(), public.follow_scores_again() FROM PUBLIC;

CREATE OR REPLACE TRIGGER patients_score_changed AFTER UPDATE ON public.patients
    FOR EACH ROW WHEN (/* scores */ old.pregnancies IS DISTINCT FROM new.pregnancies
        OR old.glucose IS DISTINCT FROM new.glucose /* end */)
    EXECUTE FUNCTION public.follow_scores();
-- By their names they fire behind those that fill the queue.
CREATE OR REPLACE TRIGGER patients_inserted_scores AFTER INSERT ON public.patients
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.follow_scores_again();
CREATE OR REPLACE TRIGGER patients_updated_scores AFTER UPDATE ON public.patients
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.follow_scores_again();

ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_score_changed;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_inserted_scores;
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_updated_scores;
