"""Who does the jobs of a conversion: this process, one after the other, or some worker processes of this machine."""

import contextlib
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from typing import Final

from q35ref.backends.native.library import THREADS_VARIABLE, NativeUnavailable, available_processors, load
from q35ref.checkpoints.errors import CheckpointError, printable
from q35ref.checkpoints.jobs import Job
from q35ref.quality import Quality

Runner = Callable[[Sequence[Job], Callable[[Job], None]], Generator[tuple[int, Quality | None], None, None]]
"""Does all jobs; tells its second argument of each job that begins, and yields the number and the result of each that
is done, in any order. A job may be done twice. Raises the first error of a job. Closing it ends whatever goes on."""

RETRIES: Final = 2
"""How often a job is tried again after the process that did it died."""

MOST_WORKERS: Final = 256
"""More are refused."""

LAST_BREATH: Final = 10
"""Seconds that a process may take from the end of its pipe to its own."""


def serially(jobs: Sequence[Job], starting: Callable[[Job], None]) -> Generator[tuple[int, Quality | None], None, None]:
    """Do the jobs in this process, in their order: the :data:`Runner` unless told otherwise."""
    for number, job in enumerate(jobs):
        starting(job)
        yield number, job.run()


def in_processes(workers: int, retries: int = RETRIES) -> Runner:
    """Return a :data:`Runner` that keeps some worker processes busy, each with one job at a time.

    A worker that dies (killed, out of memory, a crash) is replaced, and its job is tried again, ``retries`` times at
    most. Memory is that of the ``workers`` largest tensors. Workers are fresh interpreters: a script that calls this
    needs ``if __name__ == "__main__":`` around it, as always with :mod:`multiprocessing`. Errors: ValueError.
    """
    check_workers(workers, retries)

    def run(jobs: Sequence[Job], starting: Callable[[Job], None]) -> Generator[tuple[int, Quality | None], None, None]:
        pool = _Pool(min(workers, len(jobs)))
        waiting, deaths = deque(range(len(jobs))), Counter[int]()
        try:
            while waiting or pool.busy:
                while waiting and len(pool.busy) < pool.size:
                    number = waiting.popleft()
                    starting(jobs[number])
                    pool.give(number, jobs[number])
                for number, outcome in pool.finished():
                    if isinstance(outcome, Outcome):
                        yield number, outcome.result()
                        continue
                    deaths[number] += 1
                    if deaths[number] > retries:
                        raise worker_died(jobs[number], deaths[number], outcome)
                    waiting.appendleft(number)
        finally:
            pool.stop()

    return run


def check_workers(workers: int, retries: int) -> None:
    """Refuse numbers that make no sense. Errors: ValueError."""
    if not 1 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers: expected 1 to {MOST_WORKERS}, got {workers}")
    if retries < 0:
        raise ValueError(f"retries: expected 0 or more, got {retries}")


def worker_died(job: Job, times: int, how: str) -> CheckpointError:
    """Return the error for a job whose worker died too often."""
    about = f"tensor {printable(job.name)}: the process that worked on it died {times} time{'s' * (times > 1)} ({how})"
    return CheckpointError(job.path, f"{about}; if memory ran out, fewer workers need less")


@dataclass(frozen=True)
class Outcome:
    """How a job ended: it can be sent from process to process."""

    quality: Quality | None
    error: Exception | None

    @classmethod
    def of(cls, job: Job) -> "Outcome":
        """Do a job, and keep what it returns or raises."""
        try:
            return cls(job.run(), None)
        except Exception as error:  # whatever it is, it is for the caller
            return cls(None, error)

    def result(self) -> Quality | None:
        """Return what the job returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self.quality


class _Worker:
    """A worker process, and our end of the pipe to it."""

    def __init__(self, context: SpawnContext, threads: int) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        with without_interrupts():
            self.process.start()
        theirs.close()  # so that the pipe ends when the worker does

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()

    def obituary(self) -> str:
        """Return how a process ended whose pipe has ended, and dispose of it."""
        self.process.join(LAST_BREATH)
        code = self.process.exitcode
        self.stop()
        if code is not None and code < 0:
            return f"signal {-code}, {signal.strsignal(-code)}"
        return f"exit status {code}"


class _Pool:
    """Worker processes, each of which starts when there is a job for it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.busy: dict[Connection, tuple[_Worker, int]] = {}
        self._idle: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")

    def give(self, number: int, job: Job) -> None:
        """Let an idle worker, or a new one, do a job."""
        worker = self._idle.pop() if self._idle else _Worker(self._context, share(self.size))
        self.busy[worker.pipe] = worker, number
        with contextlib.suppress(OSError):  # it died while it was idle: finished() will find the pipe at its end
            worker.pipe.send(job)

    def finished(self) -> Iterator[tuple[int, Outcome | str]]:
        """Wait; yield the number of each job that is done, and its outcome, or how its worker died."""
        for pipe in wait(list(self.busy)):
            assert isinstance(pipe, Connection)
            worker, number = self.busy[pipe]
            try:
                outcome: Outcome = pipe.recv()
            except (EOFError, OSError):
                del self.busy[pipe]
                yield number, worker.obituary()
                continue
            del self.busy[pipe]
            self._idle.append(worker)
            yield number, outcome

    def stop(self) -> None:
        """End every worker, whatever it does."""
        for worker in [*self._idle, *(worker for worker, _ in self.busy.values())]:
            worker.stop()


def share(workers: int) -> int:
    """Return the threads that each of some workers should use, so that all together use the processors once."""
    return max(1, available_processors() // workers)


def _serve(pipe: Connection, threads: int) -> None:
    """Do the jobs that come through a pipe until it ends. Runs in the worker."""
    if not os.environ.get(THREADS_VARIABLE):
        with contextlib.suppress(NativeUnavailable):
            load().use_threads(threads)
    with contextlib.suppress(EOFError, OSError):  # the parent is gone, and its lock with it: nobody wants the rest
        while True:
            pipe.send(Outcome.of(pipe.recv()))


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from the processes that the block starts: a terminal sends it to all, and one is enough."""
    resource_tracker.ensure_running()  # it starts with the first worker otherwise, and ends the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
