"""The settings of the floating-point unit, which a kernel must leave as they were."""

import ctypes
import ctypes.util
import platform
import sys
from typing import Final

X86: Final = sys.platform == "linux" and platform.machine().lower() in ("x86_64", "amd64")

TAGS: Final = 8
"""Where the x87 tag word lies there: which registers are in use, as MMX instructions without EMMS leave them."""

MXCSR: Final = 28
"""Where it lies in the GNU C library's ``fenv_t`` on x86-64; the x87 control word comes first."""

FLUSH: Final = 0x8040
"""Bits of MXCSR: subnormal results become 0, subnormal operands are taken for 0."""

FLAGS: Final = 0x3F
"""Bits of MXCSR that say what happened; they may change."""


class Environment:
    """Rounding mode and, on x86-64 under Linux, all that the unit's control words say."""

    def __init__(self) -> None:
        self._libm = ctypes.CDLL(ctypes.util.find_library("m"))
        self._saved = ctypes.create_string_buffer(256)
        self._libm.fegetenv(self._saved)

    def read(self) -> tuple[int, ...]:
        """Return the settings."""
        if not X86:
            return (self._libm.fegetround(),)
        now = ctypes.create_string_buffer(256)
        self._libm.fegetenv(now)
        self._libm.fesetenv(now)  # reading masks the x87 unit's exceptions
        mxcsr = int.from_bytes(now.raw[MXCSR : MXCSR + 4], "little")
        control, tags = (int.from_bytes(now.raw[at : at + 2], "little") for at in (0, TAGS))
        return (control, tags, mxcsr & ~FLAGS)

    def restore(self) -> None:
        """Set what was set at first."""
        self._libm.fesetenv(self._saved)


def change(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[str, str]:
    """Return the kind of what changed between two readings, and what it was; nothing twice if nothing did."""
    if before == after:
        return "", ""
    if X86 and after[-1] & FLUSH & ~before[-1]:
        return "flush-to-zero", "flush-to-zero is switched on"
    names = ("x87 control word", "x87 tag word", "MXCSR") if X86 else ("rounding mode",)
    changes = zip(names, before, after, strict=True)
    told = (f"{name} 0x{was:X} is now 0x{now:X}" for name, was, now in changes if was != now)
    return "environment", ", ".join(told)
