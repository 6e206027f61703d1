"""The pytest plugin's options; whoever does not ask for it pays nothing: q35ref is imported only with ``--q35-target``.

It stands beside the package, since importing anything of ``q35ref`` would import NumPy into every pytest run, before
coverage is measured. What it does: :mod:`q35ref.testing.plugin`.
"""

import pytest

OPTIONS = ("level", "seed", "skips", "xfails")
"""The options that say how ``--q35-target`` is checked."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("q35ref", "conformance to the 3.5-bit weight format (q35ref)")
    group.addoption(
        "--q35-target",
        metavar="TARGET",
        help="check TARGET (as `q35ref check` names it), one test a check: q35ref::pack.bytes, ...;"
        " other tests run too only if their paths are given",
    )
    group.addoption("--q35-level", type=int, metavar="N", help="level of the checks (default: 1)")
    group.addoption("--q35-seed", type=int, metavar="S", help="seed of the checks (default: 1)")
    group.addoption("--q35-skips", metavar="FILE", help="checks to skip: an id or glob pattern a line, # for comments")
    group.addoption("--q35-xfails", metavar="FILE", help="checks that are expected to fail: a file like that of skips")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Load the plugin if a target is named. Errors: UsageError."""
    if config.getoption("--q35-target") is None:
        given = [f"--q35-{name}" for name in OPTIONS if config.getoption(f"--q35-{name}") is not None]
        if given:
            raise pytest.UsageError(f"{', '.join(given)}: has no meaning without --q35-target")
        return
    from q35ref.testing.plugin import Conformance

    config.pluginmanager.register(Conformance(config), "q35ref-conformance")
