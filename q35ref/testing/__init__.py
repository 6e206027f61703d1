"""For tests of somebody's kernel: strategies for Hypothesis, an assertion, and a pytest plugin.

A test of one's own::

    import my_kernel
    from hypothesis import given
    from q35ref.testing import assert_matches_reference, problems

    @given(problems("matmul"))
    def test_matmul(problem):
        assert_matches_reference(my_kernel, problem)

A kernel is any object with the operation's method; for what is behind ``c:`` or ``pipe:`` there is the plugin.
The strategies need Hypothesis (``pip install 'q35ref[pytest]'``), which is imported when the first of them is used;
the rest does not. The plugin: ``pytest --q35-target TARGET``, see :mod:`q35ref.testing.plugin`.
"""

from typing import TYPE_CHECKING, Any

from q35ref.testing.assertion import assert_matches_reference

if TYPE_CHECKING:
    from q35ref.testing.strategies import activations, codes, columns, parameters, problems, weights

STRATEGIES = ("activations", "codes", "columns", "parameters", "problems", "weights")
"""What is imported late."""


def __getattr__(name: str) -> Any:
    """Import the strategies when one is asked for. Errors: ImportError without Hypothesis."""
    if name not in STRATEGIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from q35ref.testing import strategies
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        message = f"q35ref.testing.{name} needs Hypothesis: pip install 'q35ref[pytest]'"
        raise ImportError(message, name="hypothesis") from error
    return getattr(strategies, name)


__all__ = [
    "activations",
    "assert_matches_reference",
    "codes",
    "columns",
    "parameters",
    "problems",
    "weights",
]
