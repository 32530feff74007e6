"""A night by several: what the parent of `jobs.score --processes` and each of its children do, and what the client of a
Dask cluster does."""

from dataclasses import replace
from functools import partial

from jobs.command import Command, Result
from jobs.score_child import score_child
from pima.cluster.processes import require_many, score_by_processes
from pima.cluster.shared_run import NightShare, work_on
from pima.errors import WrongUsage
from pima.logs import mark_lines
from pima.process.recorded_run import OpenRun, recorded_run
from pima.schedule.children import Child
from pima.scoring import ScoreOptions


def work_together(command: Command, options: ScoreOptions) -> Result:
    """A child's part, or all of a run by children or by a cluster."""
    given = command.options
    if given.share is not None:
        return _work_on_share(command, options)
    with recorded_run(command.engine, "score", given.run_id, given.dry_run) as command.run:
        _have_it_scored(command, command.run, options)
    return {"run_id": command.run.id, "dry_run": False, **command.run.counts}


def _have_it_scored(command: Command, run: OpenRun, options: ScoreOptions) -> None:
    given, configured = command.options, command.settings.score
    grace_seconds = command.settings.schedule.grace_seconds
    if given.dask and given.processes:
        raise WrongUsage(what="--processes are of this machine, --dask are others: choose one")
    if given.dask or (configured.dask and not given.processes):
        from pima.cluster.dask_cluster import score_on_dask

        if given.batch_size:
            raise WrongUsage(what="--batch-size: a cluster's workers have their own, PIMA_SCORE__BATCH_ROWS")
        require_many(command.engine, options, 1, configured.most_workers)
        address = given.dask or configured.dask
        most = configured.most_workers
        score_on_dask(command.engine, run, options.rule, address, most, grace_seconds, command.stop)
        return
    processes = given.processes or configured.processes
    require_many(command.engine, options, processes, configured.most_workers)
    launch = partial(_launch, command, options)
    score_by_processes(command.engine, run, options.rule, processes, launch, grace_seconds, command.stop)


def _launch(command: Command, options: ScoreOptions, share: NightShare) -> Child:
    return score_child(command, [f"--share={share}", f"--batch-size={options.batch_rows}"])


def _work_on_share(command: Command, options: ScoreOptions) -> Result:
    """One batch at a time: its connection is one of as many as there are children."""
    share = NightShare.read(command.options.share)
    mark_lines(job="score", run_id=share.run_id)
    work_on(command.engine, share, replace(options, workers=1), command.stop)
    return {}
