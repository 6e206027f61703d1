"""Write the committed vectors as Lean theorems, or compare what stands there with what would be written.

Each file of ``q35ref/vectors`` becomes theorems in ``proofs/Q35/Vectors``, which Lean's kernel decides by evaluating
the definitions of ``proofs/Q35/Spec``: so the proved model and the Python reference are tied by evaluation, and a
change of either that is not one of both breaks the build. ``proofs/Q35/Vectors/Cases.lean`` says what a vector states.

    python -m tools.make_lean_vectors            write
    python -m tools.make_lean_vectors --check    compare; each file that differs is named, and the exit status is 1
    python -m tools.make_lean_vectors --counts   print what is stated and what not, as JSON; write nothing
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from q35ref.atomic import write_text
from tools.lean.roots import HAND_WRITTEN
from tools.lean_vectors.files import FOLDER, MARK, Count, generate
from tools.lean_vectors.statements import NOT_STATED

PROOFS: Final = Path(__file__).resolve().parents[1] / "proofs" / "Q35"
"""Where the files stand."""


def differences(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Yield every file that is missing, differs from what it should be, or should not be there."""
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name}: missing"
        elif (found := path.read_text(encoding="utf-8")) != wanted:
            yield f"{name}: differs in line {_differing_line(found, wanted)}"
    known = {*files, *(f"{FOLDER}/{module}.lean" for module in HAND_WRITTEN)}
    for path in sorted((folder / FOLDER).glob("*.lean")):
        if (name := path.relative_to(folder).as_posix()) not in known:
            yield f"{name}: no such file is generated"


def counts(directory: Path | None = None) -> dict[str, Count]:
    """Return what became of each operation's vectors, for the page of what is assured."""
    return generate(directory)[1]


def summary(found: Mapping[str, Count]) -> dict[str, Any]:
    """Return the counts as JSON, with the reasons for what is not stated."""
    return {
        "theorems": sum(count.theorems for count in found.values()),
        "stated": sum(count.stated for count in found.values()),
        "not_stated": sum(sum(count.not_stated.values()) for count in found.values()),
        "operations": {
            operation: {
                "theorems": count.theorems,
                "stated": count.stated,
                "not_stated": {
                    argument: {"vectors": number, "reason": NOT_STATED[operation][argument]}
                    for argument, number in count.not_stated.items()
                },
            }
            for operation, count in found.items()
        },
    }


def _differing_line(found: str, wanted: str) -> int:
    ours, theirs = wanted.splitlines(), found.splitlines()
    shared = min(len(ours), len(theirs))
    return next((i for i in range(shared) if ours[i] != theirs[i]), shared) + 1


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files; remove those of an earlier run that are generated no longer."""
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, text in files.items():
        write_text(folder / name, text)
    for path in (folder / FOLDER).glob("*.lean"):
        if path.relative_to(folder).as_posix() not in files and path.read_text(encoding="utf-8").startswith(MARK):
            path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_lean_vectors", description="Vectors as Lean theorems.")
    parser.add_argument("--check", action="store_true", help="compare with the files that stand there; write nothing")
    parser.add_argument("--counts", action="store_true", help="print the counts as JSON; write nothing")
    parser.add_argument("--directory", type=Path, default=PROOFS, help="where the files stand")
    parser.add_argument("--vectors", type=Path, help="where the vector files stand")
    chosen = parser.parse_args(arguments)
    files, found = generate(chosen.vectors)
    total = summary(found)
    if chosen.counts:
        print(json.dumps(total, indent=1))
        return 0
    if chosen.check:
        different = list(differences(chosen.directory, files))
        for line in different:
            print(f"FAILED {line}")
        if different:
            print("run python -m tools.make_lean_vectors, and then make proofs")
            return 1
    else:
        _write(chosen.directory, files)
        for operation, count in found.items():
            print(f"{operation}: {count.stated} vectors in {count.theorems} theorems")
            for argument, number in count.not_stated.items():
                print(f"  not stated: {number} that refuse {argument}: {NOT_STATED[operation][argument]}")
    state = "are as generated" if chosen.check else "written"
    print(f"{len(files)} files {state}: {total['stated']} vectors in {total['theorems']} theorems")
    return 0


if __name__ == "__main__":
    sys.exit(main())
