"""``python -m tools.scalesim``: what SCALE-Sim 3 counts for a weight-stationary array, recorded for the tests.

SCALE-Sim wants an older NumPy than ours: it is installed in a virtual environment of its own, in a temporary folder.
Its own tables and traces stay there. Takes under a minute.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any, Final

import click

from q35ref.atomic import write_text
from q35ref.cli.output import UsageProblem

RECORD: Final = Path(__file__).parents[1] / "tests" / "classic" / "scalesim.json"

REQUIREMENTS: Final = ("scalesim==3.0.0", "numpy<2.4", "setuptools<81")

CASES: Final = (
    (320, 320, 1, 320, 320), (320, 320, 7, 320, 320), (320, 320, 5, 640, 640), (320, 320, 33, 100, 500),
    (8, 16, 1, 16, 8), (8, 16, 7, 16, 8), (8, 16, 5, 40, 20), (8, 16, 33, 17, 9),
)  # fmt: skip
"""Rows and columns of the array, M, N, K."""

CONFIG: Final = """[general]
run_name = run
[architecture_presets]
ArrayHeight : {rows}
ArrayWidth : {columns}
IfmapSramSzkB: 4096
FilterSramSzkB: 4096
OfmapSramSzkB: 4096
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth : 10
Dataflow : ws
MemoryBanks: 1
ReadRequestBuffer: 64
WriteRequestBuffer: 64
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport : false
SparseRep : ellpack_block
OptimizedMapping : false
BlockSize : 8
RandomNumberGeneratorSeed : 40
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


LAYOUT: Final = "Layer" + ", x" * 20 + ",\nmatmul" + ", 1" * 20 + ",\n"
"""It asks for a layout of its SRAM, which with this configuration changes nothing."""


def run(python: Path, folder: Path, case: tuple[int, ...]) -> int:
    """Return the cycles that SCALE-Sim reports for a case."""
    rows, columns, m, n, k = case
    (folder / "run.cfg").write_text(CONFIG.format(rows=rows, columns=columns))
    (folder / "topology.csv").write_text(f"Layer, M, N, K,\nmatmul, {m}, {n}, {k},\n")
    (folder / "layout.csv").write_text(LAYOUT)
    arguments = ["-c", "run.cfg", "-t", "topology.csv", "-l", "layout.csv", "-i", "gemm", "-p", "out"]
    done = subprocess.run(
        [python, "-m", "scalesim.scale", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    reports = sorted(folder.glob("out/**/COMPUTE_REPORT.csv"))
    if done.returncode or not reports:
        raise UsageProblem(f"scalesim failed on {case}: {(done.stdout + done.stderr).strip()[-500:]}")
    head, line = reports[0].read_text().splitlines()[:2]
    names = [name.strip() for name in head.split(",")]
    return int(float(line.split(",")[names.index("Total Cycles")]))


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=RECORD, help="Where the record goes.")
def main(out: Path) -> None:
    """Run SCALE-Sim on every case, and write what it counts."""
    made: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        for case in CASES:
            inner = folder / "_".join(map(str, case))
            inner.mkdir()
            cycles = run(python, inner, case)
            click.echo(f"{case}: {cycles}", err=True)
            made.append(dict(zip(("rows", "columns", "m", "n", "k"), case, strict=True), cycles=cycles))
    record = {"generator": "python -m tools.scalesim", "requirements": list(REQUIREMENTS), "cases": made}
    write_text(out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
