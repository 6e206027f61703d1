"""What a kernel does beside its work shows itself in the printed code too, without the oracle."""

import subprocess
import sys
from pathlib import Path

import pytest

from q35ref.backends.native.build import compiler
from q35ref.oracle import Report, check, resolve
from q35ref.oracle.cases import problems
from q35ref.oracle.foreign.environment import X86
from q35ref.oracle.foreign.script import TRAPS
from q35ref.oracle.judge import FAULTS, Mismatch
from tests.test_oracle_hostile import asked, kinds, needs_compiler

FIRST = "uint8_t *p = (uint8_t *)packed;"

CACHED = (
    "static const uint8_t *at; static int8_t copy[1 << 20]; static int64_t ck, cn, cl; "
    "if (at == packed && ck == k && cn == n && cl == layout) memcpy(q, copy, k * n); "
    "else { memcpy(copy, q, k * n); at = packed; ck = k; cn = n; cl = layout; }"
)

TRAPPED = {
    "modified input": ("p[0] ^= 1;", "packed is as it was: False"),
    "written input": ('p[0] ^= 1; __asm__ volatile("" ::: "memory"); p[0] ^= 1;', "packed cannot be written:"),
    "environment": ("fesetround(FE_UPWARD);", "MXCSR 0x5F80" if X86 else "rounding mode"),
    "flush-to-zero": ("_mm_setcsr(_mm_getcsr() | 0x8040);", "MXCSR 0x9FC0"),
    "out-of-bounds write": ("q[n * k + 5000] = 1;", "bytes changed outside q: 1"),
    "overread": ("static volatile int s; s = p[n * bytes];", "packed ends at a forbidden page:"),
    "misaligned": ("if ((size_t)q % 16) abort();", "at odd addresses:"),
    "stale output": ("if (k == 1) q[0] ^= old >> 3 & 1;", "equal calls came to another"),
    "thread dependent": ("if (threads > 1) q[0] ^= 1;", "equal calls came to another"),
    "stale cache": (CACHED, "the same result at other addresses: False"),
    "not repeatable": ("static int s; q[0] ^= s++ & 1;", "equal calls came to another"),
}
"""What a function does after its work, and what the printed code must say."""

DIES = ("written input", "overread", "misaligned")
"""Faults of which the process of the printed code dies, as the kernel's did."""


@needs_compiler
@pytest.mark.parametrize(("kind", "mischief", "said"), [(kind, *what) for kind, what in TRAPPED.items()])
def test_the_printed_code_lays_the_trap_again(kind: str, mischief: str, said: str, tmp_path: Path) -> None:
    if kind == "flush-to-zero" and not X86:  # the mischief itself is in the language of that processor
        pytest.skip("MXCSR is a register of x86-64")
    report = asked(tmp_path, f"{FIRST} {mischief} (void)p;", "#include <fenv.h>")
    assert kinds(report) == {kind}
    done = run(report)
    assert said in done.stdout, done.stderr
    assert not done.stdout.startswith("0 of")
    assert (done.returncode < 0) == (kind in DIES)


@needs_compiler
def test_the_code_of_a_kernel_without_a_fault_says_so(tmp_path: Path) -> None:
    """Every trap but those of which a right kernel could not live: none says that there is a fault."""
    asked(tmp_path, "")
    target = resolve(f"c:{tmp_path / 'k.so'}")
    problem = next(problem for problem in problems("unpack", 1, 1) if problem.k == 17)
    for kind in set(TRAPS) - {"changed result"}:  # which is about results that are returned
        code = target.code(problem, Mismatch(kind, "packed" if kind.endswith("input") else "q", "", ""))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (kind, done.stderr)
        assert "False" not in done.stdout
        assert "came to another" not in done.stdout or done.stdout.startswith("0 of")
        if kind == "out-of-bounds write":
            assert done.stdout == "bytes changed outside q: 0\n"
        if kind in ("environment", "flush-to-zero"):
            before, after = (line.partition(":")[2].split() for line in done.stdout.splitlines())
            assert before == after
    target.close()


