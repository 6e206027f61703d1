"""What must work once q35ref is installed, tried in an empty virtual environment outside of the tree."""

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NO_COMPILER: Final = "no-such-compiler"
"""A command that is nowhere, for ``CC``."""

RIGHT: Final = """\
import q35ref
from q35ref.oracle import Report
report: Report = q35ref.check("numpy", only=["pack.*"])
version: str = q35ref.__version__
"""
"""What a type checker must accept."""

WRONG: Final = "import q35ref\nversion: int = q35ref.__version__\n"
"""What a type checker must refuse, if it sees the package's types."""


class TrialFailed(Exception):
    """Something does not work; the text is the command and what it printed."""


@dataclass(frozen=True)
class Trial:
    """A virtual environment with a distribution in it."""

    folder: Path
    """Where the environment lies, and all that is tried; outside of the tree."""
    environment: Mapping[str, str]
    """Variables that differ from this process's."""

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.folder / "venv" / "bin" / "python"

    def install(self, distribution: Path) -> None:
        """Make the environment, and install a wheel or an sdist with what it requires. Errors: TrialFailed."""
        venv.create(self.folder / "venv", with_pip=True)
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        self.run([*pip, "install", str(distribution)])

    def run(self, command: list[str], *, status: int = 0, says: str = "") -> str:
        """Run a command; return what it printed. Errors: TrialFailed for another status, or if it does not say so."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            command, cwd=self.folder, env={**kept, **self.environment}, capture_output=True, text=True, check=False
        )
        printed = done.stdout + done.stderr
        if done.returncode != status or says not in printed:
            wanted = f"exit status {status}{f' and {says!r}' if says else ''}"
            raise TrialFailed(f"{' '.join(command)}: expected {wanted}, got {done.returncode}:\n{printed.strip()}")
        return printed

    def q35ref(self, *arguments: str, status: int = 0, says: str = "") -> str:
        """Run the command ``q35ref``."""
        return self.run([str(self.python.with_name("q35ref")), *arguments], status=status, says=says)

    def import_is_installed(self) -> None:
        """The package that is imported is the environment's own, with its data."""
        code = (
            "import q35ref, q35ref.vectors, importlib.resources as r; print(q35ref.__file__);"
            " assert q35ref.reference.pack_pair(5, -2) == 46; assert (r.files(q35ref) / 'py.typed').is_file();"
            " assert len(q35ref.vectors.load('pack_pair').cases) > 100"
        )
        self.run([str(self.python), "-c", code], says=str(self.folder / "venv"))

    def types_are_seen(self) -> None:
        """A type checker reads the package's types: right use passes, wrong use does not."""
        mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--python-executable={self.python}"]
        mypy += ["--cache-dir", str(self.folder / "mypy")]
        for name, text in (("right.py", RIGHT), ("wrong.py", WRONG)):
            (self.folder / name).write_text(text)
        self.run([*mypy, "right.py"])
        self.run([*mypy, "wrong.py"], status=1, says='expression has type "str", variable has type "int"')

    def with_native(self) -> None:
        """The native kernel is there and conforms."""
        self.q35ref("check", "native", says="0 failed, 0 not checked: conforms")
        self.q35ref("doctor", says="threads")

    def without_native(self) -> None:
        """The rest works, and what is missing is said."""
        self.q35ref("check", "native", status=2, says="the native kernel is not built: install a C compiler")
        self.q35ref("doctor", says="install a C compiler")
        self.q35ref("check", "numpy", "--only", "pack.*", says="conforms")
