"""A night on PostgreSQL by one process, by its own workers, and by those of a Dask cluster, all on
this machine."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benches.endings import child_of
from benches.scale.place import Place
from benches.speed.databases import assert_scored, fill_queue, postgresql_database
from benches.speed.measure import Line, ratio, run_job, seconds, side_by_side
from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

ROWS = 3_000_000
_ROUNDS = 3


def nights(place: Place) -> Iterator[list[Line]]:
    """Whole processes; the cluster is there before. Without Dask in this environment there is one
    process alone."""
    rows = place.rows(ROWS)
    url = postgresql_database(place.uri, "nights", place.trained)
    with ExitStack() as opened:
        peers = {"one": partial(run_job, "score", url)}
        if find_spec("distributed"):
            address = opened.enter_context(cluster(place.folder, url))
            peers["Dask"] = partial(run_job, "score", url, "--dask", address)
            peers["local"] = partial(run_job, "score", url, "--dask", "local")
        took = side_by_side(
            peers, partial(fill_queue, url, rows), lambda _peer: assert_scored(url, rows), _ROUNDS
        )
    what = f"{rows:,} rows, PostgreSQL"
    names = {"Dask": "two workers of a Dask cluster", "local": "its own workers, a core each"}
    compared = [
        ratio(f"{what}: one process with two threads / {names[name]}", took, "one", name, ">=", 0.8)
        for name in peers
        if name != "one"
    ]
    yield [
        *compared,
        *(
            seconds(f"{what}: {names.get(name, 'one process')}, seconds", took[name])
            for name in peers
        ),
    ]


@contextmanager
def cluster(folder: Path, url: str) -> Iterator[str]:
    """A scheduler and two workers; its address."""
    from distributed import Client

    file = folder / "scheduler.json"
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    known = {"cwd": ROOT, "env": clean_environ() | {"DATABASE_URL": url}, **silent}
    line = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        "--scheduler-file",
        str(file),
        "--nworkers",
        "2",
    ]
    options = ["--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    with (
        child_of([*line, "--no-dashboard", "--scheduler-file", str(file)], **known),
        child_of([*worker, *options], **known),
    ):
        until = time.monotonic() + 60
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < until
            time.sleep(0.1)
        address: str = json.loads(file.read_text())["address"]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address