NULL = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
int q35_matmul(const int8_t *a, const uint8_t *packed, int64_t m, int64_t k, int64_t n, int32_t layout,
               int64_t group_size, int32_t narrow_gain, const float *scale, const float *offset,
               int32_t *acc, int32_t *row_sum, float *out) {
    const int64_t groups = group_size ? (k + group_size - 1) / group_size : 1;
    memset(acc, 0, 4 * (size_t)(m * n * groups));
    MISCHIEF
    if (out) memset(out, 0, 4 * (size_t)(m * n));
    if (row_sum) memset(row_sum, 0, 4 * (size_t)(m * groups));
    (void)a, (void)packed, (void)layout, (void)narrow_gain, (void)scale, (void)offset;
    return 0;
}
"""
"""Wrong in every result; what matters is what becomes of a NULL."""


@needs_compiler
@pytest.mark.parametrize(
    ("mischief", "said", "status"),
    [
        ("", "NULL for acc:", -11),
        ("if (!row_sum) acc[0] += 1;", "NULL for row_sum:", 0),
    ],
)
def test_a_result_that_is_not_asked_for_is_not_written(mischief: str, said: str, status: int, tmp_path: Path) -> None:
    acc = "if (acc) memset(acc" if mischief else "memset(acc"
    mischief = mischief.replace("acc[0] +=", "if (acc) acc[0] +=")
    text = NULL.replace("memset(acc", acc).replace("MISCHIEF", mischief)
    (tmp_path / "k.c").write_text(text)
    flags = ["-O1", "-shared", "-fPIC", str(tmp_path / "k.c"), "-o", str(tmp_path / "k.so")]
    subprocess.run([*compiler(), *flags], check=True, capture_output=True)
    report = check(f"c:{tmp_path / 'k.so'}", only="matmul.behaves")
    assert kinds(report) == {"null result"}
    assert report.failures[0].findings[0].bugs == ("NullResult",)
    done = run(report)
    assert said in done.stdout
    assert done.returncode == status


REUSED = (
    "self.b = getattr(self, 'b', np.zeros(1 << 20, np.uint8)); view = self.b[:result.size].reshape(result.shape); "
    "view[...] = result; result = view"
)

OUTSIDE = "__import__('ctypes').c_int8.from_address(q.ctypes.data + q.nbytes + 5000).value = 0"

PYTHON = """
import numpy as np
from q35ref.backends.numpy import NumpyBackend
class Kernel:
    def pack(self, q, layout):
        result = NumpyBackend().pack(q, layout)
        MISCHIEF
        return result
"""


@pytest.mark.parametrize(
    ("mischief", "kind", "said"),
    [
        ("q[0, 0] ^= 1", "modified input", "q is as it was: False"),
        ("q[0, 0] ^= 1; q[0, 0] ^= 1", "written input", "q cannot be written:"),
        ("self.n = getattr(self, 'n', 0) + 1; result[0] ^= self.n & 1", "not repeatable", "calls came to another"),
        (REUSED, "changed result", "the first result is as it was: False"),
        (OUTSIDE, "out-of-bounds write", "bytes changed outside q: 1"),
    ],
)  # fmt: skip
def test_a_python_kernel_is_trapped_likewise(
    mischief: str, kind: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mischief.py").write_text(PYTHON.replace("MISCHIEF", mischief))
    monkeypatch.chdir(tmp_path)
    report = check("python:mischief:Kernel", only="pack.behaves")
    assert kinds(report) == {kind}
    assert said in run(report, tmp_path).stdout


def run(report: Report, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the code of the first finding."""
    code = report.failures[0].findings[0].code
    assert "oracle" not in code
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_each_fault_that_must_be_looked_for_has_a_trap() -> None:
    assert set(FAULTS) - set(TRAPS) == {"crash", "hang", "exit"}
    assert set(TRAPPED) | {"null result", "changed result"} == set(TRAPS)
