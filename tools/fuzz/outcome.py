"""What came of fuzzing one target."""

from dataclasses import dataclass, field
from typing import Final

from tools.fuzz.measure import Worst

WIDTH: Final = 120
"""Characters of a line that is printed."""


@dataclass(frozen=True)
class Outcome:
    """What one engine found of one target."""

    target: str
    engine: str
    """``seeds and mutations``, ``atheris``, ``libFuzzer``, ..."""
    runs: int
    """Inputs that were read."""
    seconds: float
    """What it took."""
    new_units: int | None = None
    """Inputs beyond the seeds that reached code which no other had reached; none for an engine that cannot tell."""
    coverage: int | None = None
    """Edges of the code that were reached; likewise."""
    worst: Worst = field(default_factory=Worst)
    """What an input cost at most; of C, nothing is counted but by the sanitizer."""
    kind: str = ""
    """Of the finding; empty if there is none."""
    text: str = ""
    """What it is."""
    data: bytes = b""
    """The input that shows it."""

    @property
    def failed(self) -> bool:
        """Whether there is a finding."""
        return bool(self.kind)

    def line(self) -> str:
        """Return the outcome in one line."""
        parts = [f"{self.runs:,} runs in {self.seconds:.0f} s ({self.engine})"]
        if self.new_units is not None:
            parts.append(f"{self.new_units:,} new units")
        if self.coverage is not None:
            parts.append(f"{self.coverage:,} edges")
        if self.worst.runs:
            parts.append(
                f"most memory {self.worst.memory:,} bytes for {self.worst.memory_input:,}"
                f" ({self.worst.memory_share:.0%} of what is allowed), longest {self.worst.seconds:.2f} s"
            )
        parts.append(f"FOUND {self.kind}" if self.failed else "no finding")
        return f"{self.target}: " + ", ".join(parts)
