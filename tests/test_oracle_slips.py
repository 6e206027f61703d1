"""Mistakes that show themselves in few calls: each is found, wrapped around the planted kernel, which is right.

What once conformed, or was called what it is not: found by attacks on the oracle.
"""

import subprocess
from pathlib import Path

import pytest

from q35ref.backends.native.build import SOURCES, compiler
from q35ref.oracle import Domain, Report, TargetOptions, check
from q35ref.oracle.foreign.environment import X86
from tests.test_oracle_hostile import kinds, needs_compiler
from tools.planted.kernels import FLAGS, FOLDER

MATMUL = (
    "const int8_t *a, const uint8_t *packed, int64_t m, int64_t k, int64_t n, int32_t layout, int64_t group_size, "
    "int32_t narrow_gain, const float *scale, const float *offset, int32_t *acc, int32_t *row_sum, float *out"
)

PARAMETERS = "int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain, const float *scale, const float *offset"

FUNCTIONS = {
    "pack": ("q k n layout packed", "const int8_t *q, int64_t k, int64_t n, int32_t layout, uint8_t *packed"),
    "unpack": ("packed k n layout q", "const uint8_t *packed, int64_t k, int64_t n, int32_t layout, int8_t *q"),
    "calibrate_minmax": (
        "w k n group_size scale offset",
        "const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset",
    ),
    "calibrate_symmetric": (
        "w k n group_size scale offset",
        "const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset",
    ),
    "quantize": ("w k n group_size narrow_gain scale offset q", f"const float *w, {PARAMETERS}, int8_t *q"),
    "dequantize": ("q k n group_size narrow_gain scale offset w", f"const int8_t *q, {PARAMETERS}, float *w"),
    "quantize_activations": (
        "x m k activation_scale a",
        "const float *x, int64_t m, int64_t k, float *activation_scale, int8_t *a",
    ),
    "matmul": ("a packed m k n layout group_size narrow_gain scale offset acc row_sum out", MATMUL),
}
"""The functions of ABI ``q35``: names of their arguments, and their declarations."""

HEAD = """
#include <fenv.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
void right_set_num_threads(int32_t n);
static int threads = 1;
void q35_set_num_threads(int32_t n) { threads = n; right_set_num_threads(n); }
"""


def slipped(folder: Path, function: str, before: str = "", after: str = "", **options: object) -> Report:
    """Return the report on a function that does something before and after the right one."""
    names, declared = FUNCTIONS[function]
    call = f"right_{function}({', '.join(names.split())})"
    (folder / "slip.c").write_text(
        f"{HEAD}int right_{function}({declared});\n"
        f"int q35_{function}({declared}) {{\n    {before}\n    const int status = {call};\n    {after}\n"
        "    (void)threads;\n    return status;\n}\n"
    )
    renamed = [f"-Dq35_{name}=right_{name}" for name in (*FUNCTIONS, "set_num_threads")]
    flags = [flag for flag in FLAGS if flag not in ("-Werror", "-shared")]
    objects = []
    for part in ("codes", "weights", "matmul"):
        objects.append(str(folder / f"{part}.o"))
        source = [str(FOLDER / f"{part}.c"), "-o", objects[-1]]
        run([*compiler(), *flags, *renamed, f"-I{SOURCES}", "-c", *source])
    made = folder / "slip.so"
    run([*compiler(), "-w", "-O1", "-fPIC", "-shared", str(folder / "slip.c"), *objects, "-o", str(made), "-lm"])
    operation = function.partition("_m")[0].partition("_s")[0]
    return check(f"c:{made}", only=f"{operation}.*", options=TargetOptions(timeout=30, **options))  # type: ignore[arg-type]


