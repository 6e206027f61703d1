"""Reading the committed vector files. What is missing, cut short or changed is an error, never fewer cases."""

import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from q35ref.vectors.encoding import Json
from q35ref.vectors.shape import FormError, require_form

SCHEMA_VERSION: Final = 1
"""Version of the files' form, published as ``schema.json``."""

DIGESTS: Final = "SHA256SUMS"
"""Name of the list of digests; ``sha256sum --check SHA256SUMS`` understands it."""

SCHEMA: Final = "schema.json"
"""Name of the published schema, beside the files that it describes."""

MAX_FILE_BYTES: Final = 1 << 29
"""No vector file is longer; what claims to be one and is longer is not even read."""

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


MOST_TEXT: Final = 600
"""Characters of an error's text: a key in a file may be as long as the file."""


class VectorFileError(Exception):
    """A vector file is missing, damaged, or of another version."""

    def __str__(self) -> str:
        """Return what is wrong in one line that no terminal takes for a command, whatever the file holds.

        >>> str(VectorFileError("a.json: document.\\x1b[2J: not allowed"))
        "'a.json: document.\\\\x1b[2J: not allowed'"
        """
        text = _cut(super().__str__())
        return text if text.isprintable() else _cut(repr(text))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT // 2]}...{text[-MOST_TEXT // 2 :]}"


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
    document = parse(name, verified_content(folder / name))
    _require_what_it_says(name, operation, document)
    require_published_form(name, document, committed_schema())
    return VectorFile(operation, document["rule"], document["flags"], tuple(map(_case, document["cases"])))


def verified_content(path: Path) -> bytes:
    """Return a file's bytes, which must have the digest that the list beside it says. Errors: VectorFileError."""
    content = read(path)
    digest, wanted = hashlib.sha256(content).hexdigest(), digests(path.parent).get(path.name)
    if digest != wanted:
        says = f"says {wanted}" if wanted else "has no line for it"
        raise VectorFileError(f"{path.name}: SHA-256 is {digest}, but {DIGESTS} {says}; fetch the file again")
    return content


def parse(name: str, content: bytes) -> Any:
    """Return a file's JSON. Errors: VectorFileError that names the place, also for a key that is there twice."""
    try:
        text = content.decode()
        del content  # of a long file there is no room for the bytes, the text and the values
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_refuse)
    except RecursionError:
        raise VectorFileError(f"{name}: nested too deeply") from None
    except ValueError as error:
        raise VectorFileError(f"{name}: not a JSON document: {error}") from None


def require_published_form(name: str, document: Any, schema: Any) -> None:
    """Refuse a document that a schema does not allow. Errors: VectorFileError that names the place."""
    try:
        require_form(document, schema)
    except FormError as error:
        raise VectorFileError(f"{name}: {error} (see {SCHEMA})") from None
    except RecursionError:
        raise VectorFileError(f"{name}: nested too deeply") from None


@cache
def committed_schema() -> Any:
    """Return the published schema."""
    return json.loads(read(committed_directory() / SCHEMA))


def _require_what_it_says(name: str, operation: str, document: Any) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("cases"), list):
        raise VectorFileError(f"{name}: expected an object with a list of cases (see {SCHEMA})")
    version, of, said = (document.get(key) for key in ("schema_version", "operation", "case_count"))
    count = len(document["cases"])
    if (version, of, count) != (SCHEMA_VERSION, operation, said) or count == 0:
        raise VectorFileError(
            f"{name}: expected version {SCHEMA_VERSION}, operation {operation} and {said} cases "
            f"(at least 1), got version {version}, operation {of} and {count} cases"
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not allowed: no number is written as a fraction")


def _case(entry: dict[str, Any]) -> Case:
    return Case(entry["id"], tuple(entry["flags"]), entry["inputs"], entry["expected"])


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file that a folder's list names. Errors: VectorFileError."""
    found = {}
    for number, line in enumerate(read(folder / DIGESTS).decode(errors="replace").splitlines(), 1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or "/" in name or name in ("", ".", ".."):
            raise VectorFileError(f"{DIGESTS}: line {number}: expected a SHA-256, two spaces and a name, got {line!r}")
        found[name] = digest
    return found


def read(path: Path) -> bytes:
    """Return a file's bytes. Errors: VectorFileError for one that cannot be read or is too long to be one of ours."""
    try:
        if path.exists() and not path.is_file():
            raise VectorFileError(f"{path.name}: expected a regular file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise VectorFileError(f"{path.name}: {size} bytes, more than the {MAX_FILE_BYTES} of any vector file")
        return path.read_bytes()
    except OSError as error:
        raise VectorFileError(f"{path.name}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise VectorFileError(f"{path.name}: cannot be read: {error}") from error
