"""``python -m tools.check_distribution``: build the sdist, and the wheel from it, and see that both are whole and work.

Each is compared with the files that git knows, and installed into an empty virtual environment outside of the tree, the
sdist once more without a compiler. Needs a package registry, a C compiler, git, and the extra ``test``.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from q35ref.version import __version__
from tools.distribution.contents import (
    NoRepository,
    read_sdist,
    read_wheel,
    sdist_problems,
    tracked,
    wheel_problems,
)
from tools.distribution.trial import NO_COMPILER, Trial, TrialFailed

ROOT: Final = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """A step went wrong."""


def build(root: Path, out: Path) -> tuple[Path, Path]:
    """Build in isolation; return the sdist and the wheel that was built from it. Errors: Failed."""
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{(done.stdout + done.stderr).strip()[-3000:]}")
    made = sorted(out.iterdir())
    if [path.suffix for path in made] != [".whl", ".gz"]:
        raise Failed(f"expected a wheel and an sdist, got {', '.join(path.name for path in made)}")
    return made[1], made[0]


def step(name: str, action: Callable[[], object]) -> None:
    """Do something, and print that it was done. Errors: those of the action."""
    begun = time.monotonic()
    action()
    click.echo(f"ok   {name} ({time.monotonic() - begun:.1f} s)")


def check_contents(sdist: Path, wheel: Path) -> None:
    """Compare both with the tree. Errors: Failed, NoRepository."""
    tree = tracked(ROOT)
    found = [f"{sdist.name}: {each}" for each in sdist_problems(sdist.name, read_sdist(sdist), tree, __version__)]
    found += [f"{wheel.name}: {each}" for each in wheel_problems(wheel.name, read_wheel(wheel), tree, __version__)]
    if found:
        raise Failed("\n".join(found))


def try_out(name: str, distribution: Path, folder: Path, *, compiler: bool = True) -> None:
    """Install a distribution, and try what must work. Errors: TrialFailed."""
    folder.mkdir()
    # CI demands the native kernel of every build, but not of this one.
    trial = Trial(folder, {} if compiler else {"CC": NO_COMPILER, "Q35_REQUIRE_NATIVE": "0"})
    step(f"{name}: installs into an empty environment", lambda: trial.install(distribution))
    step(f"{name}: is imported from there, with its data", trial.import_is_installed)
    if compiler:
        step(f"{name}: q35ref check native, doctor", trial.with_native)
        step(f"{name}: a type checker sees its types", trial.types_are_seen)
    else:
        step(f"{name}: does without the native kernel, and says so", trial.without_native)


@click.command()
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Write the distributions here, too.")
def main(keep: Path | None) -> None:
    """Build wheel and sdist, check what they hold, install and try both; exit with 1 if anything is wrong."""
    try:
        with tempfile.TemporaryDirectory(prefix="q35ref-dist-") as name:
            folder = Path(name).resolve()
            made: list[Path] = []
            step("sdist and wheel are built in isolation", lambda: made.extend(build(ROOT, folder / "dist")))
            sdist, wheel = made
            step("both hold what they must, and nothing else", lambda: check_contents(sdist, wheel))
            try_out("wheel", wheel, folder / "wheel")
            try_out("sdist", sdist, folder / "sdist")
            try_out("sdist without a compiler", sdist, folder / "bare", compiler=False)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                for path in made:
                    (keep / path.name).write_bytes(path.read_bytes())
    except (Failed, TrialFailed, NoRepository) as error:
        click.echo(f"FAIL {error}", err=True)
        sys.exit(1)
    click.echo(f"q35ref {__version__}: wheel and sdist are whole and work")


if __name__ == "__main__":
    main()
