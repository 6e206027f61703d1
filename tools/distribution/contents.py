"""What a wheel and an sdist hold: every file that they must, nothing else, and each as it is in the tree."""

import platform
import re
import struct
import subprocess
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from email.parser import Parser
from pathlib import Path
from typing import Final

LIBRARY: Final = "q35ref/backends/native/libq35.so"
"""The compiled kernel in a wheel."""

PACKAGE: Final = ("q35ref/", "pytest_q35ref.py")
"""What the wheel installs, by the beginnings of paths."""

MUST: Final = (
    *(
        "q35ref/py.typed",
        "q35ref/vectors/schema.json",
        "q35ref/vectors/quantize.json",
        "q35ref/oracle/report.schema.json",
    ),
    *("q35ref/backends/native/src/q35_abi.h", "q35ref/backends/native/src/scalar.c", "pytest_q35ref.py"),
)
"""Files without which the package does not do what it says, whatever git knows."""

LARGEST: Final = 1 << 20
"""Bytes of the largest file that anybody should have to download."""

METADATA: Final = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
"""What stands in a wheel's ``.dist-info``."""

MACHINES: Final = {62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64le", 22: "s390x"}
"""What an ELF file says of the processor that it is for, as wheel tags call it."""

Files = Mapping[str, bytes]


class NoRepository(Exception):
    """What the tree should hold is not known: it is not a clone."""


def tracked(root: Path) -> dict[str, bytes]:
    """Return the tree's files that git knows, as they are in the tree. Errors: NoRepository."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoRepository(f"{root}: expected a git clone: {done.stderr.strip()}")
    return {name: (root / name).read_bytes() for name in done.stdout.split("\0") if name and (root / name).is_file()}


def read_wheel(path: Path) -> dict[str, bytes]:
    """Return a wheel's files by their names."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def read_sdist(path: Path) -> dict[str, bytes]:
    """Return an sdist's files by their names, with the folder that holds them all."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                found[member.name] = content.read()
    return found


def wheel_problems(name: str, files: Files, tree: Files, version: str) -> Iterator[str]:
    """Say what is wrong with a wheel of a tree: its files, its tag, the processor that its library is for."""
    about = f"q35ref-{version}.dist-info"
    expected = {path: data for path, data in tree.items() if path.startswith(PACKAGE)}
    made = {LIBRARY, *(f"{about}/{each}" for each in METADATA)}
    yield from _differences(files, expected, made)
    tag = platform_tag()
    if name != f"q35ref-{version}-py3-none-{tag}.whl":
        yield f"{name}: expected q35ref-{version}-py3-none-{tag}.whl"
    wheel = Parser().parsestr(files.get(f"{about}/WHEEL", b"").decode())
    if wheel["Tag"] != f"py3-none-{tag}" or wheel["Root-Is-Purelib"] != "false":
        yield f"WHEEL: expected Tag py3-none-{tag} and Root-Is-Purelib false, got {dict(wheel)}"
    if LIBRARY in files and (machine := elf_machine(files[LIBRARY])) and not tag.endswith(machine):
        yield f"{LIBRARY}: is for {machine}, the wheel for {tag}"
    yield from _metadata_problems(files.get(f"{about}/METADATA", b""), version)


def sdist_problems(name: str, files: Files, tree: Files, version: str) -> Iterator[str]:
    """Say what is wrong with an sdist of a tree."""
    folder = f"q35ref-{version}/"
    if name != f"q35ref-{version}.tar.gz":
        yield f"{name}: expected q35ref-{version}.tar.gz"
    outside = sorted(path for path in files if not path.startswith(folder))
    if outside:
        yield f"expected all files in {folder}, got {', '.join(outside[:5])}"
    inside = {path.removeprefix(folder): data for path, data in files.items() if path.startswith(folder)}
    yield from _differences(inside, tree, {"PKG-INFO"})
    yield from _metadata_problems(inside.get("PKG-INFO", b""), version)


def _differences(files: Files, expected: Files, made: set[str]) -> Iterator[str]:
    """Compare files with those of the tree, and with the names of those that are made."""
    for path in sorted(({*expected, *made, *MUST}) - files.keys()):
        yield f"{path}: is missing"
    for path in sorted(files.keys() - expected.keys() - made):
        yield f"{path}: is no file of the project"
    for path in sorted(path for path in expected.keys() & files.keys() if files[path] != expected[path]):
        yield f"{path}: differs from the tree's"
    for path in sorted(path for path, data in files.items() if len(data) > LARGEST):
        yield f"{path}: has {len(files[path]):,} bytes, more than {LARGEST:,}"


def _metadata_problems(text: bytes, version: str) -> Iterator[str]:
    said = Parser().parsestr(text.decode())
    for key, expected in (("Name", "q35ref"), ("Version", version), ("License-Expression", "Apache-2.0")):
        if said[key] != expected:
            yield f"metadata: expected {key} {expected}, got {said[key]}"
    wanted = [line for line in said.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = sorted(re.split(r"[^\w-]", line)[0] for line in wanted)
    if names != ["click", "numpy", "rich", "safetensors"]:
        yield f"metadata: expected click, numpy, rich and safetensors alone to be required, got {', '.join(names)}"


def platform_tag() -> str:
    """Return the platform part of the tag of a wheel that is built here, whose library is for one processor."""
    return re.sub(r"[-.]", "_", sysconfig.get_platform().replace("universal2", platform.machine()))


def elf_machine(library: bytes) -> str:
    """Return the processor that a shared library is for, as tags call it; nothing for other files than ELF.

    >>> elf_machine(b"\\x7fELF\\x02\\x01" + 12 * b"\\0" + b"\\x3e\\0"), elf_machine(b"\\xcf\\xfa\\xed\\xfe")
    ('x86_64', '')
    """
    if not library.startswith(b"\x7fELF") or len(library) < 20:
        return ""
    (machine,) = struct.unpack_from("<H" if library[5] == 1 else ">H", library, 18)
    return MACHINES.get(machine, f"ELF machine {machine}")
