"""The gate on contracts: ``python -m tools.crosshair_gate`` at the root of the repository.

CrossHair's exit status is no verdict: it is 0 for a misspelt ``post:``, an impossible ``pre:``, and no contract at
all. So the gate reads the contracts itself, strictly, and compares their names and numbers with a committed list;
runs CrossHair, one process a module and one more for its excused contracts; and demands a line that says
"Confirmed over all paths" for every ``post:`` of every contract that ``crosshair_excuses`` does not excuse, and
takes no excuse for the heart of the reference.
Each module's contracts are also sampled, which fails if hardly any arguments meet their ``pre:`` lines.
"""

import argparse
import ast
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from q35ref.contracts import Contract, ContractError, read_contracts
from tools.crosshair_excuses import EXCUSES, NEVER_EXCUSED, Excuse

ROOT: Final = Path(__file__).resolve().parents[1]
"""The repository."""

FOLDERS: Final = ("q35ref/contracts", "q35ref/reference")
"""Where contracts are looked for; the slowest module stands in the first."""

EXPECTED: Final = ROOT / "tools" / "crosshair_expected.txt"
"""The committed list of contracts."""

CONFIRMED: Final = "Confirmed over all paths."
NOT_CONFIRMED: Final = "Not confirmed."

MOST_EXCUSED: Final = 4
"""At most one in this many contracts may be excused."""

UNMET: Final = "Unable to meet precondition"
"""How it begins what it says where no path met the ``pre:`` lines in the time that there was."""

_LINE: Final = re.compile(r"(.+?):(\d+): (?:info|error): (.*)")


@dataclass(frozen=True)
class Limits:
    """How long CrossHair may take, in seconds."""

    condition: float = 600
    """CPU time for a condition that must be confirmed."""
    excused: float = 2
    """CPU time for one that need not be."""
    process: float = 2400
    """Time for a process: it hangs if it takes longer."""
    unmet: float = 60
    """CPU time for one that need not be confirmed and whose ``pre:`` was not met so soon, as on a busy machine."""


@dataclass(frozen=True)
class Module:
    """A module that states contracts."""

    name: str
    path: Path
    contracts: tuple[Contract, ...]


@dataclass
class Result:
    """What the gate found out about a module."""

    module: Module
    confirmed: list[Contract] = field(default_factory=list)
    excused: list[Contract] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def find_modules(root: Path, folders: Sequence[str]) -> tuple[list[Module], list[str]]:
    """Return the modules that state contracts, and what is wrong with how they are stated."""
    modules, problems = [], []
    for path in (path for folder in folders for path in sorted((root / folder).glob("*.py"))):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        try:
            contracts = read_contracts(path.read_text(encoding="utf-8"), name)
        except ContractError as problem:
            problems.append(f"malformed contract: {problem}")
            continue
        if contracts:
            modules.append(Module(name, path, contracts))
    return modules, problems


def listing(modules: Sequence[Module]) -> list[str]:
    """Return the contracts as the committed list has them: each condition's text, and a digest of a law's body.

    The digest covers functions that assert, which are their own claim; other code is the claim's subject.
    """
    lines = []
    for module in modules:
        functions = _functions(module.path)
        for contract in module.contracts:
            conditions = [f"pre: {c.text}" for c in contract.pre] + [f"post: {c.text}" for c in contract.post]
            lines.append(f"{contract.name} | {' | '.join(conditions)}{_digest(functions[contract.function], module)}")
    return sorted(lines)


def empty_laws(modules: Sequence[Module]) -> Iterator[str]:
    """Say which contracts claim nothing: a ``post:`` that is always true on a function without an assertion."""
    for module in modules:
        functions = _functions(module.path)
        for contract in module.contracts:
            if all(c.text == "True" for c in contract.post) and not _asserts(functions[contract.function]):
                yield f"{contract.name}: claims nothing: its post: is True, and no assertion stands in it"


def _functions(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _asserts(function: ast.FunctionDef) -> bool:
    """Whether a function asserts, by itself or through a helper named for it."""
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    helpers = any(isinstance(f, ast.Name) and f.id.startswith("assert_") for f in calls)
    raises = any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(function))
    return helpers or raises


