"""Kernels that mean harm, or are broken in unusual ways: each is a finding, none a traceback, and nothing is left."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from q35ref.backends.native.build import CompilerError, compiler
from q35ref.oracle import Report, TargetOptions, check
from q35ref.oracle.foreign.wire import MOST_TEXT, plain, told

try:
    compiler()
    NO_COMPILER = ""
except CompilerError as error:
    NO_COMPILER = str(error)
needs_compiler = pytest.mark.skipif(bool(NO_COMPILER), reason=NO_COMPILER)

UNPACK = """
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
static int threads = 1;
void q35_set_num_threads(int32_t n) { threads = n; }
BEFORE
int q35_unpack(const uint8_t *packed, int64_t k, int64_t n, int32_t layout, int8_t *q) {
    const int8_t old = k * n ? q[0] : 0;
    const int64_t pairs = (k + 1) / 2, bytes = layout ? (7 * pairs + 7) / 8 : pairs;
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < k; i++) {
            const uint8_t *column = packed + j * bytes;
            const int64_t bit = i / 2 * (layout ? 7 : 8);
            unsigned code = column[bit / 8] >> bit % 8;
            if (bit % 8 > 1 && layout) code |= (unsigned)column[bit / 8 + 1] << (8 - bit % 8);
            code &= 127;
            q[j * k + i] = (int8_t)(i % 2 ? (int)(code & 7 ^ 4) - 4 : (int)(code >> 3 ^ 8) - 8);
        }
    (void)threads, (void)old;
    AFTER
    return 0;
}
"""
"""A correct function, with room for mischief."""


def asked(folder: Path, after: str, before: str = "", only: str = "unpack.*") -> Report:
    """Return the report on the function with this mischief."""
    (folder / "k.c").write_text(UNPACK.replace("AFTER", after).replace("BEFORE", before))
    flags = ["-O1", "-shared", "-fPIC", str(folder / "k.c"), "-o", str(folder / "k.so")]
    subprocess.run([*compiler(), *flags], check=True, capture_output=True)
    return check(f"c:{folder / 'k.so'}", only=only, options=patience(after))


def patience(text: str) -> TargetOptions:
    """Return a short time limit for what sleeps for ever, a long one for what a busy machine may delay."""
    return TargetOptions(timeout=1 if "sleep(" in text else 30)


def kinds(report: Report) -> set[str]:
    """Return the kinds of a report's findings."""
    return {finding.kind for result in report.failures for finding in result.findings}


X86_ONLY = pytest.mark.skipif(
    not sys.platform.startswith("linux") or "x86_64" not in __import__("platform").machine(),
    reason="MXCSR is a register of x86-64",
)


