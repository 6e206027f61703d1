"""The conformance suite as pytest tests: ``pytest --q35-target TARGET`` runs one test a check.

Ids are ``q35ref::CHECK``, such as ``q35ref::pack.bytes``: they may be given on the command line, and ``-k`` and
``--deselect`` know them. Without other paths on the command line nothing else runs. A check that the target lacks is
skipped with the reason; if nothing at all is judged, the exit status is 5, pytest's for no tests. An entry of a skip
or xfail file that matches nothing is an error of usage (exit status 4), and an xfail that passes is a failure.
"""

from pathlib import Path

import pytest

from q35ref.oracle import ConformanceError, Result, check
from q35ref.oracle.cases import LEVELS
from q35ref.oracle.names import check_names
from q35ref.oracle.report import BEHAVES
from q35ref.testing.selection import PREFIX, Entry, SelectionError, read_entries


class Check(pytest.Item):
    """The test of one check."""

    suite: "Conformance"

    def runtest(self) -> None:
        """Run the check, with the others of its operation if that was not done before."""
        result = self.suite.result(self)
        self.user_properties += [("cases", result.cases), ("numbers", result.numbers)]
        self.user_properties += [("no_verdict", result.no_verdict)]
        if result.status == "not checked":  # the user's kernel lacks it: neither a failure nor a success
            pytest.skip(f"not checked: {result.reason}")
        if result.status == "failed":
            raise ConformanceError(result.to_text())
        self.add_report_section("call", "q35ref", result.to_text())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Return the finding alone; where the oracle is in the call stack is of no interest."""
        if isinstance(excinfo.value, ConformanceError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return what the test is called in headings."""
        return self.path, 0, f"{self.nodeid} ({self.suite.target})"


class Suite(pytest.Collector):
    """The parent of the checks; they are made by :class:`Conformance`."""

    def collect(self) -> list[pytest.Item]:
        """Return nothing: it is never asked."""
        return []


class Conformance:
    """The plugin, registered only if a target is named."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the options and files, and find the target. Errors: UsageError."""
        level, seed = config.getoption("--q35-level"), config.getoption("--q35-seed")
        self.target: str = config.getoption("--q35-target")
        self.level: int = 1 if level is None else level
        self.seed: int = 1 if seed is None else seed
        if self.level not in LEVELS:
            raise pytest.UsageError(f"--q35-level: expected one of {LEVELS}, got {self.level}")
        if self.seed < 0:
            raise pytest.UsageError(f"--q35-seed: expected an integer >= 0, got {self.seed}")
        try:
            self.names = check_names(self.target)
        except (ValueError, RuntimeError) as error:
            raise pytest.UsageError(f"--q35-target: {error}") from error
        self.skips = self._entries(config, "--q35-skips")
        self.xfails = self._entries(config, "--q35-xfails")
        self.results: dict[str, Result] = {}
        self.collected = False
        self.judged = False
        self.chosen = self._choose(config)

    def _entries(self, config: pytest.Config, option: str) -> list[Entry]:
        path = config.getoption(option)
        try:
            return [] if path is None else read_entries(config.invocation_params.dir / path, self.names)
        except SelectionError as error:
            raise pytest.UsageError(f"{option}: {error}") from error

    def _choose(self, config: pytest.Config) -> list[str]:
        """Return the checks that the command line names, else all; leave the rest of its paths to pytest."""
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args[:] = []
        ids = [argument for argument in config.args if argument.startswith(PREFIX)]
        config.args[:] = [argument for argument in config.args if argument not in ids]
        unknown = [each for each in ids if each.removeprefix(PREFIX) not in self.names]
        if unknown:
            raise pytest.UsageError(f"not found: {', '.join(unknown)} (see --collect-only)")
        return [name for name in self.names if not ids or PREFIX + name in ids]

    def pytest_report_header(self) -> str:
        """Say what is checked."""
        return f"q35ref: target {self.target}, level {self.level}, seed {self.seed}, {len(self.names)} checks"

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Put the checks before what else was collected, early enough for ``-k`` to choose among them."""
        parent = Suite.from_parent(session, name=PREFIX.removesuffix("::"), nodeid=PREFIX.removesuffix("::"))
        checks = []
        for name in self.chosen:
            item = Check.from_parent(parent, name=name)
            item.suite = self
            # With `pytest -n N --dist loadgroup`, the checks of an operation share one worker, and its problems.
            if session.config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group(f"q35ref {batch(name)}"))
            for entry in self.skips:
                if entry.matches(name):
                    item.add_marker(pytest.mark.skip(reason=entry.reason))
            for entry in self.xfails:
                if entry.matches(name):
                    item.add_marker(pytest.mark.xfail(reason=entry.reason, raises=ConformanceError, strict=True))
            checks.append(item)
        items[:0] = checks
        # What has been collected is counted by these reports.
        report = pytest.CollectReport(parent.nodeid, "passed", None, list(checks))
        session.config.hook.pytest_collectreport(report=report)

    def result(self, item: Check) -> Result:
        """Return the result of a check, from one run over the problems of its operation."""
        if item.name not in self.results:
            wanted = [
                other.name
                for other in item.session.items
                if isinstance(other, Check)
                and batch(other.name) == batch(item.name)
                and not other.get_closest_marker("skip")
            ]
            report = check(self.target, level=self.level, seed=self.seed, only=wanted)
            self.results |= {result.name: result for result in report.results}
        return self.results[item.name]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice whether anything was judged; with xdist, in the process that has the say."""
        if report.nodeid.startswith(PREFIX):
            self.collected = True
            behaviour = report.nodeid.endswith(BEHAVES)
            self.judged |= not behaviour and (
                (report.outcome != "skipped" and report.when == "call") or hasattr(report, "wasxfail")
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let no run pass in which nothing was judged."""
        if self.collected and not self.judged and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say so."""
        if self.collected and not self.judged:
            terminalreporter.write_line(f"q35ref: {self.target}: nothing was checked", red=True)


def batch(name: str) -> str:
    """Return what the checks that share their problems have in common; laws and vectors share nothing.

    >>> batch("matmul.acc"), batch("vectors.pack_pair")
    ('matmul', 'vectors.pack_pair')
    """
    operation = name.partition(".")[0]
    return name if operation in ("law", "vectors") else operation