def _digest(function: ast.FunctionDef, module: Module) -> str:
    """Return a digest of the text below a law's docstring, the same under every Python."""
    if not any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return ""
    lines = module.path.read_text(encoding="utf-8").splitlines()[function.body[1].lineno - 1 : function.end_lineno]
    return f" | body {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:16]}"


def compare_listings(found: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """Say how the contracts differ from the committed list."""
    for line in sorted(set(expected) - set(found)):
        yield f"missing contract: {line}; after a deliberate change run the gate with --update"
    for line in sorted(set(found) - set(expected)):
        yield f"unlisted contract: {line}; after a deliberate change run the gate with --update"


def run(command: Sequence[str], root: Path, limit: float) -> tuple[int, str, str]:
    """Run a process; return its status, output and errors. One that takes too long has status -1."""
    try:
        # With a hash seed of its own each run asks the solver differently, and some runs take ten times as long.
        fixed = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=root, env=fixed, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return -1, "", f"no end after {limit} s"
    return done.returncode, done.stdout, done.stderr


def explore(module: Module, contracts: Sequence[Contract], root: Path, timeout: float, limits: Limits) -> list[str]:
    """Run CrossHair over some of a module's contracts and return its report's lines, or why there is none."""
    command = [sys.executable, "-m", "crosshair", "check", "--analysis_kind=PEP316", "--report_all"]
    # By default a path gets the square root of this, and the solver half of that in wall-clock time: a verdict
    # would depend on how busy the machine is.
    command += [f"--per_condition_timeout={timeout}", f"--per_path_timeout={timeout}"]
    command += [contract.name for contract in contracts]
    status, output, errors = run(command, root, limits.process)
    lines = output.splitlines()
    if status not in (0, 1) or "Traceback" in errors:  # an exception of CrossHair's own ends with status 1 too
        last = (errors.strip() or output.strip() or "no output").splitlines()[-1]
        lines.append(f"{module.path}:0: error: CrossHair crashed with status {status}: {last}")
    return lines


def read_report(lines: Sequence[str], module: Module) -> dict[int, list[str]]:
    """Return the report's messages by their line in the module; 0 stands for all that belongs to no line."""
    messages: dict[int, list[str]] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        known = match is not None and Path(match[1]).resolve() == module.path.resolve()
        at, text = (int(match[2]), match[3]) if match and known else (0, line)
        messages.setdefault(at, []).append(text)
    return messages


def judge(contract: Contract, messages: Mapping[int, list[str]], excuse: Excuse | None) -> Iterator[str]:
    """Say what keeps a contract from being confirmed, or from being excused."""
    conditions = {condition.line: condition.text for condition in contract.post}
    for line in contract.lines:
        for text in messages.get(line, []):
            if text == CONFIRMED and line in conditions:
                continue
            if excuse and (text == NOT_CONFIRMED or text.startswith("PreconditionFailed: ")):
                continue
            yield f"{contract.name}: line {line}: {text}"
    for line, condition in conditions.items():
        # A refuted contract may have its message elsewhere; for an excused one that is as good a verdict.
        if line not in messages and not (excuse and messages.keys() & contract.lines):
            yield f"{contract.name}: no verdict on 'post: {condition}'"
    if excuse and all(messages.get(line) == [CONFIRMED] for line in conditions):
        yield f"{contract.name}: is confirmed, the excuse is not needed any more"


def check_module(module: Module, root: Path, excuses: Mapping[str, Excuse], limits: Limits) -> Result:
    """Run CrossHair over a module's contracts and judge each; then sample them."""
    began = time.monotonic()
    result = Result(module)
    strict = [contract for contract in module.contracts if contract.name not in excuses]
    excused = [contract for contract in module.contracts if contract.name in excuses]
    for contracts, timeout in ((strict, limits.condition), (excused, limits.excused)):
        if not contracts:
            continue
        messages = read_report(explore(module, contracts, root, timeout, limits), module)
        if contracts is excused:
            unmet = [c for c in excused if any(UNMET in text for at in c.lines for text in messages.get(at, []))]
            messages = {at: texts for at, texts in messages.items() if not any(at in c.lines for c in unmet)}
            anew = explore(module, unmet, root, limits.unmet, limits) if unmet else []
            for at, texts in read_report(anew, module).items():
                messages.setdefault(at, []).extend(texts)
        lines = {line for contract in contracts for line in contract.lines}
        for line in sorted(messages.keys() - lines):
            result.problems += [f"{module.name}: {text}" for text in messages[line]]
        for contract in contracts:
            problems = list(judge(contract, messages, excuses.get(contract.name)))
            result.problems += problems
            if not problems:
                (result.excused if contract.name in excuses else result.confirmed).append(contract)
    status, output, errors = run([sys.executable, "-m", "q35ref.contracts", module.name], root, limits.process)
    if status:
        violations = [line for line in output.splitlines() if ": violated: " in line]
        result.problems += [f"sampling: {line}" for line in violations or [f"{module.name}: {errors.strip()[-300:]}"]]
    result.seconds = time.monotonic() - began
    return result


def check(
    root: Path,
    folders: Sequence[str],
    expected: Sequence[str],
    excuses: Mapping[str, Excuse],
    limits: Limits,
    jobs: int = 2,
    never_excused: Collection[str] = (),
) -> tuple[list[Result], list[str]]:
    """Check all contracts; return a result a module, and every problem."""
    modules, problems = find_modules(root, folders)
    problems += compare_listings(listing(modules), expected)
    problems += empty_laws(modules)
    names = {contract.name for module in modules for contract in module.contracts}
    problems += [f"{name}: is excused, but there is no such contract" for name in excuses if name not in names]
    problems += [
        f"{name}: must be confirmed, but there is no such contract" for name in never_excused if name not in names
    ]
    problems += [f"{name}: must be confirmed, no excuse is taken" for name in never_excused if name in excuses]
    used = len(names & excuses.keys())
    if used * MOST_EXCUSED > len(names):
        problems.append(f"{used} of {len(names)} contracts are excused: more than one in {MOST_EXCUSED}")
    if not names:
        problems.append("there is no contract")
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(check_module, module, root, excuses, limits) for module in modules]
        for done in as_completed(running):
            print(f"{done.result().module.name}: {done.result().seconds:.0f} s", file=sys.stderr, flush=True)
        results = [future.result() for future in running]
    return results, problems + [problem for result in results for problem in result.problems]


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the summary's lines: contracts a module, their conditions in brackets, and the excuses."""
    yield "contracts (their post: conditions) of each module"
    yield f"{'module':32} {'confirmed':>12} {'excused':>12} {'seconds':>8}"
    for result in results:
        counts = (f"{len(c)} ({sum(len(x.post) for x in c)})" for c in (result.confirmed, result.excused))
        yield "{:32} {:>12} {:>12} {:8.1f}".format(result.module.name, *counts, result.seconds)
    for contract in (contract for result in results for contract in result.excused):
        excuse = EXCUSES.get(contract.name)
        yield f"excused: {contract.name}" + (f": {excuse.reason}; carried by {excuse.test}" if excuse else "")
    total = sum(len(result.module.contracts) for result in results)
    confirmed, excused = (sum(len(getattr(r, kind)) for r in results) for kind in ("confirmed", "excused"))
    yield f"{total} contracts: {confirmed} confirmed, {excused} excused, {total - confirmed - excused} failed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gate, or renew the committed list."""
    parser = argparse.ArgumentParser(description="Demand that CrossHair confirms the contracts.")
    parser.add_argument("--update", action="store_true", help="renew the committed list of contracts, check nothing")
    parser.add_argument("--jobs", type=int, default=2, help="modules that are checked at the same time")
    options = parser.parse_args(arguments)
    if options.update:
        modules, problems = find_modules(ROOT, FOLDERS)
        if not problems:
            EXPECTED.write_text("\n".join(listing(modules)) + "\n", encoding="utf-8")
    else:
        expected = EXPECTED.read_text(encoding="utf-8").splitlines()
        results, problems = check(ROOT, FOLDERS, expected, EXCUSES, Limits(), options.jobs, NEVER_EXCUSED)
        print("\n".join(table(results)))
    for problem in problems:
        print(f"FAILED {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
