"""Write the vector files of ``q35ref/vectors``, or compare what stands there with what would be written.

Expected values are not what the reference prints. Each comes from a second, independent definition
(``tools/vector_cases``): codes are found by trying every integer of a lane, streams are filled bit by bit, float32s
are looked up between their neighbours, outputs are dot products with the restored weights. The reference is then
asked, and nothing is written unless it agrees with every case. Each flag of a case has been earned: an
implementation with that bug was run on the case and went wrong.

The inputs are reproducible: ``random.Random(seed)`` and of its methods only ``randrange`` and ``getrandbits``,
which give the same numbers in all versions of Python.

    python -m tools.make_vectors            write
    python -m tools.make_vectors --check    compare; the first difference is named, and the exit status is 1
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from q35ref.vectors import DIGESTS, OPERATIONS, committed_directory, file_name
from tools.vector_cases import (
    accumulators,
    activations,
    calibrate,
    codec,
    columns,
    dequantize,
    float32,
    lanes,
    matmul,
    outputs,
    quantize,
    rounding,
    streams,
)
from tools.vector_cases.build import Operation, document, text

MODULES = (
    rounding, float32, lanes, codec, streams, columns, quantize, dequantize,
    calibrate, activations, accumulators, outputs, matmul,
)  # fmt: skip
"""Where the operations are defined."""


def definitions() -> dict[str, Operation]:
    """Return every operation by name, in the order of the package's list; both must hold the same names."""
    found = {operation.name: operation for module in MODULES for operation in module.OPERATIONS}
    if set(found) != set(OPERATIONS):
        raise ValueError(f"operations: defined and published differ in {sorted(set(found) ^ set(OPERATIONS))}")
    return {name: found[name] for name in OPERATIONS}


def generate(names: Iterable[str] = OPERATIONS) -> Iterator[tuple[str, str]]:
    """Yield name and text of each operation's file and, last, of the list of their digests."""
    known = definitions()
    digests = []
    for name in names:
        content = text(document(known[name]))
        digests.append(f"{hashlib.sha256(content.encode()).hexdigest()}  {file_name(name)}\n")
        yield file_name(name), content
    yield DIGESTS, "".join(digests)


def first_difference(directory: Path, contents: Iterable[tuple[str, str]]) -> str | None:
    """Return where the files of a directory first differ from what they should be, or None."""
    for name, wanted in contents:
        path = directory / name
        if not path.is_file():
            return f"{name}: missing"
        found = path.read_bytes().decode(errors="replace")
        if found != wanted:
            return f"{name}: {_differing_line(found, wanted)}"
    known = {*map(file_name, OPERATIONS), "schema.json"}
    strange = sorted(path.name for path in directory.glob("*.json") if path.name not in known)
    return f"{strange[0]}: no operation of that name" if strange else None


def _differing_line(found: str, wanted: str) -> str:
    ours, theirs = wanted.splitlines(keepends=True), found.splitlines(keepends=True)
    shared = min(len(ours), len(theirs))
    number = next((i for i in range(shared) if ours[i] != theirs[i]), shared)
    expected, present = (lines[number] if number < len(lines) else "the end of the file" for lines in (ours, theirs))
    return f"line {number + 1}{_case_id(expected)}\n  generated {expected.rstrip()}\n  found     {present.rstrip()}"


def _case_id(line: str) -> str:
    return f", case {json.loads(line.rstrip().rstrip(','))['id']}" if line.startswith('{"id"') else ""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_vectors", description="Write or check test vectors.")
    parser.add_argument("--check", action="store_true", help="compare with the files that stand there; write nothing")
    parser.add_argument("--directory", type=Path, default=committed_directory(), help="where the files stand")
    chosen = parser.parse_args(arguments)
    if chosen.check:
        difference = first_difference(chosen.directory, generate())
        print(f"vectors differ: {difference}" if difference else "the vectors are as generated")
        return 1 if difference else 0
    contents = dict(generate())  # all of them, before the first is written
    for name, content in contents.items():
        (chosen.directory / name).write_bytes(content.encode())
    print(f"wrote {len(contents)} files, {sum(map(len, contents.values()))} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