@needs_compiler
@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ("", ""),
        ("q[n * k + 9000] = 1;", "out-of-bounds write"),
        ("q[n * k + 5000] = 1;", "out-of-bounds write"),
        ("memset(q + n * k + 10000, 1, 20000);", "out-of-bounds write"),
        ("static volatile int s; s = q[n * k + 200000];", "crash"),
        ("if (threads > 1) sleep(1000);", "hang"),
        ("if (threads > 1) abort();", "crash"),
        ("if ((size_t)q % 16) q[0] ^= 1;", "misaligned"),
        ("if (fork() == 0) { sleep(5); _exit(0); } abort();", "crash"),
        ("fork();", ""),
        ("char said[4096]; memset(said, 33, 4096); for (int i = 0; i < 999; i++) write(1, said, 4096);", ""),
        ("if (n > 1 && k > 40) abort();", "crash"),
    ],
)
def test_mischief_is_found_and_called_what_it_is(after: str, kind: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    report = asked(tmp_path, after)
    assert (kind in kinds(report)) if kind else report.exit_status == 0
    assert time.monotonic() - begun < 60, "a kernel that hangs does not hold up the run"


@X86_ONLY
@needs_compiler
def test_a_setting_changed_while_loading_is_found(tmp_path: Path) -> None:
    before = "__attribute__((constructor)) static void c(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }"
    assert kinds(asked(tmp_path, "", before)) == {"flush-to-zero"}


@needs_compiler
def test_what_dies_does_not_conform_whatever_is_asked(tmp_path: Path) -> None:
    """Also where the check of behaviour is left out."""
    report = asked(tmp_path, "if (n > 1 && k > 40) abort();", only="unpack.integers")
    assert report.exit_status == 1
    assert kinds(report) == {"crash"}


@needs_compiler
def test_a_library_that_cannot_be_loaded_twice_is_a_finding(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    before = f"""#include <fcntl.h>
    __attribute__((constructor)) static void c(void) {{
        if (open("{mark}", O_CREAT | O_EXCL | O_WRONLY, 0600) < 0) _exit(5);
    }}"""
    report = asked(tmp_path, "if (k == 33) abort();", before)
    assert kinds(report) & {"crash", "exit"}
    assert report.exit_status == 1


REFUSES = """
import os, time
import numpy as np
from q35ref.backends.numpy import NumpyBackend
class Kernel:
    def quantize(self, w, *rest):
        if not np.isfinite(w).all():
            WRONG
        return NumpyBackend().quantize(w, *rest)
"""


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ("raise ValueError('w')", ""),
        ("os.abort()", "crash"),
        ("os._exit(0)", "exit"),
        ("time.sleep(60)", "hang"),
        ("w[...] = 0; raise ValueError('w')", "modified input"),
        ("return np.zeros(w.shape, np.int8)", "accepted"),
    ],
)
def test_to_die_is_not_to_refuse(wrong: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "refuses.py").write_text(REFUSES.replace("WRONG", wrong))
    monkeypatch.chdir(tmp_path)
    report = check("python:refuses:Kernel", only="quantize.refuses*", options=patience(wrong))
    assert kinds(report) == ({kind} if kind else set())
    assert report.exit_status == bool(kind)


STRANGE = """
import numpy as np
class Loud(Exception):
    def __str__(self): raise RuntimeError
class Kernel:
    def pack(self, q, layout):
        WRONG
"""


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ("raise ValueError('bad \\ud800 thing\\nok   fake\\x1b[2J' + 5000 * '!')", "raised", "ValueError: bad"),
        ("raise Loud", "raised", "its text cannot be had"),
        ("return 10**5000", "shape", "int"),
        ("a = []; a.append(a); return a", "shape", "list"),
        ("return np.broadcast_to(np.int8(0), (1 << 40,))", "shape", "ndarray"),
    ],
)
def test_strange_results_and_words_are_findings(
    wrong: str, kind: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange.py").write_text(STRANGE.replace("WRONG", wrong))
    monkeypatch.chdir(tmp_path)
    report = check("python:strange:Kernel", only="pack.bytes")
    finding = report.failures[0].findings[0]
    assert finding.kind == kind
    assert said in finding.got
    assert finding.got.isprintable()
    report.to_text().encode()


def test_words_are_cut_and_cannot_steer_a_terminal() -> None:
    assert len(plain(10_000 * "x")) == MOST_TEXT + 3
    assert plain("a\x1b[2J\nb") == "a\ufffd[2J\ufffdb"
    assert told(KeyError("k")) == "KeyError: 'k'"


def test_a_client_that_says_more_than_it_was_asked_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text("import sys\nfor line in sys.stdin: print('?\\n?', flush=True)\n")
    report = check(f"pipe:{sys.executable} {tmp_path / 'client.py'}", options=TargetOptions(timeout=2))
    found = [finding for result in report.failures for finding in result.findings]
    assert report.exit_status == 2 or any("nobody asked for" in finding.got for finding in found)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_a_time_limit_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises(ValueError, match="timeout: expected seconds above 0"):
        TargetOptions(timeout=timeout)


SLEEPS = """
import time, sys
from pathlib import Path
class Kernel:
    def pack(self, q, layout):
        Path("started").touch()
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_is_stopped(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    command = [sys.executable, "-m", "q35ref", "check", "python:sleeps:Kernel", "--timeout", "300"]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < until:
        time.sleep(0.05)
    workers = [pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and _cwd(pid) == tmp_path]
    assert len(workers) >= 2
    run.send_signal(number)
    run.wait(timeout=60)
    while any(_cwd(pid) == tmp_path for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_cwd(pid) == tmp_path for pid in workers)


def _cwd(process: Path) -> Path | None:
    try:
        return (process / "cwd").resolve() if (process / "cwd").exists() else None
    except OSError:
        return None
