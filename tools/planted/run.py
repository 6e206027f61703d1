"""Runs of ``q35ref check``, each in a process of its own, as a user starts it."""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from q35ref.backends.native.build import compiler
from q35ref.oracle.report import MARKS
from tools.bench.machine import describe, versions
from tools.bench.machine import load as load_average
from tools.planted.kernels import ROOT, BuildError, Kernel
from tools.planted.record import Correct, Found, Load, Planted, Record

SETTINGS: Final = (*((1, seed) for seed in range(1, 11)), (3, 1))
"""Level and seed of each run on a correct kernel; on a planted one, the first."""


class NoReport(Exception):
    """``q35ref check`` ended without a report."""


@dataclass(frozen=True)
class Run:
    """What a run printed and reported."""

    exit_status: int
    first_seconds: float | None
    """From the start of the process until the first failure was printed."""
    seconds: float
    results: list[dict[str, Any]]
    """The results in the JSON report."""

    @property
    def findings(self) -> tuple[Found, ...]:
        """The findings in the order in which they were printed."""
        return tuple(
            Found(result["name"], found["kind"], tuple(found["bugs"]), found["input_size"])
            for result in self.results
            for found in result["findings"]
        )

    def total(self, name: str) -> int:
        """Return a count of the results, summed over all of them."""
        return sum(result[name] for result in self.results)


def check(target: str, level: int = 1, seed: int = 1) -> Run:
    """Check a target. Errors: NoReport."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        options = ["--level", str(level), "--seed", str(seed), "--json", str(path)]
        command = [sys.executable, "-u", "-m", "q35ref", "check", target, *options]
        first, last = None, ""
        begun = time.perf_counter()
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                last = line.strip() or last
                if first is None and line.startswith(MARKS["failed"]):
                    first = time.perf_counter() - begun
        seconds = time.perf_counter() - begun
        if not path.exists():
            raise NoReport(f"{target}: exit status {process.returncode}: {last}")
        report = json.loads(path.read_text())
    return Run(process.returncode, first and round(first, 2), round(seconds, 2), report["results"])


def planted_run(kernel: Kernel, run: Run) -> Planted:
    """Return what is kept of a run on a planted kernel."""
    return Planted(
        language=kernel.language,
        name=kernel.name,
        bug=kernel.bug,
        exit_status=run.exit_status,
        first_seconds=run.first_seconds,
        seconds=run.seconds,
        failures=run.total("failures"),
        findings=run.findings,
    )


def correct_run(kernel: Kernel, level: int, seed: int, run: Run) -> Correct:
    """Return what is kept of a run on a correct kernel."""
    statuses = Counter(result["status"] for result in run.results)
    return Correct(
        language=kernel.language,
        level=level,
        seed=seed,
        exit_status=run.exit_status,
        passed=statuses["passed"],
        not_checked=statuses["not checked"],
        cases=run.total("cases"),
        numbers=run.total("numbers"),
        findings=len(run.findings),
        seconds=run.seconds,
    )


def settings(kernel: Kernel) -> tuple[tuple[int, int], ...]:
    """Return the level and seed of each run on a kernel."""
    return SETTINGS if kernel.correct else SETTINGS[:1]


def run_all(kernels: Sequence[Kernel], tell: Callable[[str], None]) -> Record:
    """Check the kernels one after the other. Errors: BuildError, CompilerError, NoReport.

    ``tell`` is told of each run that begins.
    """
    loads = [load_average()]
    planted, correct = [], []
    with tempfile.TemporaryDirectory() as folder:
        for kernel in kernels:
            target = kernel.target(Path(folder))
            for level, seed in settings(kernel):
                tell(f"{kernel.label}, level {level}, seed {seed}")
                run = check(target, level, seed)
                if kernel.correct:
                    correct.append(correct_run(kernel, level, seed, run))
                else:
                    planted.append(planted_run(kernel, run))
                loads.append(load_average())
    about, known = describe(), versions()
    return Record(
        machine={name: about[name] for name in ("cpu", "processors", "system")},
        versions={name: known[name] for name in ("q35ref", "python", "numpy")} | compilers(kernels),
        load=Load(loads[0], max(loads), loads[-1]),
        planted=tuple(planted),
        correct=tuple(correct),
    )


def compilers(kernels: Sequence[Kernel]) -> dict[str, str]:
    """Return the versions of the compilers that built some of the kernels."""
    languages = {kernel.language for kernel in kernels}
    commands = {"C": compiler() if "C" in languages else (), "Fortran": ("gfortran",)}
    return {f"{name} compiler": _version(*command) for name, command in commands.items() if name in languages}


def _version(*command: str) -> str:
    """Return the first line of what a compiler says of itself."""
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(done.stderr.strip())
    return done.stdout.partition("\n")[0]
