"""Checks modules with Lean in WebAssembly: in the order of their imports, side by side, and only what has changed."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final, TypedDict

from tools.lean.sources import Sources
from tools.lean.toolchain import identity
from tools.lean.worker import DRIVER, OLEANS, RUNNER, LeanStopped, Message, Worker, olean_files

STAMPS: Final = "checked.json"
"""Beside the oleans: what was found good, and by what it can be told that it still is."""


CHECKER: Final = (
    DRIVER,
    RUNNER,
    *(Path(__file__).with_name(f"{name}.py") for name in ("sources", "wasm_build", "worker")),
)
"""What decides on a verdict: what an older one of these found good is checked again."""


@dataclass(frozen=True)
class Verdict:
    """What came out for one module; ``seconds`` is None if nothing had changed since it was found good."""

    module: str
    problems: tuple[str, ...] = ()
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    """What Lean said that is no problem."""


class Stamp(TypedDict):
    """Why a module is good: digests of all that went into its check, and of the oleans that came out; and the notes."""

    inputs: str
    outputs: str
    notes: list[str]


class WasmBuild:
    """A folder of sources with its workers and its memory of what is good."""

    def __init__(self, home: Path, root: Path, jobs: int = 2) -> None:
        """``home`` is an unpacked toolchain, ``jobs`` the number of workers."""
        self.root = root.resolve()
        self._workers = [Worker(home, self.root) for _ in range(jobs)]
        self._idle = list(self._workers)
        self._free = threading.Condition()
        self._checker = identity() + "".join(hashlib.sha256(f.read_bytes()).hexdigest() for f in CHECKER)
        self._stamps_path = self.root / OLEANS / STAMPS
        try:
            self._stamps: dict[str, Stamp] = json.loads(self._stamps_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._stamps = {}

    def build(self, roots: Sequence[str], on_verdict: Callable[[Verdict], None]) -> list[Verdict]:
        """Check the roots and all that they import; report each module as it is done.

        A warning is a problem. What imports a bad module is not checked. Errors: SourceError.
        """
        sources = Sources(self.root, roots)
        digests = sources.digests(self._checker)
        done: dict[str, Verdict] = {}
        order = TopologicalSorter({module: sources.needs(module) for module in sources.text})
        order.prepare()
        running: set[Future[Verdict]] = set()
        pool = ThreadPoolExecutor(len(self._workers))
        try:
            while order.is_active():
                for module in order.get_ready():
                    bad = [name for name in sources.needs(module) if done[name].problems]
                    running.add(pool.submit(self._check, module, digests[module], bad))
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for verdict in (future.result() for future in finished):
                    done[verdict.module] = verdict
                    on_verdict(verdict)
                    order.done(verdict.module)
        except BaseException:
            self.stop()  # or the threads would go on until their checks end
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return [done[module] for module in sources.text]

    def stop(self) -> None:
        """End the workers for good."""
        for worker in self._workers:
            worker.stop()

    def _check(self, module: str, digest: str, bad: Sequence[str]) -> Verdict:
        if bad:
            return Verdict(module, (f"not checked: {', '.join(bad)} failed",))
        with self._free:
            stamp = self._stamps.get(module)
            if stamp and stamp["inputs"] == digest and stamp["outputs"] == self._outputs(module):
                return Verdict(module, notes=tuple(stamp["notes"]))
            self._free.wait_for(lambda: self._idle)
            # The one used last is started already.
            worker = self._idle.pop()
            self._stamps.pop(module, None)
        began = time.monotonic()
        messages: list[Message] = []
        try:
            messages = worker.check(module)
            found = [str(message) for message in messages if message.severity != "information"]
        except LeanStopped as problem:
            found = [str(problem)]
        notes = [message.text.strip() for message in messages if message.severity == "information"]
        with self._free:
            self._idle.append(worker)
            if not found:
                self._stamps[module] = Stamp(inputs=digest, outputs=self._outputs(module), notes=notes)
            self._write_stamps()
            self._free.notify()
        return Verdict(module, tuple(found), time.monotonic() - began, tuple(notes))

    def _outputs(self, module: str) -> str:
        """Return a digest of a module's oleans: another process may have overwritten them."""
        digest = hashlib.sha256()
        for file in olean_files(self.root, module):
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()

    def _write_stamps(self) -> None:
        unfinished = self._stamps_path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(self._stamps, indent=1), encoding="utf-8")
        unfinished.replace(self._stamps_path)
