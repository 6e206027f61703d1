"""Reading the committed vector files. What is missing, cut short or changed is an error, never fewer cases."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from q35ref.vectors.encoding import Json

SCHEMA_VERSION: Final = 1
"""Version of the files' form, published as ``schema.json``."""

DIGESTS: Final = "SHA256SUMS"
"""Name of the list of digests; ``sha256sum --check SHA256SUMS`` understands it."""

OPERATIONS: Final = (
    "round_half_even",
    "clamp",
    "round_float32",
    "group_rows",
    "sign_extend",
    "pack_pair",
    "unpack_pair",
    "pack_dense",
    "unpack_dense",
    "pack_column",
    "unpack_column",
    "quantize",
    "dequantize",
    "error_bound",
    "calibrate",
    "quantize_activations",
    "accumulate",
    "accumulator_bound",
    "exact_output",
    "matmul",
)
"""Every operation that has vectors, in the order in which the reference is read. One file each."""


class VectorFileError(Exception):
    """A vector file is missing, damaged, or of another version."""


class Case(NamedTuple):
    """One vector."""

    id: str
    """Unique name: operation, category, number."""
    flags: tuple[str, ...]
    """The bug classes that this case exposes; the file says what they mean."""
    inputs: dict[str, Json]
    """Arguments, in their JSON form."""
    expected: dict[str, Json]
    """Result in its JSON form, or ``{"error": argument}`` where the input must be refused."""


class VectorFile(NamedTuple):
    """All vectors of one operation."""

    operation: str
    """Its name, as in the reference."""
    rule: str
    """What it computes, in one line."""
    flags: dict[str, dict[str, str]]
    """For each flag its ``description`` and its ``effect``."""
    cases: tuple[Case, ...]
    """Every case of the file, in its order."""


def committed_directory() -> Path:
    """Return the directory of the vectors that come with this package."""
    return Path(str(files("q35ref.vectors")))


def file_name(operation: str) -> str:
    """Return the name of an operation's file."""
    return f"{operation}.json"


def load(operation: str, directory: Path | None = None) -> VectorFile:
    """Return the vectors of one operation, from this package unless ``directory`` says otherwise.

    Errors: ValueError for an unknown operation; :class:`VectorFileError` for a file that is missing, whose
    digest differs from the list's, or that says something else than its name.

    >>> load("pack_pair").cases[0].expected
    {'code': 68}
    """
    if operation not in OPERATIONS:
        raise ValueError(f"operation: expected one of {', '.join(OPERATIONS)}, got {operation!r}")
    folder = committed_directory() if directory is None else directory
    name = file_name(operation)
    content = _read(folder / name)
    digest, wanted = hashlib.sha256(content).hexdigest(), _digests(folder).get(name)
    if digest != wanted:
        raise VectorFileError(f"{name}: SHA-256 is {digest}, but {DIGESTS} says {wanted}; fetch the file again")
    document = json.loads(content)
    version, of, count = document["schema_version"], document["operation"], len(document["cases"])
    if (version, of, count) != (SCHEMA_VERSION, operation, document["case_count"]) or count == 0:
        raise VectorFileError(
            f"{name}: expected version {SCHEMA_VERSION}, operation {operation} and {document['case_count']} cases "
            f"(at least 1), got version {version}, operation {of} and {count} cases"
        )
    return VectorFile(operation, document["rule"], document["flags"], tuple(map(_case, document["cases"])))


def _case(entry: dict[str, Any]) -> Case:
    return Case(entry["id"], tuple(entry["flags"]), entry["inputs"], entry["expected"])


def _digests(folder: Path) -> dict[str, str]:
    lines = _read(folder / DIGESTS).decode().splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VectorFileError(f"{path.name}: cannot be read ({error.strerror}); the installation is damaged") from error
