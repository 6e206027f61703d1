"""Kernels of other people, in processes of their own: each planted bug is found and named, and the run goes on."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from q35ref.backends.native.build import CompilerError, compiler
from q35ref.oracle import TargetError, TargetOptions, check, resolve
from q35ref.oracle.bugs import BUGS
from q35ref.oracle.cases import problems
from q35ref.oracle.foreign.memory import SLACK, Rooms, Side
from q35ref.oracle.foreign.wire import Foreign, decode, encode
from q35ref.oracle.judge import FAULTS
from tests.kernels import planted
from tools.planted.kernels import c_library

FOLDER = Path(__file__).parent / "kernels"
ROOT = Path(__file__).parents[1]

CLASSES = [line.split(" | ")[:2] for line in (FOLDER / "classes.txt").read_text().splitlines()]
"""Each planted bug, and the operations in which it shows."""


def patience(name: str) -> TargetOptions:
    """Return a short time limit for what hangs, a long one for what a busy machine may delay."""
    return TargetOptions(timeout=2 if name == "Hang" else 30)


try:
    compiler()
    NO_COMPILER = ""
except CompilerError as error:
    NO_COMPILER = str(error)
needs_compiler = pytest.mark.skipif(bool(NO_COMPILER), reason=NO_COMPILER)


def first_operation(operations: str) -> str:
    """Return the operation in which a planted bug is looked for."""
    return operations.split(", ")[0]


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(("name", "operations"), CLASSES)
def test_each_bug_in_c_is_found_and_named(name: str, operations: str, tmp_path: Path) -> None:
    """All that else there is to check is checked."""
    operation = first_operation(operations)
    report = check(f"c:{c_library(tmp_path, name)}", only=[f"{operation}.*", "calibrate.*"], options=patience(name))
    assert report.exit_status == 1
    assert {result.status for result in report.results if result.operation == "calibrate"} == {"passed"}
    finding = report.failures[0].findings[0]
    assert name in finding.bugs
    assert len(finding.bugs) <= 2
    assert "ctypes.CDLL" in finding.code


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_a_correct_kernel_in_c_passes_whatever_the_seed(seed: int, tmp_path: Path) -> None:
    report = check(f"c:{c_library(tmp_path)}", seed=seed, only=["*"] if seed == 1 else ["[pum]*"])
    assert report.failures == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "operations"), [found for found in CLASSES if hasattr(planted, found[0])])
def test_each_bug_in_python_is_found_and_named(name: str, operations: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels on which the classifier was not tuned; for what they do beside their work, in any operation."""
    monkeypatch.chdir(ROOT)
    beside = any(name in bugs for bugs in FAULTS.values())
    only = ["pack.behaves", "unpack.behaves", "matmul.behaves"] if beside else [f"{first_operation(operations)}.*"]
    report = check(f"python:tests.kernels.planted:{name}", only=only, options=patience(name))
    finding = report.failures[0].findings[0]
    assert name in finding.bugs
    assert len(finding.bugs) <= 2


@pytest.mark.slow
def test_a_correct_kernel_in_python_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert check("python:tests.kernels.planted:Correct").exit_status == 0


def test_every_planted_kernel_has_a_class() -> None:
    assert {name for name, _ in CLASSES} <= set(BUGS)