def run(command: list[str]) -> None:
    """Run a compiler."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


ZERO_ROW = "for (int64_t i = 1; i < m; i++) { int z = 1; for (int64_t j = 0; j < k; j++) if (x[i * k + j]) z = 0; "
ZERO_COLUMN = (
    "const int64_t g = group_size ? group_size : k; "
    "for (int64_t c = 1; c < n; c++) for (int64_t t = 0; t * g < k; t++) "
    "{ int z = 1; for (int64_t r = t * g; r < k && r < (t + 1) * g; r++) if (w[c * k + r]) z = 0; "
    "if (z) scale[t * n + c] = scale[t * n + c - 1]; }"
)
BLOCK = (
    "int8_t *b = malloc(m * k); for (int64_t i = 0; i < m; i++) for (int64_t j = 0; j < k; j++) "
    "b[i * k + j] = a[i * k + j % 1024]; a = b;"
)
CACHE = (
    "static const uint8_t *held; static int64_t hk, hn; static int32_t hl; static uint8_t *copy; "
    "const int64_t bytes = n * (layout ? (7 * ((k + 1) / 2) + 7) / 8 : (k + 1) / 2); "
    "if (held != packed || hk != k || hn != n || hl != layout) "
    "{ copy = realloc(copy, bytes); memcpy(copy, packed, bytes); held = packed; hk = k; hn = n; hl = layout; } "
    "packed = copy;"
)
GROUPS = "const int64_t groups = group_size ? (k + group_size - 1) / group_size : 1;"


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "before", "after", "kind"),
    [
        ("matmul", "", "", ""),
        ("matmul", "", "if (threads > 1) _mm_setcsr(_mm_getcsr() | 0x8040);", "flush-to-zero"),
        ("matmul", "", "if (threads > 1) fesetround(FE_UPWARD);", "environment"),
        ("matmul", "", "if (!out) fesetround(FE_UPWARD);", "environment"),
        ("matmul", "", '__asm__("movq %mm0, %mm0");', "environment"),
        ("matmul", "if (!acc && !row_sum) abort();", "", "null result"),
        ("matmul", "if (!acc && !out) return 1;", "", "null result"),
        ("matmul", BLOCK, "free(b);", "value"),
        ("matmul", CACHE, "", "stale cache"),
        ("matmul", "", f"{GROUPS} if (groups > 28 && out) memset(out, 0, 4 * m * n);", "value"),
        ("matmul", "", "if (group_size > 256 && group_size < k && out) out[0] = 0;", "value"),
        ("matmul", "", "if (n > 65 && out) out[66] = 0;", "value"),
        ("matmul", "", "if (m > 17 && out) out[17 * n] = 0;", "value"),
        ("matmul", "", "if (threads > 1 && m * n * k > 200000 && out) out[0] = 0;", "thread dependent"),
        ("matmul", "", "if (threads == 3 && out) out[0] = 0;", "thread dependent"),
        ("matmul", "", "if (out) ((char *)out)[-65536] = 1;", "out-of-bounds write"),
        ("matmul", "", ("for (int64_t i = 0; i < m && out; i++) { int z = 1; for (int64_t j = 0; j < k; j++) "
         "if (a[i * k + j]) z = 0; if (z) out[i * n] = 0.0f / 0.0f; }"), "value"),
        ("unpack", "", "if (k > 1001) q[1002] ^= 1;", "value"),
        ("unpack", "", "if (threads > 1 && k * n > 1 << 17) q[n * k - 1] = 1;", "thread dependent"),
        ("pack", "", "if (k * n >= 8192) packed[0] ^= 1;", "value"),
        ("quantize", "", "if (k > 1001) q[1002] ^= 1;", "value"),
        ("quantize", ("float *c = malloc(4 * n * k); memcpy(c, w, 4 * n * k); for (int64_t i = 0; n > 1 && i < k; i++) "
         "if (c[i] - c[i] != 0) c[i] = 0; w = c;"), "free(c);", "accepted"),
        ("calibrate_minmax", "static volatile float s; s = w[-1];", "", "overread"),
        ("calibrate_symmetric", "static volatile float s; s = w[-1];", "", "overread"),
        ("calibrate_symmetric", "", ZERO_COLUMN, "value"),
        ("calibrate_minmax", "", ZERO_COLUMN, "value"),
        ("quantize_activations", "", ("for (int64_t i = 0; i < m * k; i++) "
         "if (x[i] < -127.5f * activation_scale[i / k]) a[i] = -128;"), "value"),
        ("quantize_activations", "", ZERO_ROW + "if (z) activation_scale[i] = activation_scale[i - 1]; }", "value"),
    ],
)  # fmt: skip
def test_what_shows_in_few_calls_is_found(function: str, before: str, after: str, kind: str, tmp_path: Path) -> None:
    if (
        "_mm_" in after + before or "mm0" in after
    ) and not X86:  # the mischief itself is in the language of that processor
        pytest.skip("a register of x86-64")
    report = slipped(tmp_path, function, before, after)
    assert (kind in kinds(report)) if kind else report.failures == []


ALIGNED = (
    "for (int64_t j = 0; j < n * k; j++) { const int64_t r = j % k, c = j / k, g = group_size ? r / group_size : 0; "
    "const float s = scale[g * n + c], o = offset[g * n + c], v = (float)(q[j] * (r % 2 ? narrow_gain : 1)); "
    "if ((uintptr_t)(w + j) % 16) { volatile float t = s * v; w[j] = t + o; } else w[j] = __builtin_fmaf(s, v, o); }"
)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_comes_and_goes_is_not_called_a_cache(seed: int, tmp_path: Path) -> None:
    dice = (
        f"static uint32_t s = {seed}; s = s * 1664525u + 1013904223u; if (s >> 16 & 1 && acc) acc[0] ^= 1 << (s >> 28);"
    )
    found = kinds(slipped(tmp_path, "matmul", after=dice))
    assert found
    assert "stale cache" not in found


@needs_compiler
@pytest.mark.slow
def test_floats_within_the_bound_may_depend_on_where_they_lie(tmp_path: Path) -> None:
    assert slipped(tmp_path, "dequantize", "", ALIGNED).failures == []


@needs_compiler
def test_what_is_kept_from_call_to_call_is_called_that(tmp_path: Path) -> None:
    report = slipped(tmp_path, "unpack", "", "static int64_t calls; if (++calls % 50 < 3) q[0] ^= 1;")
    bugs = {bug for result in report.failures for finding in result.findings for bug in finding.bugs}
    assert bugs <= {"KeptState", "StaleCache", "ThreadRace", "StaleOutput"}
    assert bugs


@needs_compiler
@pytest.mark.parametrize("part", [{}, {"layouts": ("dense",), "narrow_gains": (2,), "k_multiple": 16}])
def test_a_kernel_of_a_part_of_the_format_can_be_checked(part: dict[str, object], tmp_path: Path) -> None:
    refuses = "if (!layout || k % 16 || narrow_gain != 2) return 1;"
    domain = Domain(**part)  # type: ignore[arg-type]
    report = slipped(tmp_path, "matmul", refuses, domain=domain)
    assert bool(report.failures) == domain.whole
    assert ("layout dense, gain 2, K a multiple of 16 only" in report.summary()) != domain.whole


@needs_compiler
def test_a_kernel_that_refuses_everything_has_shown_nothing(tmp_path: Path) -> None:
    report = slipped(tmp_path, "unpack", "return 1;")
    statuses = {result.name: result.status for result in report.results}
    assert statuses == {"unpack.behaves": "not checked", "unpack.integers": "failed"}
