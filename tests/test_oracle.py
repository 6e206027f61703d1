"""The oracle: each planted bug is caught, cut down, explained; nothing is passed that was not checked."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import q35ref
from q35ref.backends import OPERATIONS
from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle import ConformanceError, Problem, TargetError, check, problem, problems, resolve
from q35ref.oracle.bugs import BUGS, KERNELS, Bug
from q35ref.oracle.bugs.quantizers import DequantizesInDouble
from q35ref.oracle.judge import BEHAVIOUR, REFUSAL, RULES
from q35ref.oracle.report import Finding, Report, Result

SCHEMA = json.loads(Path(q35ref.oracle.report.__file__).with_name("report.schema.json").read_text())

SMALLEST: dict[str, tuple[str, tuple[str, ...]]] = {
    "AcceptsNan": ("quantize.refuses_nonfinite", ("w = np.array([[np.nan]]",)),
    "ActivationsInFloat32": ("quantize_activations.integers", ("x = np.array([[",)),
    "ActivationTailDropped": ("matmul.out", ("a = np.array([[0], [0], [0], [0], [1]]", " = 1, 'byte', 0, 1")),
    "ColumnTailDropped": ("matmul.out", ("k, layout, group_size, narrow_gain = 1, 'byte', 0, 1",)),
    "LongGroupsUseTheFirst": ("matmul.out", ("k, layout, group_size, narrow_gain = 129, 'byte', 128, 1",)),
    "DequantizesInDouble": ("dequantize.exact", ("q = np.array([[0], [3]]", "scale = np.array([[5592407.0]]")),
    "Float32Accumulators": ("matmul.acc", ("a = np.full((1, 20325), 127", "q = np.resize(np.array([[7], [3]]")),
    "GainOnWideLane": ("matmul.acc", ("a = np.array([[1]]", "q = np.array([[1], [0]]", " = 1, 'byte', 0, 2")),
    "GroupBoundaryOffByOne": ("matmul.acc", ("k, layout, group_size, narrow_gain = 17, 'byte', 16, 1",)),
    "Int16Accumulators": ("matmul.acc", ("a = np.full((1, 32), -128", "q = np.resize(np.array([[-8], [-4]]")),
    "LanesSwapped": ("pack.bytes", ("q = np.array([[1]]", "layout = 'byte'")),
    "GainIgnored": ("matmul.acc", ("a = np.array([[0, 1]]", "q = np.array([[0], [1]]", " = 2, 'byte', 0, 2")),
    "Wraps": ("quantize.integers", ("w = np.array([[0.0], [4.0]]", "scale = np.array([[1.0]]")),
    "OffsetBeforeScale": ("matmul.out", ("a = np.array([[0]]", "offset = np.array([[0.5]]", " = 1, 'byte', 0, 1")),
    "OffsetFromUnroundedScale": (
        "calibrate.offset",
        ("w = np.array([[-0.5], [0.0]]", "group_size, method = 0, 'minmax'"),
    ),
    "BigEndianCodes": ("pack.bytes", ("q = np.array([[1]]", "layout = 'dense'")),
    "BlockTail": ("pack.bytes", ("q = np.array([[1]]", "layout = 'byte'")),
    "BytesReversed": ("pack.bytes", ("[0], [1]]", "layout = 'dense'")),
    "FieldShift": ("pack.bytes", ("q = np.array([[1]]", "layout = 'byte'")),
    "FlushToZero": ("matmul.out", ("scale = np.array([[2.0**-149]]",)),
    "FmaReciprocal": ("quantize.integers", ("w = np.array([[0.5]]",)),
    "Int24Accumulators": ("matmul.acc", ("a = np.full((1, 8192), -128", "q = np.resize(np.array([[-8], [-4]]")),
    "MinusOneTwentyEight": ("matmul.acc", ("a = np.array([[-128]]",)),
    "NarrowSignMissing": ("unpack.integers", ("q = np.array([[0], [-1]]", "k, layout = 2, 'byte'")),
    "NarrowSignThreshold": ("unpack.integers", ("q = np.array([[0], [0]]", "k, layout = 2, 'byte'")),
    "OddTail": ("pack.bytes", ("q = np.array([[1]]", "layout = 'byte'")),
    "OnesComplement": ("pack.bytes", ("q = np.array([[-1]]", "layout = 'byte'")),
    "OrderSwapped": ("pack.bytes", ("q = np.array([[0, 0], [0, 0], [1, 0]]",)),
    "ReciprocalMultiply": ("quantize.integers", ("w = np.array([[0.5]]",)),
    "RowSumOverWholeRow": ("matmul.row_sum", ("k, layout, group_size, narrow_gain = 17, 'byte', 16, 1",)),
    "SaturatingAccumulators": ("matmul.acc", ("a = np.full((1, 32), -128", "q = np.resize(np.array([[-8], [-4]]")),
    "ScaleByRow": ("matmul.out", ("scale = np.array([[1.0, 0.",)),
    "ScaleOffsetExchanged": ("matmul.out", ("scale = np.array([[1.0]]",)),
    "WideSignMissing": ("unpack.integers", ("q = np.array([[-1], [0]]", "k, layout = 1, 'byte'")),
    "WideSignThreshold": ("unpack.integers", ("q = np.array([[0], [0]]", "k, layout = 1, 'byte'")),
    "PaddingBitsSet": ("pack.bytes", ("q = np.array([[0]]", "layout = 'dense'")),
    "QuantizesInDouble": ("quantize.integers", ("w = np.array([[0.5]]", "offset = np.array([[-2.0**-60]]")),
    "QuantizesInFloat32": ("quantize.integers", ("w = np.array([[0.5]]", "offset = np.array([[-2.0**-60]]")),
    "RoundsHalfAway": ("quantize.integers", ("w = np.array([[0.5]]", "offset = np.array([[0.0]]")),
    "RoundsHalfUp": ("quantize.integers", ("w = np.array([[0.5]]", "offset = np.array([[0.0]]")),
    "RowSumMissing": ("matmul.out", ("a = np.array([[0]]", "offset = np.array([[0.5]]", " = 1, 'byte', 0, 1")),
    "ShortGroup": ("matmul.acc", ("k, layout, group_size, narrow_gain = 17, 'byte', 16, 1",)),
    "Truncates": ("quantize.integers", ("w = np.array([[0.5]]", "scale = np.array([[1.0]]")),
    "UnsignedActivations": ("matmul.acc", ("a = np.array([[-1]]", "q = np.array([[1], [0]]")),
}
"""For each planted bug the first rule that it breaks, and what the smallest input holds."""


@pytest.mark.parametrize("name", KERNELS)
def test_each_planted_bug_is_caught_cut_down_and_explained(name: str) -> None:
    rule, parts = SMALLEST[name]
    report = check(BUGS[name], only=[f"{rule.partition('.')[0]}.*"])
    assert report.exit_status == 1
    first = report.failures[0]
    assert first.name == rule
    [finding] = first.findings
    assert [part for part in parts if part not in finding.code] == []
    assert name in finding.bugs
    assert len(finding.bugs) <= 2


def test_the_kernel_that_bugs_are_made_of_is_right() -> None:
    class Right(Bug):
        correctly_rounded = True

    assert check(Right).exit_status == 0


@pytest.mark.parametrize("name", ["Wraps", "RowSumMissing", "BigEndianCodes"])
def test_the_printed_code_repeats_the_finding(name: str) -> None:
    [*_, first] = check(BUGS[name], only=[SMALLEST[name][0]]).failures
    setup, _, call = first.findings[0].code.rpartition("\n")
    scopes: dict[str, dict[str, Any]] = {"bug": {"kernel": BUGS[name]()}, "numpy": {"kernel": NumpyBackend()}}
    for scope in scopes.values():
        exec(f"{setup}\nresult = {call}", scope)  # noqa: S102
    results = [np.asarray(scope["result"][2] if "matmul" in call else scope["result"]) for scope in scopes.values()]
    assert not np.array_equal(results[0], results[1])


@pytest.mark.parametrize(("name", "size"), [("LanesSwapped", 1), ("OrderSwapped", 6), ("MinusOneTwentyEight", 5)])
def test_a_finding_tells_the_size_of_its_input(name: str, size: int) -> None:
    [*_, first] = check(BUGS[name], only=[SMALLEST[name][0]]).failures
    scope: dict[str, Any] = {}
    exec(first.findings[0].code.rpartition("\n")[0], scope)  # noqa: S102
    arrays = [value for key, value in scope.items() if isinstance(value, np.ndarray) and key != "packed"]
    assert first.findings[0].input_size == sum(array.size for array in arrays) == size


def test_every_bug_class_has_a_description_and_an_effect() -> None:
    assert set(SMALLEST) == set(KERNELS)
    for bug in BUGS.values():
        assert bug.__doc__
        assert bug.effect
        assert set(bug.operations) <= set(OPERATIONS)
        assert bug.operations


@pytest.mark.parametrize("seed", [1, 2])
def test_a_correct_kernel_passes_whatever_the_seed(seed: int) -> None:
    report = check(NumpyBackend(), seed=seed)
    assert report.exit_status == 0
    assert report.counts["not checked"] == 0


def test_the_same_seed_gives_the_same_problems_and_another_others() -> None:
    for operation in OPERATIONS:
        first, again, other = (list(problems(operation, 1, seed)) for seed in (1, 1, 2))
        same = [
            all(np.array_equal(a.arrays[k], b.arrays[k]) for k in a.arrays) for a, b in zip(first, again, strict=True)
        ]
        assert all(same)
        assert any(a.k != b.k for a, b in zip(first, other, strict=False))
    assert problem("pack", level=1, seed=1, index=3).origin.endswith("index=3)")


def test_level_one_covers_every_code_every_pair_and_both_layouts() -> None:
    found = list(problems("pack", 1, 1))
    pairs = {tuple(pair) for p in found if p.k >= 2 for pair in p.arrays["q"][:2].T.tolist()}
    assert pairs == {(wide, narrow) for wide in range(-8, 8) for narrow in range(-4, 4)}
    assert {p.layout for p in found} == {"byte", "dense"}
    codes = {int(c) for p in problems("unpack", 1, 1) if p.layout == "byte" for c in p.arguments()["packed"].ravel()}
    assert codes == set(range(128))


class Partial:
    """A kernel that offers one operation."""

    def pack(self, q: Any, layout: Any) -> Any:
        return NumpyBackend().pack(q, layout)


def test_what_a_kernel_lacks_is_not_checked_and_fails_only_if_required() -> None:
    report = check(Partial())
    assert report.exit_status == 0
    assert [r.name for r in report.results if r.status == "passed"] == ["pack.behaves", "pack.bytes"]
    assert report.counts["not checked"] == len(RULES) + len(BEHAVIOUR) - 1  # all but pack's two, and the refusal
    assert all("the target has no" in r.reason for r in report.results if r.status == "not checked")
    required = check(Partial(), require=["pack", "quantize"])
    assert required.exit_status == 1
    assert {r.operation for r in required.failures} == {"quantize"}
    assert "required, but the target has no quantize" in required.to_text()
    assert "require=['quantize']" in required.to_text()


def test_nothing_checked_is_no_success() -> None:
    report = check(object())
    assert report.exit_status == 2
    with pytest.raises(ConformanceError, match="nothing was checked"):
        report.raise_for_failures()


def test_correct_rounding_is_judged_only_where_it_is_claimed() -> None:
    class Modest(DequantizesInDouble):
        correctly_rounded = False

    report = check(Modest(), only=["dequantize.*"])
    assert [(r.name, r.status) for r in report.results] == [
        ("dequantize.behaves", "passed"),
        ("dequantize.bound", "passed"),
        ("dequantize.exact", "not checked"),
    ]


class Odd(NumpyBackend):
    """A kernel whose ``pack`` is replaced by a test."""

    def __init__(self, pack: Any) -> None:
        self.do_pack = pack
        self.calls = 0

    def pack(self, q: Any, layout: Any) -> Any:
        self.calls += 1
        return self.do_pack(self, q, layout)


def correct(q: Any, layout: Any) -> Any:
    return NumpyBackend().pack(q, layout)


def modify(kernel: Odd, q: Any, layout: Any) -> Any:
    packed = correct(q, layout)
    q[0, 0] = 0
    return packed


def fail(kernel: Odd, q: Any, layout: Any) -> Any:
    raise RuntimeError("out of registers \x00")


def flicker(kernel: Odd, q: Any, layout: Any) -> Any:
    return correct(q, layout) ^ np.uint8(kernel.calls == 5)


@pytest.mark.parametrize(
    ("pack", "kind", "got"),
    [
        (modify, "modified input", "changed by the call"),
        (fail, "raised", "RuntimeError: out of registers"),
        (flicker, "value", "0x"),
        (lambda kernel, q, layout: None, "shape", "NoneType"),
        (lambda kernel, q, layout: correct(q, layout).astype(np.int32), "shape", "int32"),
        (lambda kernel, q, layout: correct(q, layout)[:, :0], "shape", "uint8["),
        (lambda kernel, q, layout: correct(q, layout).tolist(), "shape", "list"),
    ],
)
def test_a_misbehaving_kernel_is_a_finding_and_the_run_goes_on(pack: Any, kind: str, got: str) -> None:
    report = check(Odd(pack), only=["pack.*", "unpack.*"])
    statuses = {r.name: r.status for r in report.results}
    assert statuses["unpack.integers"] == statuses["unpack.behaves"] == "passed"
    assert statuses["pack.behaves"] == {modify: "failed", flicker: "failed", fail: "not checked"}.get(pack, "passed")
    finding = report.failures[-1].findings[0]
    assert finding.kind == kind
    assert got in finding.got
    assert ("not repeatable" in finding.note) == (pack is flicker)
    ET.fromstring(report.to_junit())  # noqa: S314


class PartialMatmul(NumpyBackend):
    """A matmul that returns integers only, or a result that comes and goes."""

    def __init__(self, capricious: bool) -> None:
        self.capricious = capricious

    def matmul(self, *args: Any, **kwargs: Any) -> Any:
        acc, row_sum, out = super().matmul(*args, **kwargs)
        return acc, row_sum, out if self.capricious and acc is not None and acc.size % 2 else None


def test_a_result_left_out_is_not_checked_but_one_that_comes_and_goes_fails() -> None:
    report = check(PartialMatmul(capricious=False), only=["matmul.*"])
    assert {r.name: r.status for r in report.results}["matmul.out"] == "not checked"
    assert report.exit_status == 0
    capricious = check(PartialMatmul(capricious=True), only=["matmul.out"])
    assert capricious.exit_status == 1


class Masked(NumpyBackend):
    """Results that hide from every comparison."""

    def pack(self, q: Any, layout: Any) -> Any:
        return np.ma.array(super().pack(q, layout), mask=True)


def leave(kernel: Odd, q: Any, layout: Any) -> Any:
    raise SystemExit(0)


@pytest.mark.parametrize(("kernel", "kind"), [(Masked(), "shape"), (Odd(leave), "raised")])
def test_neither_a_mask_nor_an_exit_gets_past(kernel: Any, kind: str) -> None:
    [failure] = check(kernel, only="pack.*").failures
    assert failure.findings[0].kind == kind


def test_one_static_buffer_for_all_results_is_judged_as_it_was_returned() -> None:
    buffer = np.zeros(1_000_000, np.uint8)

    class Static(NumpyBackend):
        def pack(self, q: Any, layout: Any) -> Any:
            packed = super().pack(q, layout)
            view = buffer[: packed.size].reshape(packed.shape)
            view[:] = packed
            np.seterr(all="raise")
            return view

    assert check(Static(), only=["pack.*", "calibrate.*"]).exit_status == 0


def test_a_kernel_that_multiplies_rounded_weights_fits_no_planted_bug() -> None:
    class RoundsFirst(NumpyBackend):
        def matmul(self, a: Any, packed: Any, k: Any, layout: Any, group_size: Any, gain: Any, s: Any, o: Any) -> Any:
            w = self.dequantize(self.unpack(packed, k, layout), s, o, group_size, gain)
            with np.errstate(over="ignore", invalid="ignore"):
                return None, None, a.astype(np.float32) @ w

    [failure] = check(RoundsFirst(), only="matmul.out").failures
    assert failure.findings[0].bugs == ()


class Malformed(NumpyBackend):
    """Results that are not tuples."""

    def matmul(self, *args: Any, **kwargs: Any) -> Any:
        return super().matmul(*args, **kwargs)[2]

    def calibrate(self, *args: Any) -> Any:
        return list(super().calibrate(*args))


def test_a_result_that_is_no_tuple_is_a_finding() -> None:
    report = check(Malformed(), only=["matmul.*", "calibrate.*"])
    assert {found.kind for r in report.failures for found in r.findings} == {"shape"}
    assert len(report.failures) == 5


def test_nan_results_are_never_masked() -> None:
    class Nan(NumpyBackend):
        def matmul(self, *args: Any, **kwargs: Any) -> Any:
            acc, row_sum, out = super().matmul(*args, **kwargs)
            return acc, row_sum, np.full_like(out, np.nan)

        def dequantize(self, *args: Any, **kwargs: Any) -> Any:
            return np.full_like(super().dequantize(*args, **kwargs), np.nan)

    failed = {r.name for r in check(Nan(), only=["matmul.out", "dequantize.*"]).failures}
    assert failed == {"matmul.out", "dequantize.bound", "dequantize.exact"}


def test_what_comes_is_reported_as_it_comes() -> None:
    seen: list[str] = []
    report = check("numpy", only=["pack.*", "unpack.*"], on_result=lambda result: seen.append(result.name))
    assert seen == [result.name for result in report.results] == [
        "pack.behaves", "pack.bytes", "unpack.behaves", "unpack.integers"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 4}, "level: expected one of"),
        ({"seed": -1}, "seed: expected an integer >= 0"),
        ({"require": ["multiply"]}, "require: expected operations among"),
        ({"only": ["nonsense.*"]}, "only: no check matches nonsense"),
        ({"only": "pack.*", "require": "matmul"}, "require: matmul is left out by only"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check("numpy", **arguments)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cuda", "target: expected one of reference, numpy, native, lpu, python:MODULE:OBJECT"),
        ("python:os", "target: expected one of"),
        ("python:no_such_module_here:kernel", "ModuleNotFoundError"),
        ("python:os:no_such_kernel", "AttributeError"),
        ("python:os:path", "expected some of the methods"),
        ("python:this_module_is_broken:kernel", "ZeroDivisionError"),
        ("python:this_module_exits:kernel", "SystemExit"),
        ("python:this_kernel_is_broken:Kernel", "RuntimeError: no device"),
    ],
)
def test_a_target_that_cannot_be_found_is_an_error(
    target: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("this_module_is_broken.py").write_text("1 / 0")
    tmp_path.joinpath("this_module_exits.py").write_text("raise SystemExit(3)")
    broken = "class Kernel:\n    @property\n    def pack(self):\n        raise RuntimeError('no device')\n"
    tmp_path.joinpath("this_kernel_is_broken.py").write_text(broken)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match=message):
        resolve(target)


def test_a_module_of_the_current_folder_is_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from q35ref.backends.numpy import NumpyBackend\nclass Mine(NumpyBackend): pass\nmine = Mine()\n"
    tmp_path.joinpath("a_kernel_of_mine.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in ("Mine", "mine"):
        assert check(f"python:a_kernel_of_mine:{name}", only=["pack.*"]).exit_status == 0


@pytest.mark.parametrize("target", [NumpyBackend, BUGS["Wraps"], Partial, object])
def test_reports_keep_to_their_schema(target: Any) -> None:
    report = check(target, only=["pack.*", "quantize.*"])
    record = json.loads(report.to_json())
    jsonschema.validate(record, SCHEMA)
    assert record["exit_status"] == report.exit_status
    suite = ET.fromstring(report.to_junit())[0]  # noqa: S314
    assert suite.attrib["tests"] == str(len(report.results))
    assert len(suite.findall("testcase/failure")) == report.counts["failed"] == int(suite.attrib["failures"])
    assert len(suite.findall("testcase/skipped")) == report.counts["not checked"]
    text = report.to_text()
    assert all(result.name in text for result in report.results)
    assert text.endswith(report.summary())


def test_the_schema_refuses_what_it_does_not_describe() -> None:
    record = json.loads(check("numpy", only=["pack.*"]).to_json())
    changes: list[dict[str, Any]] = [{"extra": 1}, {"exit_status": 3}, {"results": []}]
    for change in changes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(record | change, SCHEMA)


def test_failures_raise_with_their_findings() -> None:
    with pytest.raises(ConformanceError, match="fits: Wraps"):
        check(BUGS["Wraps"], only=["quantize.integers"]).raise_for_failures()
    check("numpy", only=["pack.*"]).raise_for_failures()


def test_a_failure_prints_all_that_is_needed() -> None:
    finding = Finding("value", "q[k=1, n=0], narrow lane", "0xFC (-4)", "0x03 (3)", "code()", "again", ("Bug",))
    result = Result("quantize.integers", "quantize", "rule", "failed", 9, 90, 2, 1, findings=(finding,))
    text = result.to_text()
    for part in ("2 of 9", "code()", "0xFC (-4)", "0x03 (3)", "fits: Bug", "again: again", "1 without a verdict"):
        assert part in text
    assert Report("t", 1, 1, "0", [result]).exit_status == 1


def test_findings_beyond_those_written_out_are_named_by_kind() -> None:
    one, two = (Finding(kind, "a", "got it", "left", f"code_{kind}()", "again") for kind in ("crash", "overread"))
    result = Result("pack.behaves", "pack", "rule", "failed", 9, 0, 2, findings=(one, two))
    text = result.to_text(1)
    assert "code_crash()" in text
    assert "code_overread()" not in text
    assert "not written out: overread" in text
    assert "code_overread()" in result.to_text()


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [rule.name for rule in (*RULES, *BEHAVIOUR.values(), REFUSAL)]
    assert len(set(names)) == len(names)
    assert all(rule.name.startswith(rule.operation + ".") for rule in (*RULES, REFUSAL))


def test_a_long_problem_is_named_instead_of_written_out() -> None:
    rng = np.random.default_rng(1)
    long = Problem("pack", 4000, {"q": rng.integers(-4, 4, (4000, 1)).astype(np.int8)}, origin="make()")
    assert (
        long.code()
        == "import q35ref\nproblem = make()  # too long to be written out\nkernel.pack(*problem.arguments().values())"
    )
