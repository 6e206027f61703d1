"""Running the checks against a target, from Python."""

import contextlib
import shlex
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from q35ref.backends import OPERATIONS
from q35ref.oracle.cases import LEVELS
from q35ref.oracle.judge import RULES
from q35ref.oracle.laws import reference_results
from q35ref.oracle.replay import replay_vectors
from q35ref.oracle.report import Report, Result
from q35ref.oracle.runner import Command, kernel_results, rules_in_order
from q35ref.oracle.targets import DEFAULTS, TargetOptions, is_reference, resolve
from q35ref.version import __version__

OnResult = Callable[[Result], None]
"""Told of each result as it comes."""


def check(
    target: object,
    *,
    level: int = 1,
    seed: int = 1,
    require: Iterable[str] = (),
    only: Iterable[str] = ("*",),
    vectors: Path | str | None = None,
    on_result: OnResult | None = None,
    on_early: OnResult | None = None,
    options: TargetOptions = DEFAULTS,
) -> Report:
    """Check an implementation of the format against the reference.

    ``target`` is an object with any of the methods of :class:`q35ref.backends.Backend`, or a name: ``reference``,
    ``numpy``, ``native``, ``lpu``, ``python:MODULE:OBJECT``, ``c:PATH`` or ``pipe:COMMAND``; the last three run in
    processes of their own, as ``options`` says. The same level and seed give the same problems. An operation that the
    target lacks is *not checked*, and fails only if ``require`` names it. ``only`` keeps the checks whose names
    match one of its patterns. ``vectors`` names a vector file, or a folder of them, to be replayed instead of the
    oracle's own problems. ``on_result`` is called with each result as it comes: of an operation that fails
    early, before the others; the report has them in the order of the operations. ``on_early`` is called, before that,
    with what a few problems of each operation show to fail: its findings are in the result that follows, its counts
    are those so far.

    Errors: ValueError for an unknown level, operation or pattern, TargetError for a target that cannot be found,
    VectorFileError for a vector file that is missing or damaged.
    """
    if vectors is not None and tuple(require):
        raise ValueError("require: cannot be joined with vectors, which hold what they hold")
    if level not in LEVELS:
        raise ValueError(f"level: expected one of {LEVELS}, got {level}")
    if seed < 0:
        raise ValueError(f"seed: expected an integer >= 0, got {seed}")
    required = (require,) if isinstance(require, str) else tuple(require)
    patterns = (only,) if isinstance(only, str) else tuple(only)
    for operation in required:
        if operation not in OPERATIONS:
            raise ValueError(f"require: expected operations among {', '.join(OPERATIONS)}, got {operation!r}")
        if not any(fnmatchcase(rule.name, p) for rule in RULES if rule.operation == operation for p in patterns):
            raise ValueError(f"require: {operation} is left out by only = {', '.join(patterns)}")
    names = [rule.name for rules in rules_in_order().values() for rule in rules]
    if vectors is None and isinstance(target, str) and target != "reference":
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(f"only: no check matches {pattern}")
    kernel = resolve(target, options)
    report = Report(kernel.name, level, seed, __version__, domain=str(options.domain))
    command = _command(target, report, options, vectors)

    def wanted(check_name: str) -> bool:
        return any(fnmatchcase(check_name, pattern) for pattern in patterns)

    if vectors is not None:
        results = replay_vectors(kernel, vectors, wanted, command, options.domain)
    elif is_reference(kernel):
        results = reference_results(level, seed, wanted, command)
    else:
        results = kernel_results(kernel, report, required, wanted, command, options.domain, on_early)
    with contextlib.closing(kernel):
        for result in results:
            report.results.append(result)
            if on_result is not None:
                on_result(result)
    places = [*names, *(result.name for result in report.results)]
    report.results.sort(key=lambda result: places.index(result.name))
    if not report.results:
        raise ValueError(f"only: no check matches {', '.join(patterns)}")
    return report


def _command(target: object, report: Report, chosen: TargetOptions, vectors: Path | str | None) -> Command:
    """Return what writes the commands of a run."""

    def command(name: str, require: str = "") -> str:
        options = f"--level {report.level} --seed {report.seed} --only {name}"
        if vectors is not None:
            options = f"--vectors {shlex.quote(str(vectors))} --only {name}"
        for setting in ("abi", "timeout", "correctly_rounded"):
            value = getattr(chosen, setting)
            if value != getattr(DEFAULTS, setting):
                options += f" --{setting.replace('_', '-')}" + ("" if value is True else f" {value}")
        options += chosen.domain.options()
        return f"q35ref check {shlex.quote(str(target))} {options}{f' --require {require}' if require else ''}"

    def python(name: str, require: str = "") -> str:
        options = f"level={report.level}, seed={report.seed}, only=[{name!r}]"
        if vectors is not None:
            options = f"vectors={str(vectors)!r}, only=[{name!r}]"
        return f"q35ref.check(kernel, {options}{f', require=[{require!r}]' if require else ''})"

    return command if isinstance(target, str) else python
