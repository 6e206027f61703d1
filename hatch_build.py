"""Builds the native kernel into the wheel, where there is a C compiler; without one the wheel is pure Python.

``Q35_REQUIRE_NATIVE=1`` makes a missing compiler an error.
"""

import importlib.util
import os
import platform
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def kernel_builder(root: Path) -> ModuleType:
    """Return the package's own builder, which needs nothing but the standard library, without importing the package."""
    path = root / "q35ref" / "backends" / "native" / "build.py"
    spec = importlib.util.spec_from_file_location("q35ref_native_build", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def platform_tag() -> str:
    """Return the platform of what a compiler makes here: one processor, even where macOS has a Python for two."""
    name = sysconfig.get_platform().replace("universal2", platform.machine())
    return name.replace("-", "_").replace(".", "_")


class CustomBuildHook(BuildHookInterface[Any]):
    """The library is loaded with ctypes: one wheel a platform, for every Python."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library before the wheel's files are collected."""
        builder = kernel_builder(Path(self.root))
        try:
            library = builder.build()
        except builder.NoCompiler as error:  # one that fails is an error
            if os.environ.get("Q35_REQUIRE_NATIVE") == "1":
                raise
            self.app.display_warning(f"q35ref without its native kernel: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"
        build_data["artifacts"].append(library.relative_to(self.root).as_posix())
