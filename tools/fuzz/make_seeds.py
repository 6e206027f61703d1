"""The committed seeds: ``python -m tools.fuzz.make_seeds``; with ``--check``, whether they are what it would write.

Small inputs that are right, made by the project's own writers from numbers that every machine computes alike.
"""

import hashlib
import json
import struct
import tempfile
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from numpy.typing import NDArray

from q35ref import vectors
from q35ref.backends import OPERATIONS
from q35ref.checkpoints import quantize_file
from q35ref.checkpoints.header import DTYPE_BITS, LENGTH_BYTES, TensorInfo
from q35ref.checkpoints.writer import write_checkpoint
from q35ref.cli.output import UsageProblem
from q35ref.oracle import call_files
from q35ref.oracle.cases import problems
from q35ref.oracle.foreign.pipe import words
from q35ref.oracle.foreign.wire import LENGTH, send
from q35ref.oracle.problem import Problem
from q35ref.oracle.suite import MANIFEST, suite
from q35ref.oracle.vector import from_problem
from q35ref.reference.lanes import Layout
from tools.fuzz.target import SEEDS
from tools.fuzz.targets import PLANTED
from tools.fuzz.targets.indexes import SHARDS
from tools.fuzz.targets.pipes import MODES, PROBLEMS

MOST_BYTES: Final = 200_000
"""Of all seeds together."""

CASES: Final = 3
"""Of a vector file."""


def checkpoints() -> Iterator[tuple[str, bytes]]:
    """Yield files: with every dtype, without tensors, quantized in both layouts."""
    with tempfile.TemporaryDirectory() as name:
        plain, quantized = Path(name, "plain.safetensors"), Path(name, "quantized.safetensors")
        tensors = [
            TensorInfo(f"t.{dtype}", dtype, (2, 4)) for dtype in DTYPE_BITS if dtype.startswith(("F", "I8", "BF"))
        ]
        for label, stored in (("dtypes", tensors), ("empty", []), ("zero", [TensorInfo("none", "F32", (0, 3))])):
            with write_checkpoint(plain, stored, {"format": "pt"}) as output:
                for tensor in stored:
                    output.write(tensor.name, [memoryview(bytes(tensor.nbytes))])
                output.finish({"format": "pt"})
            yield label, plain.read_bytes()
        shapes = {"odd": (3, 33), "even": (2, 32)}
        cases = product(shapes.items(), layouts(), (0, 16))
        for (label, shape), layout, group_size in cases:
            matrix = TensorInfo("a.weight", "F32", shape)
            with write_checkpoint(plain, [matrix, TensorInfo("a.bias", "F16", (2,))], {}) as output:
                output.write("a.weight", [exact_weights(*shape).reshape(-1).view(np.uint8).data])
                output.write("a.bias", [memoryview(bytes(4))])
                output.finish({})
            quantize_file(plain, quantized, layout=layout, group_size=group_size)
            yield f"{label}-{layout}-{group_size}", quantized.read_bytes()


def layouts() -> tuple[Layout, Layout]:
    """Return both layouts."""
    return "dense", "byte"


def exact_weights(n: int, k: int) -> NDArray[np.float32]:
    """Return weights that the format holds exactly, so that no measured error depends on how sums are rounded."""
    columns = np.arange(n * k).reshape(n, k) * 2 % 16 - 8
    columns[:, 0::16], columns[:, 2::16] = -8, 7
    columns[:, 32:] = -8
    return columns.astype(np.float32)


def headers() -> Iterator[tuple[str, bytes]]:
    """Yield the same files without the length of their headers."""
    for name, data in checkpoints():
        length = int.from_bytes(data[:LENGTH_BYTES], "little")
        text, tensors = data[LENGTH_BYTES : LENGTH_BYTES + length], data[LENGTH_BYTES + length :]
        yield name, text.rstrip() + b"\0" + tensors


