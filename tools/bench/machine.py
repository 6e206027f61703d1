"""What ran where: the processor and the versions, and nothing that names a machine or a person."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Final

import q35ref
from q35ref.backends.native.library import available_processors
from tools.bench.memory import huge_pages

CPU_FILE: Final = Path("/proc/cpuinfo")

FLAGS: Final = (
    *("ssse3", "avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vbmi", "avx512_vnni", "asimd", "asimddp", "i8mm", "sve"),
)
"""Instruction sets that some contender asks for."""

PACKAGES: Final = ("numpy", "llama-cpp-python", "gguf", "torch", "threadpoolctl")


def processor() -> dict[str, str]:
    """Return what Linux says about the first processor, nothing where it does not."""
    try:
        lines = CPU_FILE.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def describe() -> dict[str, str]:
    """Return the machine's description."""
    cpu = processor()
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    model = cpu.get("model name") or platform.processor() or platform.machine()
    family = f"family {cpu['cpu family']}, model {cpu['model']}" if "cpu family" in cpu else platform.machine()
    return {
        "cpu": f"{model} ({family})",
        "cpu_flags": " ".join(flag for flag in FLAGS if flag in flags),
        "processors": str(available_processors()),
        "huge_pages": huge_pages(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that take part, those that are installed."""
    found = {"q35ref": q35ref.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def load() -> float:
    """Return the mean number of processes that ran or waited in the last minute."""
    return round(os.getloadavg()[0], 2)
