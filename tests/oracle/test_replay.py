"""Vector files put to a kernel: which files are read, what is asked of the kernel, and what is said of its answers."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle import call_files
from q35ref.oracle import replay as module
from q35ref.oracle.calls import Outcome
from q35ref.oracle.domain import Domain
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.oracle.replay import fitting_flags, replay_vectors
from q35ref.oracle.report import Result
from q35ref.oracle.suite import MANIFEST
from q35ref.oracle.targets import ObjectTarget
from q35ref.oracle.vector import Vector, from_problem
from q35ref.vectors import DIGESTS, VectorFileError, committed_directory
from tests.oracle.vector_arrays import float32, int8
from tests.oracle.vector_files import sealed

COMMITTED = committed_directory()
PAIRS = json.loads((COMMITTED / "pack_pair.json").read_text())
COLUMNS = json.loads((COMMITTED / "pack_column.json").read_text())


def some(document: Any, *cases: Any) -> Any:
    """A committed file with other cases."""
    return {**document, "cases": list(cases), "case_count": len(cases)}


def pair(number: int, wide: int, narrow: int, *flags: str) -> Any:
    """A case of pack_pair, right if both integers are 0 or more."""
    expected = {"code": 8 * wide + narrow}
    return {
        "id": f"pack_pair/x/{number}",
        "flags": flags,
        "inputs": {"wide": wide, "narrow": narrow},
        "expected": expected,
    }


def calls(*problems: Problem) -> Any:
    """A file of calls of one operation."""
    name = problems[0].operation
    made = [from_problem(f"calls/{name}/{name}/{i}", problem) for i, problem in enumerate(problems)]
    return call_files.document(name, 2, 1, made)


def packing(rows: int, layout: str = "byte") -> Problem:
    return Problem("pack", rows, {"q": np.ones((rows, 1), np.int8)}, layout)


def replayed(kernel: object, path: Path, *arguments: Any, **more: Any) -> list[Result]:
    target = kernel if isinstance(kernel, ObjectTarget) else ObjectTarget(kernel)
    return list(replay_vectors(target, path, *arguments, **more))


class Flips(NumpyBackend):
    """Gets the lowest bit of each first byte wrong."""

    def pack(self, q: Any, layout: Any) -> Any:
        packed = super().pack(q, layout)
        packed[:, 0] ^= 1
        return packed


# Files


@pytest.mark.parametrize("folder", ["vectors", "a", "calls"])
def test_a_file_in_a_folder_named_calls_holds_calls(folder: str, tmp_path: Path) -> None:
    """By itself, or with its folder."""
    is_calls = folder == "calls"
    content = calls(packing(2)) if is_calls else some(PAIRS, pair(1, 2, 3))
    file = sealed(tmp_path / folder, "pack.json" if is_calls else "pack_pair.json", content)
    (tmp_path / folder / "notes.txt").touch()
    (file.parent / DIGESTS).write_text((file.parent / DIGESTS).read_text() + 64 * "0" + "  notes.txt\n")
    for path in (file, file.parent):
        (result,) = replay_vectors(ObjectTarget(NumpyBackend()), str(path))
        assert result.name == ("vectors.calls.pack" if is_calls else "vectors.pack_pair")
        assert (result.status, result.cases, result.numbers, result.operation) == ("passed", 1, 1, "vectors")
        assert result.promise == "gives what the vectors expect"


def suite(folder: Path, *names: str) -> Path:
    """A folder with a manifest of its files."""
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            data, name = path.read_bytes(), path.relative_to(folder).as_posix()
            digest = hashlib.sha256(data).hexdigest()
            files.append({"name": name, "bytes": len(data), "sha256": digest})
    manifest = {"format": "q35ref vectors", "schema_version": 1, "q35ref_version": "1", "level": 2, "seed": 1}
    content = {**manifest, "formats": ["json"], "files": [file for file in files if file["name"] not in names]}
    (folder / MANIFEST).write_text(json.dumps(content))
    return folder


def test_of_a_whole_suite_the_files_of_both_folders_are_read(tmp_path: Path) -> None:
    sealed(tmp_path / "json", "pack_pair.json", some(PAIRS, pair(1, 2, 3)))
    sealed(tmp_path / "calls", "pack.json", calls(packing(2), packing(3)))
    results = replayed(NumpyBackend(), suite(tmp_path))
    assert [(result.name, result.cases) for result in results] == [("vectors.pack_pair", 1), ("vectors.calls.pack", 2)]
    names = [result.name for result in replayed(NumpyBackend(), suite(tmp_path, f"json/{DIGESTS}"))]
    assert names == ["vectors.calls.pack"]


def test_a_suite_is_verified_before_any_of_it_is_read(tmp_path: Path) -> None:
    file = sealed(tmp_path / "calls", "pack.json", calls(packing(2)))
    sealed(suite(tmp_path) / "calls", "pack.json", file.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    with pytest.raises(VectorFileError, match=r"^calls/SHA256SUMS: |^calls/pack\.json: "):
        replayed(NumpyBackend(), tmp_path)


def test_where_there_is_no_vector_file_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(VectorFileError, match=r"gone: no such file or folder$"):
        replayed(NumpyBackend(), tmp_path / "gone")
    sealed(tmp_path / "hex", "x.hex", b"")
    message = "^hex: no vector file in it; expected JSON \\(hex and npz are for others\\)$"
    with pytest.raises(VectorFileError, match=message):
        replayed(NumpyBackend(), tmp_path / "hex")


def test_wanted_files_alone_are_read(tmp_path: Path) -> None:
    sealed(tmp_path, "pack_pair.json", some(PAIRS, pair(1, 2, 3)))
    sealed(tmp_path, "clamp.json", b"broken")
    results = replayed(NumpyBackend(), tmp_path, lambda name: name == "vectors.pack_pair")
    assert [result.name for result in results] == ["vectors.pack_pair"]


@pytest.mark.parametrize("name", ["pack.json", "other.json", "zebra.json"])
def test_a_file_must_bear_the_name_of_what_it_holds(name: str, tmp_path: Path) -> None:
    with pytest.raises(VectorFileError, match=rf"^{name.replace('.', '[.]')}: no operation of that name"):
        replayed(NumpyBackend(), sealed(tmp_path / "v", name, some(PAIRS, pair(1, 2, 3))))
    if name != "pack.json":
        with pytest.raises(VectorFileError, match=rf"^{name.replace('.', '[.]')}: holds the vectors of pack$"):
            replayed(NumpyBackend(), sealed(tmp_path / "calls", name, calls(packing(2))))


def summing(rows: Iterable[int]) -> Any:
    content = json.loads((COMMITTED / "accumulate.json").read_text())
    inputs = {"activation_pattern": [1], "column_pattern": [1], "narrow_gain": 1, "first_row": 0}
    cases = [
        {"id": f"accumulate/x/{i}", "flags": [], "inputs": {**inputs, "rows": n}, "expected": {"acc": n, "row_sum": n}}
        for i, n in enumerate(rows, 1)
    ]
    return some(content, *cases)


def test_the_patterns_of_a_file_stand_for_2_22_rows_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the longest sums and two rows more; what is over is refused before room for it is taken."""
    made: list[int] = []
    monkeypatch.setattr(module, "from_case", lambda operation, case: made.append(case.inputs["rows"]))
    file = sealed(tmp_path / "least", "accumulate.json", summing([2097151, 2097151, 2]))
    assert [result.status for result in replayed(NumpyBackend(), file)] == ["not checked"]
    assert made == [2097151, 2097151, 2]
    file = sealed(tmp_path / "more", "accumulate.json", summing([2097151, 2097151, 3]))
    with pytest.raises(
        VectorFileError, match=r"^accumulate\.json: rows: expected at most 4194304 in all cases, got 4194305"
    ):
        replayed(NumpyBackend(), file)
    assert len(made) == 3


