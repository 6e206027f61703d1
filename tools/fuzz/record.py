"""The counts of a run as JSON, and as the table of ``docs/fuzzing.md``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.fuzz.outcome import Outcome


@dataclass(frozen=True)
class Record:
    """What came of a run: a row for each target."""

    rows: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Record":
        """Return the record of these outcomes."""
        return cls(
            tuple(
                {
                    "target": outcome.target,
                    "engine": outcome.engine,
                    "seconds": round(outcome.seconds),
                    "runs": outcome.runs,
                    "new_units": outcome.new_units,
                    "edges": outcome.coverage,
                    "memory": outcome.worst.memory,
                    "memory_input": outcome.worst.memory_input,
                    "memory_share": round(outcome.worst.memory_share, 3),
                    "longest": round(outcome.worst.seconds, 2),
                    "finding": outcome.kind,
                }
                for outcome in outcomes
            )
        )

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Return the record in a file. Errors: OSError, ValueError."""
        return cls(tuple(json.loads(path.read_text())))

    def text(self) -> str:
        """Return it as JSON, a row a line."""
        return "[\n" + ",\n".join(json.dumps(row) for row in self.rows) + "\n]\n"

    def table(self) -> str:
        """Return it as a table in Markdown."""
        lines = [
            "| target | engine | minutes | runs | new units | edges | most memory | longest | findings |",
            "|---|---|---:|---:|---:|---:|---:|---:|---|",
        ]
        for row in self.rows:
            counted = ["" if row[key] is None else f"{row[key]:,}" for key in ("runs", "new_units", "edges")]
            memory = f"{row['memory']:,} bytes, {row['memory_share']:.0%}" if row["memory"] else "by the sanitizer"
            longest = f"{row['longest']:.2f} s" if row["memory"] else "by the sanitizer"
            cells = [row["target"], row["engine"], f"{row['seconds'] / 60:.0f}", *counted, memory, longest]
            lines.append(f"| {' | '.join([*cells, row['finding'] or 'none'])} |")
        return "\n".join(lines) + "\n"
