"""python -m jobs.scheduler: the container's main process, which starts the other jobs at their
times. These are jobs.score and jobs.retrain, and jobs.pull before them if there are sources, each
as a child process. It ends with 0 when asked to stop."""

from functools import partial
from importlib.util import find_spec

from jobs.command import Command, Result, end_with, main_of
from pima.errors import WrongConfiguration, extra_missing
from pima.intake.sources.source_engine import make_source_engine
from pima.logs import get_logger, resolved_look
from pima.runs.children import job_command
from pima.runs.recorded_run import ping
from pima.runs.scheduler import Scheduler, run_until_stopped
from pima.settings.reading import (
    database_url,
    read_with_declaration,
    require_urls_of_sources,
    source_url,
)
from pima.settings.sections import JOBS, STARTED, Settings
from pima.store.urls import make_engine
from pima.watch.alerts import BackgroundTelling, Teller, receivers
from pima.watch.metrics import serve_metrics


def _work(command: Command) -> Result:
    settings = command.settings
    telling = BackgroundTelling(partial(_tell, command) if _can_tell(settings) else None)

    def tell_of_end(job: str, status: str) -> None:
        ping(settings.ping, job, status)
        telling.wake()

    # An error that would end every child also ends the scheduler.
    for job in STARTED if settings.sources else JOBS:
        make_engine(database_url(command.environ, job), settings.database).dispose()
    for source in settings.sources:
        make_source_engine(
            source.name, source_url(command.environ, source.name), settings.database
        ).dispose()
    # An error that ends only pulls does not stop the other jobs. It is logged here, since without a
    # declared source no pull would report it.
    try:
        require_urls_of_sources(command.environ, settings.sources)
    except WrongConfiguration as error:
        get_logger().warning(
            f"no source is pulled until this is corrected: {error}", error_code=error.code
        )
    read_current = partial(read_with_declaration, command.options.config, command.environ)
    serve_metrics(command.engine, settings.metrics, read_current)
    command_of = job_command(command.options.config)
    # No child needs these secrets.
    environ = {
        name: value
        for name, value in command.environ.items()
        if not name.startswith("PIMA_ALERTS__")
    }
    # A child's stderr is a pipe, but its lines should look like these.
    if settings.logs.format == "auto":
        environ["PIMA_LOGS__FORMAT"] = resolved_look("auto")
        environ.pop("PIMA_LOGS__FORMAT_FILE", None)
    scheduler = Scheduler(
        command.engine,
        settings.schedule,
        command_of,
        environ,
        on_end=tell_of_end,
        sources=settings.source_names,
    )
    with telling:
        run_until_stopped(scheduler, command.stop)
    return {"stopped": "as asked"}


def _can_tell(settings: Settings) -> bool:
    """Whether alerts can be sent: receivers are named, and apprise is installed. If not, the
    scheduler still runs."""
    if not receivers(settings.alerts):
        return False
    if find_spec("apprise") is None:
        missing = extra_missing("alerts")
        get_logger().error(str(missing), error_code=missing.code)
        return False
    return True


def _tell(command: Command) -> None:
    """Send alerts by the current settings, which the children also read."""
    environ = command.environ
    settings, declaration = read_with_declaration(command.options.config, environ)
    Teller(command.engine, settings, declaration, environ, is_scheduler=True).tell()


def _show(result: Result) -> None:
    get_logger().info("stopped", why=result["stopped"])


main = main_of("jobs.scheduler", __doc__, _work, _show)

if __name__ == "__main__":
    end_with(main)
