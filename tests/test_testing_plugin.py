"""``pytest --q35-target``: ids, skips, expected failures, exit statuses; idle unless a target is named."""

import subprocess
import sys

import pytest

import q35ref.testing.plugin  # noqa: F401 - before pytester, which forgets what is imported within it
from q35ref.oracle import check
from q35ref.oracle.names import check_names

pytest_plugins = ["pytester"]

WRAPS = "python:q35ref.oracle.bugs:Wraps"
"""A target whose ``quantize`` is wrong."""

ONLY_PACK = """
from q35ref.backends.numpy import NumpyBackend
calls = 0
class Kernel:
    def pack(self, q, layout):
        global calls
        calls += 1
        return NumpyBackend().pack(q, layout)
    def matmul(self, *arguments):
        acc, row_sum, out = NumpyBackend().matmul(*arguments)
        return acc, None, out
class Nothing:
    def pack(self): ...
    pack = 5
    def matmul(self, *arguments):
        return None, None, None
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest with the plugin, as if its entry point were installed."""
    return pytester.runpytest("-p", "pytest_q35ref", "-p", "no:cacheprovider", *arguments)


def test_each_check_is_a_test_under_its_name(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--q35-target", "numpy", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [f"q35ref::{name}" for name in check_names("numpy")]
    assert "q35ref::pack.bytes" in result.outlines
    assert result.ret == 0


def test_the_names_are_those_of_the_checks() -> None:
    assert check_names("numpy") == [result.name for result in check("numpy").results]


def test_the_reference_has_laws_and_vectors(pytester: pytest.Pytester) -> None:
    laws = check_names("reference")
    name = next(law for law in laws if law.endswith("unpack_pair_inverts_pack_pair"))
    result = run(pytester, "--q35-target", "reference", f"q35ref::{name}", "q35ref::vectors.pack_pair")
    result.assert_outcomes(passed=2)
    assert len(set(laws)) == len(laws)


def test_a_finding_is_the_failure_text_and_the_rest_goes_on(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--q35-target", WRAPS, "-v", "-k", "quantize. or pack.bytes")
    result.assert_outcomes(passed=6, failed=1, deselected=13)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*20 checks*",
            "q35ref::pack.bytes PASSED*",
            "q35ref::quantize.integers FAILED*",
            "*w = np.array([[][[]0.0[]], [[]4.0[]][]], np.float32)",
            "*value: q[[]k=1, n=0[]], narrow lane",
            "*got       0xFC (-4)",
            "*expected  0x03 (3)",
            f"*again: q35ref check {WRAPS} --level 1 --seed 1 --only quantize.integers",
        ]
    )


def test_what_the_target_lacks_is_skipped_with_the_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(only_pack=ONLY_PACK)
    result = run(pytester, "--q35-target", "python:only_pack:Kernel", "-rs")
    result.assert_outcomes(passed=5, skipped=15)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*not checked: the target has no unpack*"])
    result.stdout.fnmatch_lines(["*not checked: the target returns None for row_sum*"])


def test_the_problems_of_an_operation_are_posed_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(only_pack=ONLY_PACK)
    pytester.makeconftest(
        """
import only_pack
from q35ref.testing import plugin
runs = []
check = plugin.check
def counted(target, **settings):
    runs.append(settings["only"])
    return check(target, **settings)
plugin.check = counted
def pytest_unconfigure():
    plugin.check = check
    print("runs", runs)
"""
    )
    result = run(pytester, "--q35-target", "python:only_pack:Kernel", "-s", "-k", "matmul or pack.bytes")
    result.stdout.fnmatch_lines(
        ["*runs [[][[]'pack.bytes'[]], [[]'matmul.behaves', 'matmul.acc', 'matmul.row_sum', 'matmul.out'[]][]]"]
    )


def test_nothing_checked_is_no_success(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(only_pack=ONLY_PACK)
    result = run(pytester, "--q35-target", "python:only_pack:Nothing")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["q35ref: python:only_pack:Nothing: nothing was checked"])