def test_a_sum_is_put_to_a_kernel_as_a_product(tmp_path: Path) -> None:
    (result,) = replayed(NumpyBackend(), sealed(tmp_path, "accumulate.json", summing([5, 16])))
    assert (result.status, result.cases, result.numbers) == ("passed", 2, 4)


def test_rows_that_are_no_pattern_are_not_counted() -> None:
    """The bound of an accumulator has so many rows that no file could be."""
    (result,) = replayed(NumpyBackend(), COMMITTED / "accumulator_bound.json")
    assert (result.status, result.reason) == ("not checked", "no operation of a kernel; the reference alone is asked")


@pytest.mark.parametrize("error", [ValueError, TypeError, ZeroDivisionError, IndexError, MemoryError])
def test_what_a_case_does_to_its_reader_is_told_with_its_place(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(operation: str, case: Any) -> Any:
        raise error("why")

    monkeypatch.setattr(module, "from_case", fails)
    file = sealed(tmp_path, "pack_pair.json", some(PAIRS, pair(1, 2, 3)))
    with pytest.raises(VectorFileError, match=r"^pack_pair\.json: cases\[0\] \(pack_pair/x/1\): why$"):
        replayed(NumpyBackend(), file)


# What is asked


def test_refusals_that_bind_no_kernel_are_not_asked(tmp_path: Path) -> None:
    refused = {**pair(1, 8, 3), "expected": {"error": "wide"}}
    (result,) = replayed(NumpyBackend(), sealed(tmp_path, "pack_pair.json", some(PAIRS, refused)))
    assert (result.status, result.reason) == ("not checked", "every vector is a refusal that binds no kernel")
    (result,) = replayed(NumpyBackend(), sealed(tmp_path / "b", "pack_pair.json", some(PAIRS, refused, pair(2, 1, 1))))
    assert (result.status, result.cases) == ("passed", 1)


def test_a_kernel_is_not_asked_for_an_operation_that_it_lacks(tmp_path: Path) -> None:
    (result,) = replayed(object(), sealed(tmp_path, "pack_pair.json", some(PAIRS, pair(1, 2, 3))))
    assert (result.status, result.reason, result.cases) == ("not checked", "the target has no pack", 0)


def test_a_kernel_is_asked_what_lies_in_its_domain(tmp_path: Path) -> None:
    file = sealed(tmp_path / "calls", "pack.json", calls(packing(2), packing(4, "dense"), packing(6, "dense")))
    (result,) = replayed(NumpyBackend(), file, domain=Domain(layouts=("dense",)))
    assert (result.status, result.cases) == ("passed", 2)
    (result,) = replayed(NumpyBackend(), file, domain=Domain(k_multiple=16))
    assert (result.status, result.reason) == ("not checked", "no vector has K a multiple of 16")


class Choosy(ObjectTarget):
    """Cannot be asked problems of two rows; ``ends`` after so many calls."""

    def __init__(self, ends: int = 99) -> None:
        super().__init__(Flips())
        self.ends = ends
        self.asked: list[int] = []

    def pose(self, problem: Problem) -> Problem | None:
        return None if problem.k == 2 else problem

    def given_up(self, operation: str) -> bool:
        assert operation == "pack"
        return len(self.asked) >= self.ends

    def call(self, problem: Problem) -> Outcome:
        self.asked.append(problem.k)
        return super().call(problem)


def test_a_kernel_is_asked_what_it_can_be_asked(tmp_path: Path) -> None:
    file = sealed(tmp_path / "calls", "pack.json", calls(*(packing(k) for k in (2, 3, 2, 4, 5))))
    target = Choosy()
    (result,) = replayed(target, file)
    assert target.asked == [3, 4, 5]
    assert (result.status, result.cases, result.failures, result.numbers) == ("failed", 3, 3, 2 + 2 + 3)
    file = sealed(tmp_path / "b" / "calls", "pack.json", calls(packing(2)))
    (result,) = replayed(Choosy(), file)
    assert (result.status, result.reason) == ("not checked", "the target cannot be asked any of them")


def test_a_kernel_that_has_been_given_up_is_asked_no_more(tmp_path: Path) -> None:
    file = sealed(tmp_path / "calls", "pack.json", calls(*(packing(k) for k in (3, 4, 5))))
    target = Choosy(ends=2)
    (result,) = replayed(target, file)
    assert (target.asked, result.cases) == ([3, 4], 2)
    (result,) = replayed(Choosy(ends=0), file)
    assert result.status == "not checked"
    assert result.reason == "given up: the target ended or hung in earlier calls of pack"


# What is said


def test_calls_are_counted_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three products, the second has an output without a verdict."""
    parameters = {"scale": float32([1]), "offset": float32([0])}
    arrays = {"a": int8([-128]), "q": int8([1], [0]), **parameters}
    small = Problem("matmul", 1, arrays)
    problems = [small, small.with_array("scale", float32([2.0**120])), small]
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=iter([10.0, 12.5]).__next__))
    (result,) = replayed(NumpyBackend(), sealed(tmp_path / "calls", "matmul.json", calls(*problems)))
    assert (result.status, result.cases, result.failures, result.findings) == ("passed", 3, 0, ())
    assert (result.numbers, result.no_verdict, result.seconds) == (3 * 3 - 1, 1, 2.5)


def test_the_smallest_failing_vector_is_shown(tmp_path: Path) -> None:
    file = sealed(tmp_path / "calls", "pack.json", calls(packing(6), packing(3), packing(4)))
    (result,) = replayed(Flips(), file, lambda name: True, lambda name: f"again {name}")
    (finding,) = result.findings
    assert (result.status, result.failures, result.cases) == ("failed", 3, 3)
    assert finding.kind == "value"
    assert finding.place.startswith("calls/pack/pack/1, packed[n=0, b=0]")
    assert (finding.got, finding.expected) == ("0x08 (8)", "0x09 (9)")
    assert (finding.command, finding.input_size) == ("again vectors.calls.pack", 3)
    assert "np.int8" in finding.code
    assert finding.code.endswith("kernel.pack(q, layout)")
    (result,) = replayed(Flips(), file)
    assert result.findings[0].command == "replay_vectors(kernel, path)  # vectors.calls.pack"


def test_a_correct_kernel_is_held_to_the_nearest_weight_if_it_claims_it(tmp_path: Path) -> None:
    class Near(NumpyBackend):
        """One float32 above the nearest; its values have bounds of two."""

        def dequantize(self, *arguments: Any) -> Any:
            return np.nextafter(super().dequantize(*arguments), np.float32(9))

    problem = Problem("dequantize", 1, {"q": int8([1]), "scale": float32([1]), "offset": float32([0])})
    file = sealed(tmp_path / "calls", "dequantize.json", calls(problem))
    for claims, status in ((False, "passed"), (True, "failed")):
        kernel = Near()
        kernel.correctly_rounded = claims
        assert [result.status for result in replayed(kernel, file)] == [status]


class Misbehaves(ObjectTarget):
    """Right, but for what it does beside its work."""

    def call(self, problem: Problem) -> Outcome:
        faults = Mismatch("modified input", "q", "changed", "left"), Mismatch("hang", "", "", "")
        return replace(super().call(problem), faults=faults)


def test_what_a_kernel_does_beside_its_work_is_a_failure_and_names_its_class(tmp_path: Path) -> None:
    file = sealed(tmp_path, "pack_pair.json", some(PAIRS, pair(1, 2, 3, "fields_swapped")))
    (result,) = replayed(Misbehaves(NumpyBackend()), file)
    assert (result.status, result.failures, result.numbers) == ("failed", 1, 0)
    assert (result.findings[0].kind, result.findings[0].bugs) == ("modified input", ("InputModified",))


def test_the_flags_of_the_vectors_that_failed_are_named(tmp_path: Path) -> None:
    """Swapped fields show where both are not the same."""

    class Swaps(NumpyBackend):
        def pack(self, q: Any, layout: Any) -> Any:
            return super().pack(np.ascontiguousarray(q[::-1]), layout)

    cases = [pair(1, 2, 3, "fields_swapped"), pair(2, 1, 1, "sign_leak"), pair(3, 1, 0, "fields_swapped")]
    (result,) = replayed(Swaps(), sealed(tmp_path, "pack_pair.json", some(PAIRS, *cases)))
    assert (result.failures, result.findings[0].bugs) == (2, ("fields_swapped",))


def flagged(**flags: tuple[str, ...]) -> list[Vector]:
    return [Vector(name, own, packing(2)) for name, own in flags.items()]


def test_a_flag_fits_if_its_vectors_are_three_quarters_those_that_failed() -> None:
    found = flagged(a=("one",), b=("one",), c=("one",), d=("one",), e=())
    assert fitting_flags(found, {"a", "b", "c", "d"}) == ("one",)
    assert fitting_flags(found, {"a", "b", "c"}) == ("one",)
    assert fitting_flags(found, {"a", "b"}) == ()
    assert fitting_flags(found, {"a", "b", "c", "e"}) == ()
    assert fitting_flags(found, {"a", "b", "c", "d", "e"}) == ("one",)
    assert fitting_flags(found, {"e"}) == ()
    assert fitting_flags(flagged(a=(), b=()), {"a"}) == ()


def test_the_best_flags_are_named_and_two_at_most() -> None:
    found = flagged(a=("less", "one", "two", "three"), b=("one", "two", "three"), c=("one", "two", "three"))
    found += flagged(d=("less", "one", "two", "three"), e=("less",), f=())
    assert fitting_flags(found, {"a", "b", "c", "d"}) == ("one", "two")
    assert fitting_flags(
        flagged(a=("whole", "more"), b=("whole", "more"), c=("whole", "more"), d=("more",)), {"a", "b", "c"}
    ) == ("whole",)
    assert fitting_flags(
        flagged(a=("more", "whole"), b=("whole", "more"), c=("whole", "more"), d=("more",)), {"a", "b", "c"}
    ) == ("whole",)
