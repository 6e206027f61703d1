"""The readers of vector files. Their digests are made to fit: a reader that stops at the digest reads nothing."""

import hashlib
import re
from pathlib import Path
from typing import Final

from q35ref import vectors
from q35ref.backends import OPERATIONS
from q35ref.oracle.replay import replay_vectors
from q35ref.oracle.suite import MANIFEST
from q35ref.oracle.targets import resolve
from q35ref.vectors import DIGESTS, VectorFileError
from tools.fuzz.target import Target, documented
from tools.fuzz.targets.scratch import folder

KERNEL: Final = resolve("numpy")
"""What the vectors are put to."""

OPERATION: Final = re.compile(rb'"operation"\s*:\s*"([a-z0-9_]{1,40})"')
"""How a file says what it holds, which its name must say too."""

PATTERN_MEMORY: Final = 1 << 27
"""Bytes that a short file may take: one pattern stands for up to 2,097,151 rows, of which the reference makes lists."""

MOST_FINDINGS: Final = 20
"""Findings that are written out."""


def _sealed(where: Path, operation: str, data: bytes) -> Path:
    (where / DIGESTS).write_text(f"{hashlib.sha256(data).hexdigest()}  {operation}.json\n")
    path = where / f"{operation}.json"
    path.write_bytes(data)
    return path


def _replay(path: Path) -> None:
    """Put what a file holds to a kernel, and write out what comes of it."""
    with documented(VectorFileError):
        for result in replay_vectors(KERNEL, path):
            result.to_text(MOST_FINDINGS)


def _operation(data: bytes, names: tuple[str, ...]) -> str:
    said = OPERATION.search(data)
    name = said[1].decode() if said else ""
    return name if name in names else names[0]


def read_vectors(data: bytes) -> None:
    """Read a file of the committed form, and put its cases to a kernel and to the reference."""
    operation = _operation(data, vectors.OPERATIONS)
    path = _sealed(folder("vectors"), operation, data)
    _replay(path)
    with documented(VectorFileError):
        list(vectors.replay([operation], directory=path.parent))


def read_calls(data: bytes) -> None:
    """Read a file of whole calls, and put them to a kernel."""
    _replay(_sealed(folder("calls"), _operation(data, tuple(OPERATIONS)), data))


def read_folder(data: bytes) -> None:
    """Read a folder's lists. An input is the manifest and, after a zero byte, the digests of ``json`` and ``calls``."""
    manifest, _, digests = data.partition(b"\0")
    top = folder("folder")
    for name in ("json", "calls"):
        (top / name).mkdir(exist_ok=True)
        (top / name / DIGESTS).write_bytes(digests)
    (top / MANIFEST).write_bytes(manifest)
    for path in (top, top / "json", top / "calls"):
        _replay(path)


VECTORS: Final = Target(
    "vectors", "vector files of the committed form (JSON)", read_vectors, allowance=PATTERN_MEMORY, seconds=10.0
)

CALLS: Final = Target("calls", "vector files of whole calls (JSON)", read_calls, seconds=4.0)

FOLDER: Final = Target("folder", "a vector folder's manifest and lists of digests", read_folder)

FOUND: Final = (VECTORS, CALLS, FOLDER)
"""The targets of this module."""
