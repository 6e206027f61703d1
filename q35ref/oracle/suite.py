"""The vector suite as a folder: every file's bytes, and the list of them. Nothing depends on the time or the machine.

============  =========================================================================================
manifest.json  version, level, seed, and the size and SHA-256 of every file (``manifest.schema.json``)
README.md      what the folder holds and how to read it
json/          the committed vectors, their schema and digests
calls/         from level 2 on: the oracle's problems of that level with the reference's answers, likewise
hex/           the same vectors for ``$readmemh``
npz/           the same vectors for NumPy, without pickles
============  =========================================================================================
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from q35ref import vectors
from q35ref.backends import OPERATIONS
from q35ref.oracle import call_files, tables
from q35ref.oracle.cases import LEVELS
from q35ref.oracle.vector import CALLS, Vector, from_case
from q35ref.vectors.files import SCHEMA, parse, read, require_published_form
from q35ref.version import __version__

MANIFEST: Final = "manifest.json"
"""Name of the list of files; what makes a folder one of ours."""

MANIFEST_SCHEMA: Final = "manifest.schema.json"
"""Name of its schema."""

FORMAT: Final = "q35ref vectors"
"""What the list calls the folder."""

FORMATS: Final = ("json", "hex", "npz")
"""The forms in which the suite is written."""


def suite(level: int = 1, seed: int = 1, formats: Collection[str] = FORMATS) -> dict[str, bytes]:
    """Return the content of every file of the suite by its name within the folder.

    Level 1 is the committed suite. Higher levels add the oracle's problems of that level and seed.
    Errors: ValueError for an unknown level or format, VectorFileError for a damaged installation.
    """
    if level not in LEVELS:
        raise ValueError(f"level: expected one of {LEVELS}, got {level}")
    if seed < 0:
        raise ValueError(f"seed: expected an integer >= 0, got {seed}")
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"formats: expected some of {', '.join(FORMATS)}, got {', '.join(unknown) or 'none'}")
    calls = {op: call_files.generate(op, level, seed) for op in OPERATIONS} if level > 1 else {}
    content = {"README.md": (_package() / "vectors.md").read_bytes()}
    content[MANIFEST_SCHEMA] = (_package() / MANIFEST_SCHEMA).read_bytes()
    if "json" in formats:
        content |= {f"json/{name}": data for name, data in _committed_files()}
        content |= {f"calls/{name}": data for name, data in _call_files(calls, level, seed)}
    if "hex" in formats:
        content |= {f"hex/{name}": text.encode() for name, text in _hex_files(calls)}
    if "npz" in formats:
        content |= {f"npz/{name}.npz": tables.npz(tables.tables(found)) for name, found in _calls(calls)}
    content[MANIFEST] = _manifest(content, level, seed, formats)
    return content


def _package() -> Path:
    return Path(str(files("q35ref.oracle")))


def _committed_files() -> Iterator[tuple[str, bytes]]:
    folder = vectors.committed_directory()
    for operation in vectors.OPERATIONS:
        vectors.load(operation)  # refuses a damaged file
        yield vectors.file_name(operation), read(folder / vectors.file_name(operation))
    yield vectors.DIGESTS, read(folder / vectors.DIGESTS)
    yield SCHEMA, read(folder / SCHEMA)


def _call_files(calls: dict[str, list[Vector]], level: int, seed: int) -> Iterator[tuple[str, bytes]]:
    digests = []
    for operation, found in calls.items():
        data = call_files.text(call_files.document(operation, level, seed, found)).encode()
        digests.append(f"{hashlib.sha256(data).hexdigest()}  {operation}.json\n")
        yield f"{operation}.json", data
    if calls:
        yield vectors.DIGESTS, "".join(digests).encode()
        yield SCHEMA, call_files.schema_path().read_bytes()


def _calls(calls: dict[str, list[Vector]]) -> Iterator[tuple[str, list[Vector]]]:
    """Yield every set of calls: the committed cases that a kernel can be asked, then the level's problems."""
    for operation in vectors.OPERATIONS:
        if operation in CALLS:
            cases = vectors.load(operation).cases
            yield operation, [vector for case in cases if (vector := from_case(operation, case)) is not None]
    for operation, found in calls.items():
        yield f"calls.{operation}", found


def _hex_files(calls: dict[str, list[Vector]]) -> Iterator[tuple[str, str]]:
    for operation in tables.SCALARS:
        yield f"{operation}.hex", tables.scalar_file(operation, vectors.load(operation).cases)
    for name, found in _calls(calls):
        if name not in tables.SCALARS:
            yield from tables.hex_files(name, tables.tables(found)).items()


def _manifest(content: dict[str, bytes], level: int, seed: int, formats: Collection[str]) -> bytes:
    listed = [
        {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(content.items())
    ]
    document = {
        "format": FORMAT,
        "schema_version": 1,
        "q35ref_version": __version__,
        "level": level,
        "seed": seed,
        "formats": [name for name in FORMATS if name in formats],
        "files": listed,
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return a folder's manifest. Errors: VectorFileError that names the place."""
    document = parse(MANIFEST, read(folder / MANIFEST))
    require_published_form(MANIFEST, document, json.loads((_package() / MANIFEST_SCHEMA).read_text()))
    found: dict[str, Any] = document
    return found


def verify(folder: Path) -> dict[str, Any]:
    """Return a folder's manifest once every file that it lists has the size and digest that it says.

    Errors: VectorFileError that names the first file that is missing or differs.
    """
    manifest = load_manifest(folder)
    root = folder.resolve()
    for entry in manifest["files"]:
        path = folder / entry["name"]
        if not path.resolve().is_relative_to(root):
            raise vectors.VectorFileError(f"{MANIFEST}: {entry['name']} leads out of the folder")
        data = read(path)
        digest = hashlib.sha256(data).hexdigest()
        if (len(data), digest) != (entry["bytes"], entry["sha256"]):
            raise vectors.VectorFileError(
                f"{entry['name']}: {len(data)} bytes with SHA-256 {digest}, but {MANIFEST} says {entry['bytes']} "
                f"bytes with {entry['sha256']}; write the folder again"
            )
    return manifest


def is_ours(folder: Path) -> bool:
    """Return whether a folder holds nothing but a suite: a manifest, and no file that it does not list."""
    try:
        listed = {entry["name"] for entry in load_manifest(folder)["files"]} | {MANIFEST}
    except vectors.VectorFileError:
        return False
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return present <= listed
