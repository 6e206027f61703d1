"""Runs checks in forks of one process that has imported what is slow to import and is not ours.

``python -m tools.mutation.server``, in a copy of the tree: requests on standard input, answers on standard output, one
JSON object a line. Nothing of the product is imported before the fork, so that every check meets the files as they are.
"""

import gc
import importlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final

PRELOADED: Final = (
    *("numpy", "pytest", "_pytest.doctest", "_pytest.assertion.rewrite", "hypothesis", "hypothesis.strategies"),
    *(
        "hypothesis.extra.numpy",
        "click.testing",
        "rich.console",
        "rich.table",
        "rich.progress",
        "ctypes",
        "safetensors",
        "safetensors.numpy",
    ),
)

MEMORY: Final = 8 << 30
"""Bytes that a check may take, if it has a limit: a mutant may ask for more. Address space that is only reserved does
not count."""

POLL: Final = 0.01
"""Seconds between two looks at a check."""

PROFILE: Final = "mutation"
"""Hypothesis profile: always the same examples, and no time for a smaller one once a mutant is dead."""

EXAMPLES: Final = {PROFILE: 100, "mutation-few": 25}
"""How many examples a test tries: fewer where each of them is tried on several paths, and after many other checks."""

TAIL: Final = 400
"""Characters that are kept of a check's output."""


def prepare() -> None:
    """Import what the checks need of others."""
    for name in PRELOADED:
        importlib.import_module(name)
    from hypothesis import Phase, settings

    phases = (Phase.explicit, Phase.generate)
    for name, examples in EXAMPLES.items():
        settings.register_profile(
            name, deadline=None, max_examples=examples, derandomize=True, database=None, phases=phases
        )
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        Path(folder, "test_nothing.py").write_text("def test_nothing() -> None:\n    pass\n")
        # Imports the rest of pytest. Its plugin of ours imports the product, and is for the forks alone.
        pytest_status([f"--rootdir={folder}", "--noconftest", "-p", "no:pytest_q35ref", folder])
    gc.collect()
    gc.freeze()


def pytest_status(arguments: list[str]) -> int:
    """Run pytest without the project's own options, which are for several processes."""
    import pytest

    options = ["-x", "-q", "-o", "addopts=", "-p", "no:xdist", "-p", "no:cacheprovider", "--doctest-modules"]
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]  # as it is, before the fork
    return int(pytest.main([*options, "--tb=line", f"--hypothesis-profile={PROFILE}", *arguments]))


def command_status(arguments: list[str]) -> int:
    """Run ``q35ref``."""
    cli = importlib.import_module("q35ref.cli")
    sys.argv = ["q35ref", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


RUN: Final = {"pytest": pytest_status, "q35ref": command_status}


def child(request: dict[str, Any], output: int) -> int:
    """Run one check in the fork; return its exit status."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if request["has_limit"]:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.dont_write_bytecode = not request["write_bytecode"]
    os.environ.update(request["environment"])
    try:
        return RUN[request["kind"]](request["arguments"])
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run one check in a fork; return its exit status, None for one that was stopped, and the end of its output."""
    with tempfile.TemporaryFile() as output:
        begun = time.monotonic()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = child(request, output.fileno())
            finally:
                os._exit(code)
        status = wait(pid, begun + request["timeout"])
        seconds = time.monotonic() - begun
        output.seek(0, os.SEEK_END)
        output.seek(max(0, output.tell() - TAIL))
        return {"status": status, "seconds": round(seconds, 3), "output": output.read().decode(errors="replace")}


def wait(pid: int, until: float) -> int | None:
    """Return a child's exit status, or None after stopping it and all that it started."""
    while True:
        done, raw = os.waitpid(pid, os.WNOHANG)
        if done:
            _stop(pid)
            return os.waitstatus_to_exitcode(raw)
        if time.monotonic() > until:
            _stop(pid)
            os.waitpid(pid, 0)
            return None
        time.sleep(POLL)


def _stop(pid: int) -> None:
    """End the process group that a child leads, what it left behind included."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def main() -> None:
    """Answer requests until there are no more."""
    sys.path.insert(0, str(Path.cwd()))
    prepare()
    with suppress(BrokenPipeError):  # whoever asked is gone
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
