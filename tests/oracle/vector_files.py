"""Vector files with right digests, whatever they hold."""

import hashlib
import json
from pathlib import Path
from typing import Any

from q35ref.vectors import DIGESTS


def sealed(folder: Path, name: str, document: Any) -> Path:
    """Write a document, or bytes, with the digest of what it holds; return its path."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    with (folder / DIGESTS).open("a") as digests:
        digests.write(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    return folder / name
