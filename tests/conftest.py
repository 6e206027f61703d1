"""Hypothesis profiles, chosen by ``--hypothesis-profile`` or the environment variable ``Q35_HYPOTHESIS_PROFILE``.

No profile has a deadline: a busy machine is no defect.
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# For the desk: quick, and new examples each time; failures are kept in .hypothesis/ and tried first.
settings.register_profile("dev", deadline=None, max_examples=25)
# For a change: derandomized, so that the same commit always gets the same answer; exploring is nightly's job.
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True)
# For finding what nobody thought of: random, and a failure prints the blob that reproduces it.
settings.register_profile("nightly", deadline=None, max_examples=5000, print_blob=True)
# Symbolic: each example is a path through the code that a solver found. Slow, so few of them.
settings.register_profile(
    "crosshair",
    backend="crosshair",
    deadline=None,
    max_examples=10,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("Q35_HYPOTHESIS_PROFILE", "dev"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of a background job; what a test starts would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the tests that suit the profile ``crosshair``."""
    config.addinivalue_line("markers", "symbolic: works on integers all the way, so that the crosshair profile applies")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, under the profile ``crosshair``, the Hypothesis tests that it cannot run: NumPy takes no symbols."""
    if settings.default is None or settings.default.backend != "crosshair":
        return
    unsuitable = [
        item for item in items if item.get_closest_marker("hypothesis") and not item.get_closest_marker("symbolic")
    ]
    config.hook.pytest_deselected(items=unsuitable)
    items[:] = [item for item in items if item not in unsuitable]