@needs_compiler
def test_the_printed_code_repeats_the_finding_without_the_oracle(tmp_path: Path) -> None:
    made = c_library(tmp_path, "WideSignMissing")
    finding = check(f"c:{made}", only="unpack.integers").failures[0].findings[0]
    assert "q35ref" not in finding.code
    done = subprocess.run([sys.executable, "-c", finding.code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0 [[15]]\n")


GROQ = """
#include <stdint.h>
void matmul_3p5bit_awq(const int8_t *a, const int8_t *w, const float *s, const float *o, int32_t *c,
                       int32_t m, int32_t n, int32_t k) {
    (void)s, (void)o;
    for (int32_t j = 0; j < n; j++)
        for (int32_t i = 0; i < m; i++) {
            int32_t sum = 0;
            for (int32_t p = 0; p < k / 2; p++) {
                const int code = w[(int64_t)j * (k / 2) + p];
                sum += a[i + (int64_t)m * (2 * p)] * ((code >> 3 & 15 ^ 8) - 8);
                sum += a[i + (int64_t)m * (2 * p + 1)] * ((code & 7 ^ 4) - 4);
            }
            c[i + (int64_t)m * j] = sum BUG;
        }
}
"""
"""The drafts' interface, in the order of elements of Fortran."""


@needs_compiler
@pytest.mark.parametrize("bug", ["", "* (s[0] > 0) + (k % 6 == 0)"])
def test_the_drafts_interface_is_checked_for_what_it_has(bug: str, tmp_path: Path) -> None:
    (tmp_path / "groq.c").write_text(GROQ)
    made = tmp_path / "groq.so"
    flags = ["-shared", "-fPIC", f"-DBUG={bug}", str(tmp_path / "groq.c"), "-o", str(made)]
    subprocess.run([*compiler(), *flags], check=True, capture_output=True)
    report = check(f"c:{made}", options=TargetOptions(abi="groq-mvp"))
    statuses = {result.name: result.status for result in report.results}
    assert statuses["matmul.acc"] == ("failed" if bug else "passed")
    assert statuses["matmul.out"] == statuses["pack.bytes"] == "not checked"
    assert report.exit_status == bool(bug)
    if bug:
        found = report.failures[0].findings[0]
        done = subprocess.run([sys.executable, "-c", found.code], capture_output=True, text=True, check=False)
        assert done.stdout == "[[1]]\n", done.stderr
        assert "--abi groq-mvp" in found.command


CLIENT = """
import sys, time, os
for line in sys.stdin:
    operation, *words = line.split()
    numbers = [int(word, 16) for word in words]
    if operation != "unpack":
        print("?", flush=True)
        continue
    k, n, layout, *packed = numbers
    width = len(packed) // n
    answer = []
    for column in range(n):
        stream = sum(byte << 8 * i for i, byte in enumerate(packed[column * width : (column + 1) * width]))
        step = 7 if layout else 8
        for row in range(k):
            code = stream >> row // 2 * step & 127
            q = (code & 7 ^ 4) - 4 if row % 2 else (code >> 3 ^ 8) - 8
            answer.append(q & 255)
    WRONG
    print(*(f"{q:02X}" for q in answer), flush=True)
"""


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ("", "", ""),
        ("answer[0] ^= 1", "value", "0x"),
        ("answer.pop()", "shape", "an answer that cannot be read: q: expected"),
        ("answer.append(0)", "shape", "expected nothing after q, got 1 more words"),
        ("print('G' * 2, flush=True); continue", "shape", "expected"),
        ("print('! too long', flush=True); continue", "raised", "too long"),
        ("os.abort()", "crash", "SIGABRT"),
        ("sys.exit(3)", "exit", "status 3"),
        ("sys.stderr.write('out of paper'); sys.exit(0)", "exit", "out of paper"),
        ("time.sleep(60)", "hang", "no answer within"),
        ("answer[0] ^= int(time.monotonic_ns() // 7) & 1", "not repeatable", ""),
    ],
)
def test_a_client_behind_a_pipe_is_judged_like_others(wrong: str, kind: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(textwrap.dedent(CLIENT.replace("WRONG", wrong or "pass")))
    target = f"pipe:{sys.executable} {tmp_path / 'client.py'}"
    report = check(target, only=["unpack.*", "pack.*"], options=TargetOptions(timeout=1 if "sleep" in wrong else 30))
    statuses = {result.name: result.status for result in report.results}
    assert statuses["pack.bytes"] == "not checked"
    if not kind:
        assert report.exit_status == 0
        return
    found = [finding for result in report.failures for finding in result.findings if finding.kind == kind]
    assert found
    assert any(said in finding.got for finding in found)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("c:no-such.so", {}, "there is no file no-such.so"),
        ("c:", {}, "target: expected one of"),
        ("c:{folder}/text.so", {}, "OSError"),
        ("c:{folder}/text.so", {"abi": "win32"}, "abi: expected one of q35, groq-mvp, got 'win32'"),
        ("pipe:", {}, "target: expected one of"),
        ("pipe:no-such-program --fast", {}, "no-such-program: No such file"),
        ("pipe:'unfinished", {}, "the command cannot be read"),
    ],
)
def test_what_cannot_be_started_is_said_so(target: str, options: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(TargetError, match=message):
        resolve(target.format(folder=tmp_path), TargetOptions(**options))


@needs_compiler
def test_a_library_without_the_functions_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "empty.c").write_text("int nothing;\n")
    made = tmp_path / "empty.so"
    subprocess.run([*compiler(), "-shared", "-fPIC", str(tmp_path / "empty.c"), "-o", str(made)], check=True)
    with pytest.raises(TargetError, match=r"expected some of the functions q35_pack.*found none"):
        resolve(f"c:{made}")


