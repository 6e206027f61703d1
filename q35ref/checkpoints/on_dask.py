"""The jobs of a conversion on Dask: a cluster that runs already, or one of this machine's processes.

Each tensor is a task. Tasks write their results themselves, so that no tensor goes through the scheduler: workers must
see the source and the destination under the paths that they have here, and have q35ref installed.
"""

import contextlib
import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final

from q35ref.backends.native.library import THREADS_VARIABLE
from q35ref.checkpoints.errors import printable
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

_LOG: Final = logging.getLogger(__name__)

LOCAL: Final = "local"
"""The address that stands for a new cluster of this machine's processes."""

CONNECT_SECONDS: Final = 10
"""How long a scheduler may take to answer."""

LONELY_SECONDS: Final = 120
"""How long the tasks of a local cluster wait while it has no worker: one that died has long been replaced by then."""

CLOSE_SECONDS: Final = 30
"""How long a local cluster may take to end."""

INSTALL: Final = "pip install 'q35ref[dask]'"
"""What brings the package."""


class DaskUnavailable(RuntimeError):
    """The package is not installed, no scheduler answers, or it or its workers are of no use; the text says which."""


def on_cluster(address: str = LOCAL, workers: int = 1, retries: int = RETRIES) -> Runner:
    """Return a :data:`~q35ref.checkpoints.runners.Runner` that gives the jobs to Dask.

    ``address`` is a scheduler's, as ``tcp://host:8786``, or ``"local"`` for a new cluster of ``workers`` processes with
    one task each at a time, which ends with the work. Dask does the task of a worker that died again, ``retries`` times
    on a local cluster, elsewhere as often as its setting ``distributed.scheduler.allowed-failures`` says; one that was
    done, its result not read yet, is no failure, and done anew whenever that happens. A local cluster without any
    worker is waited for two minutes, another as long as its setting ``distributed.scheduler.no-workers-timeout`` says:
    for ever, if it says nothing. For a script that makes a local cluster, what
    :func:`~q35ref.checkpoints.runners.in_processes` says of scripts holds too. Errors: ValueError; DaskUnavailable,
    here and while it works.
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
                        outcome: Outcome = future.result()  # waits again where the result was lost with its worker
                    except distributed.KilledWorker as error:
                        raise worker_died(
                            jobs[number], error.allowed_failures + 1, "a worker of Dask, whose log may say why"
                        ) from error
                    except Exception as error:  # a job's own are in its outcome: this is about the cluster
                        tensor = printable(jobs[number].name)
                        raise DaskUnavailable(f"dask: no result for tensor {tensor}: {_line(error)}") from error
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
        "distributed.scheduler.no-workers-timeout": f"{LONELY_SECONDS} s",
        "distributed.scheduler.worker-saturation": 1.0,  # no task waits on a worker, to die with another's
    }
    threads = os.environ.get(THREADS_VARIABLE) or str(share(workers))
    dask = importlib.import_module("dask")
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        with without_interrupts():
            try:
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=None,  # Dask would end a worker at its share of the memory, however much is free
                    dashboard_address="127.0.0.1:0",  # nobody's: any port
                    silence_logs=logging.CRITICAL,
                    env={THREADS_VARIABLE: threads},
                )
            except (RuntimeError, OSError) as error:
                raise DaskUnavailable(f"dask: the local cluster did not start: {_line(error)}") from error
            stack.callback(_close, cluster)
        yield stack.enter_context(distributed.Client(cluster, set_as_default=False))


def _close(cluster: Any) -> None:
    """End a cluster. Dask before 2026.8 may wait for ever for a worker that dies meanwhile; it ends with us, then."""
    with contextlib.suppress(TimeoutError):
        cluster.close(timeout=CLOSE_SECONDS)


@contextlib.contextmanager
def _remote(distributed: Any, address: str) -> Iterator[Any]:
    """Yield a client of a cluster that is there. Errors: DaskUnavailable."""
    with _silence():
        try:
            distributed.comm.get_address_host_port(address)  # a client that is given no address takes long to go away
            client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise DaskUnavailable(f"dask: expected a scheduler at {address!r}, found none: {error}") from error
        with client:
            _ask_workers(client, address)
            yield client


def _ask_workers(client: Any, address: str) -> None:
    """Refuse workers without q35ref, which could not read a task and would end; say if there are none at all.

    What they are asked can be read without it. Errors: DaskUnavailable.
    """
    try:
        found = client.run(importlib.util.find_spec, "q35ref", on_error="return")
    except OSError as error:
        raise DaskUnavailable(f"dask: the scheduler at {address!r} went away: {_line(error)}") from error
    without = sorted(worker for worker, answer in found.items() if answer is None)
    if without:
        raise DaskUnavailable(f"dask: expected q35ref installed for every worker, found none for {without[0]}")
    if not found:
        _LOG.warning("dask: the scheduler at %r has no worker; waiting for one", address)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep off the terminal what Dask's client logs of a scheduler that goes away: our error says it in one line."""
    terminal = logging.StreamHandler  # not what is derived from it, which writes to a file that somebody wanted
    handlers = [handler for handler in logging.getLogger("distributed").handlers if type(handler) is terminal]
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


def _line(error: Exception) -> str:
    """Return an error's kind and the first line of what it says."""
    return f"{type(error).__name__}: {printable(str(error).partition(chr(10))[0])}"