def indexes() -> Iterator[tuple[str, bytes]]:
    """Yield indexes of the shards that lie beside them: as others write them, bare, and with all that JSON has."""
    weight_map = {tensor.name: shard for shard, tensor in SHARDS.items()}
    total_size = sum(tensor.nbytes for tensor in SHARDS.values())
    yield "plain", json.dumps({"metadata": {"total_size": total_size}, "weight_map": weight_map}, indent=2).encode()
    yield "bare", json.dumps({"weight_map": weight_map}).encode()
    more = {"total_size": 1.5e3, "note": "\U0001f600", "list": [None, True, -1, "\\ud800", {"a": []}]}
    yield "more", json.dumps({"metadata": more, "weight_map": weight_map, "other": more}).encode()


def vector_files() -> Iterator[tuple[str, bytes]]:
    """Yield a file for each operation with its shortest cases, refusals among them."""
    for operation in vectors.OPERATIONS:
        document = json.loads((vectors.committed_directory() / vectors.file_name(operation)).read_bytes())
        cases = sorted(document["cases"], key=lambda case: len(json.dumps(case)))
        refused = [case for case in cases if "error" in case["expected"]][:1]
        longer = cases[len(cases) // 2 : len(cases) // 2 + 1]
        chosen = [*(case for case in cases if "error" not in case["expected"]), *longer][
            : CASES - len(refused)
        ] + refused
        flags = {flag for case in chosen for flag in case["flags"]} or set(list(document["flags"])[:1])
        document["flags"] = {flag: text for flag, text in document["flags"].items() if flag in flags}
        document |= {"cases": chosen, "case_count": len(chosen)}
        yield operation, json.dumps(document, separators=(",", ":")).encode()


def call_vectors() -> Iterator[tuple[str, bytes]]:
    """Yield a file for each operation with some calls."""
    for operation in OPERATIONS:
        posed = sorted(problems(operation, 1, 1), key=lambda problem: problem.input_size)
        chosen = [*posed[:2], *(problem for problem in posed if problem.k % 2 and problem.group_size)][:CASES]
        found = [from_problem(f"calls/{operation}/{operation}/{i}", problem) for i, problem in enumerate(chosen)]
        yield operation, json.dumps(call_files.document(operation, 1, 1, found), separators=(",", ":")).encode()


def folders() -> Iterator[tuple[str, bytes]]:
    """Yield a manifest with the digests of the committed vectors, whole and short."""
    content = suite(formats=["json"])
    manifest = json.loads(content[MANIFEST])
    digests = content[f"json/{vectors.DIGESTS}"]
    yield "short", json.dumps({**manifest, "files": manifest["files"][:2]}).encode() + b"\0" + digests[:200]
    listed = [
        {"name": f"{name}/{vectors.DIGESTS}", "bytes": len(digests), "sha256": _digest(digests)}
        for name in ("json", "calls")
    ]
    yield "digests", json.dumps({**manifest, "files": listed}).encode() + b"\0" + digests


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def right_answer(problem: Problem) -> str:
    """Return the line that answers a problem."""
    parts = problem.expected if isinstance(problem.expected, tuple) else (problem.expected,)
    turned = (part.T if problem.operation in ("unpack", "quantize", "dequantize") else part for part in parts)
    return " ".join(word for part in turned for word in words(np.ascontiguousarray(part)))


def answers() -> Iterator[tuple[str, bytes]]:
    """Yield the right answer to each problem, and what else a client may say."""
    for index, problem in enumerate(PROBLEMS):
        yield problem.operation, bytes([index]) + right_answer(problem).encode() + b"\r\n"
    yield "left-out", bytes([len(PROBLEMS) - 1]) + b"- - -\n"
    yield "absent", b"\0?\n"
    yield "marked", "\1\ufeff05 FE\n".encode()


def sessions() -> Iterator[tuple[str, bytes]]:
    """Yield what clients of every kind say."""
    for index, problem in enumerate(PROBLEMS):
        yield problem.operation, bytes([index, 1]) + right_answer(problem).encode() + b"\n"
    for mode in range(len(MODES)):
        yield f"greeting-{mode}", bytes([1, mode]) + b"ready\n05 FE\n"
        yield f"refusal-{mode}", bytes([0, mode]) + b"! not today\n"


def messages() -> Iterator[tuple[str, bytes]]:
    """Yield a worker's answers, without their lengths."""
    problem = PROBLEMS[-1]
    names: dict[str, Any] = {"inputs": ["a", "packed"], "outputs": ["acc", "row_sum", "out"], "optional": ["out"]}
    fault = ["modified input", "a", "changed by the call", "left as it was"]
    results: dict[str, Any] = {
        "arrays": {"result": tuple(problem.expected), "raised": None, "faults": []},
        "refusal": {"result": None, "raised": "status 1", "faults": []},
        "fault": {"result": np.arange(6, dtype=np.int8).reshape(2, 3), "raised": None, "faults": [fault]},
        "other": {"result": [1, "text", {"a": None}, object], "raised": None, "faults": []},
    }
    for name, content in results.items():
        stream = BytesIO()
        send(stream, {**content, **names})
        yield name, stream.getvalue()[LENGTH.size :]


def native_calls() -> Iterator[tuple[str, bytes]]:
    """Yield heads of ``c/harness.c`` with some numbers: each function with legal input, and with odd sizes."""
    numbers = struct.pack("<16f", *(index / 4 - 2 for index in range(16))) + bytes(range(0, 256, 7))
    for function in range(8):
        for label, flags, k, n, m, settings, group in (
            ("small", 2, 33, 2, 1, 0, 0), ("groups", 2 | 4, 250, 20, 2, 3, 2), ("wide", 2 | 8, 129, 66, 1, 1, 8),
            ("raw", 0, 40, 3, 3, 2, 1), ("hostile", 1, 5, 1, 1, 0, 0),
        ):  # fmt: skip
            hostile = bytes([15, 0x53 + function, 0x71, 2, 3, 0, 0, 0])
            head = bytes([function, flags]) + struct.pack("<H", k - 1) + bytes([n - 1, m - 1, settings, group])
            yield f"{function}-{label}", head + hostile + numbers
    yield "7-rows", bytes([7, 2 | 16]) + struct.pack("<H", 17) + bytes([2, 255, 1, 0]) + bytes(8) + numbers


WRITERS: Final = {
    "checkpoint": checkpoints,
    "header": headers,
    "index": indexes,
    "vectors": vector_files,
    "calls": call_vectors,
    "folder": folders,
    "answer": answers,
    "session": sessions,
    "wire": messages,
    "native": native_calls,
}
"""By the name of the target."""


def every_seed() -> dict[str, bytes]:
    """Return each seed by its path within the folder of them all."""
    found = {f"{target}/{name}": data for target, write in WRITERS.items() for name, data in write()}
    return found | {f"{name}/even": b"@ planted" for name in PLANTED}


def faults(wanted: dict[str, bytes]) -> list[str]:
    """Return how the committed seeds differ from these."""
    present = {path.relative_to(SEEDS).as_posix(): path.read_bytes() for path in SEEDS.rglob("*") if path.is_file()}
    found = [f"{name}: not committed" for name in wanted.keys() - present.keys()]
    found += [f"{name}: nothing writes it" for name in present.keys() - wanted.keys()]
    found += [f"{name}: differs" for name in wanted.keys() & present.keys() if wanted[name] != present[name]]
    size = sum(map(len, wanted.values()))
    return sorted(found) + ([f"{size} bytes in all, expected at most {MOST_BYTES}"] if size > MOST_BYTES else [])


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if the committed seeds are not these.")
def main(check: bool) -> None:
    """Write the seeds of the fuzzer."""
    wanted = every_seed()
    if check:
        found = faults(wanted)
        if found:
            raise UsageProblem(f"seeds: {'; '.join(found)}")
        return
    for path in SEEDS.rglob("*"):
        if path.is_file():
            path.unlink()
    for name, data in wanted.items():
        path = SEEDS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    click.echo(f"{len(wanted)} seeds, {sum(map(len, wanted.values())):,} bytes")


if __name__ == "__main__":
    main(prog_name="python -m tools.fuzz.make_seeds")