def test_skips_and_xfails(pytester: pytest.Pytester) -> None:
    pytester.maketxtfile(skips="# slow ones\nmatmul.*   # no such unit\nq35ref::unpack.integers\n\n")
    pytester.maketxtfile(xfails="quantize.int* # the drafts' converter\n")
    files = ("--q35-skips", "skips.txt", "--q35-xfails", "xfails.txt")
    result = run(pytester, "--q35-target", WRAPS, "-rsx", *files)
    result.assert_outcomes(passed=14, skipped=5, xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*no such unit (*skips.txt:2)*"])
    result.stdout.fnmatch_lines(["*the drafts' converter (*xfails.txt:1)*"])


def test_an_xfail_that_passes_is_a_failure(pytester: pytest.Pytester) -> None:
    pytester.maketxtfile(xfails="pack.bytes")
    result = run(pytester, "--q35-target", "numpy", "--q35-xfails", "xfails.txt", "q35ref::pack.bytes")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*XPASS(strict)*xfails.txt:1*"])


def test_an_xfail_does_not_hide_an_error_of_the_run(pytester: pytest.Pytester) -> None:
    pytester.maketxtfile(xfails="*")
    pytester.makeconftest(
        """
import pytest
from q35ref.testing import plugin
def broken(target, **settings):
    raise RuntimeError("no oracle")
@pytest.fixture(autouse=True, scope="session")
def nothing(): ...
check, plugin.check = plugin.check, broken
def pytest_unconfigure():
    plugin.check = check
"""
    )
    result = run(pytester, "--q35-target", "numpy", "--q35-xfails", "xfails.txt", "q35ref::pack.bytes")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no oracle*"])


@pytest.mark.parametrize("option", ["--q35-skips", "--q35-xfails"])
def test_an_entry_that_matches_nothing_fails_the_run(pytester: pytest.Pytester, option: str) -> None:
    pytester.maketxtfile(entries="pack.bytes\npack.nibbles\n# matmul.nothing\nsofa.*")
    result = run(pytester, "--q35-target", "numpy", option, "entries.txt", "q35ref::pack.bytes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*{option}: entries that match no check:", "*entries.txt:2: pack.nibbles", "*entries.txt:4: sofa.[*]"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--q35-target", "cuda"), "*--q35-target: target: expected one of*"),
        (("--q35-target", "numpy", "--q35-level", "4"), "*--q35-level: expected one of (1, 2, 3), got 4"),
        (("--q35-target", "numpy", "--q35-seed", "-1"), "*--q35-seed: expected an integer >= 0, got -1"),
        (("--q35-target", "numpy", "--q35-skips", "absent.txt"), "*--q35-skips: *absent.txt: No such file*"),
        (("--q35-target", "numpy", "q35ref::pack.nibbles"), "*not found: q35ref::pack.nibbles*"),
        (("--q35-seed", "3"), "*--q35-seed: has no meaning without --q35-target"),
    ],
)
def test_wrong_usage(pytester: pytest.Pytester, arguments: tuple[str, ...], message: str) -> None:
    result = run(pytester, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_other_tests_run_only_if_they_are_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_mine(): pass")
    run(pytester).assert_outcomes(passed=1)
    run(pytester, "--q35-target", "numpy", "-k", "mine or pack.bytes").assert_outcomes(passed=1, deselected=19)
    both = run(pytester, "--q35-target", "numpy", "-k", "mine or pack.bytes", ".")
    both.assert_outcomes(passed=2, deselected=19)


def test_workers_of_xdist_share_the_checks(pytester: pytest.Pytester) -> None:
    arguments = ("-n2", "--dist=loadgroup", "-k", "pack or quantize.")
    result = run(pytester, "--q35-target", WRAPS, *arguments)
    result.assert_outcomes(passed=9, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_plugin_is_idle_and_light_unless_asked_for() -> None:
    program = "import pytest_q35ref, sys; sys.exit(sorted({'q35ref', 'numpy', 'hypothesis'} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", program], check=True)
