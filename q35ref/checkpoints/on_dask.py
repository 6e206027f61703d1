"""The jobs of a conversion on Dask: a cluster that runs already, or one of this machine's processes.

Each tensor is a task. Tasks write their results themselves, so that no tensor goes through the scheduler: workers must
see the source and the destination under the paths that they have here, and have q35ref installed.
"""

import contextlib
import importlib
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final

from q35ref.backends.native.library import THREADS_VARIABLE
from q35ref.checkpoints.jobs import Job
from q35ref.checkpoints.runners import (
    RETRIES,
    Outcome,
    Runner,
    check_workers,
    share,
    without_interrupts,
    worker_died,
)
from q35ref.quality import Quality

LOCAL: Final = "local"
"""The address that stands for a new cluster of this machine's processes."""

CONNECT_SECONDS: Final = 10
"""How long a scheduler may take to answer."""

INSTALL: Final = "pip install 'q35ref[dask]'"
"""What brings the package."""


class DaskUnavailable(RuntimeError):
    """The package is not installed, or no scheduler answers, or not any more; the text says what to do."""


def on_cluster(address: str = LOCAL, workers: int = 1, retries: int = RETRIES) -> Runner:
    """Return a :data:`~q35ref.checkpoints.runners.Runner` that gives the jobs to Dask.

    ``address`` is a scheduler's, as ``tcp://host:8786``, or ``"local"`` for a new cluster of ``workers`` processes with
    one task each at a time, which ends with the work. Dask does the task of a worker that died again, ``retries`` times
    on a local cluster, elsewhere as often as its setting ``distributed.scheduler.allowed-failures`` says. For a
    script that makes a local cluster, what :func:`~q35ref.checkpoints.runners.in_processes` says of scripts holds too.
    Errors: ValueError; DaskUnavailable, here and while it works.
    """
    check_workers(workers, retries)
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise DaskUnavailable(f"dask: expected the package distributed, found none: {INSTALL}") from error

    def run(jobs: Sequence[Job], starting: Callable[[Job], None]) -> Generator[tuple[int, Quality | None], None, None]:
        connected = _local(distributed, workers, retries) if address == LOCAL else _remote(distributed, address)
        with connected as client:
            keys = [f"q35ref-{number}-{os.urandom(8).hex()}" for number in range(len(jobs))]
            numbers = {key: number for number, key in enumerate(keys)}
            futures = client.map(Outcome.of, list(jobs), key=keys, pure=False, retries=retries)
            try:
                for future in distributed.as_completed(futures, loop=client.loop):
                    number = numbers[future.key]
                    starting(jobs[number])  # Dask does not say when: a job is told of when its end is known
                    try:
                        outcome: Outcome = future.result()  # waits anew if the worker has died since, its result unread
                    except distributed.KilledWorker as error:
                        raise worker_died(jobs[number], error.allowed_failures + 1, "a worker of Dask") from error
                    except (distributed.CancelledError, OSError) as error:
                        how = type(error).__name__
                        raise DaskUnavailable(f"dask: the scheduler went away, or cancelled a task ({how})") from error
                    future.release()
                    yield number, outcome.result()
            finally:
                with contextlib.suppress(Exception):  # a cluster that is gone has nothing to cancel
                    client.cancel(futures)

    return run


@contextlib.contextmanager
def _local(distributed: Any, workers: int, retries: int) -> Iterator[Any]:
    """Yield the client of a new cluster on this machine, which ends with the block."""
    settings = {
        "distributed.scheduler.allowed-failures": retries,
        "distributed.scheduler.worker-saturation": 1.0,  # no task waits on a worker, to die with another's
    }
    threads = os.environ.get(THREADS_VARIABLE) or str(share(workers))
    dask = importlib.import_module("dask")
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        with without_interrupts():
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=None,  # Dask would end a worker at its share of the memory, however much is free
                dashboard_address="127.0.0.1:0",  # nobody's: any port
                silence_logs=logging.CRITICAL,
                env={THREADS_VARIABLE: threads},
            )
            stack.enter_context(cluster)
        yield stack.enter_context(distributed.Client(cluster, set_as_default=False))


@contextlib.contextmanager
def _remote(distributed: Any, address: str) -> Iterator[Any]:
    """Yield a client of a cluster that is there. Errors: DaskUnavailable."""
    try:
        distributed.comm.get_address_host_port(address)  # a client that is given no address takes long to go away
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise DaskUnavailable(f"dask: expected a scheduler at {address!r}, found none: {error}") from error
    with client:
        yield client