@pytest.mark.parametrize("side", ["", "odd", "after", "before"])
def test_a_byte_beside_an_array_is_seen(side: Side) -> None:
    rooms = Rooms()
    array = rooms.hold("a", "f4", (3, 5), side)
    array[...] = 1.0
    assert rooms.damage("a") == ""
    whole = rooms._rooms["a"]._bytes
    start = rooms._rooms["a"]._first
    if side != "after":
        whole[start + array.nbytes + 3] = 0
        assert rooms.damage("a") == "1 bytes from 3 to 3 past its end"
        whole[start + array.nbytes + 3] = 0xC3
    if side != "before":
        whole[start - SLACK] = 0
        assert rooms.damage("a") == f"1 bytes up to {SLACK} before its start"


@pytest.mark.parametrize(
    "value",
    [None, True, 7, "x", (1, [2, "y"]), {"a": np.arange(6, dtype=np.int8).reshape(2, 3)}, np.zeros((0, 3), "f4")],
)
def test_messages_come_back_as_they_were(value: Any) -> None:
    assert repr(decode(encode(value))) == repr(value)


@pytest.mark.parametrize("value", [object(), np.ma.zeros(3), np.zeros(2, ">i4"), 1.5, b"bytes"])
def test_what_no_message_holds_is_its_types_name(value: Any) -> None:
    found = decode(encode(value))
    assert isinstance(found, Foreign)
    assert type(value).__name__ in found.type_name


@pytest.mark.parametrize("text", [[], {"a": 1, "b": 2}, {"array": ["f4", [2], "no base64"]}, {"strange": 1}, 1.5])
def test_a_wrong_message_is_an_error(text: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        decode(text)


def test_a_long_finding_holds_its_input_whole() -> None:
    """However it was cut down: the printed expression makes the same problem."""
    import q35ref

    posed = next(p for p in problems("matmul", 1, 1) if p.k > 500)
    cut = posed.restrict(rows=slice(0, 500)).with_settings(layout="byte")
    changed = cut.with_array("a", (cut.arrays["a"] // 3 * np.arange(1, 501)).astype(np.int8))
    for made in (cut, changed):
        again = eval(made.origin or f"q35ref.oracle.unfold({made.folded()!r})", {"q35ref": q35ref})  # noqa: S307
        assert made.operation == again.operation
        assert (made.k, made.layout, made.group_size, made.narrow_gain) == (
            again.k, again.layout, again.group_size, again.narrow_gain
        )  # fmt: skip
        for name, array in made.arrays.items():
            np.testing.assert_array_equal(array, again.arrays[name])
