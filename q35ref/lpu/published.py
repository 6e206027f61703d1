"""What others have said about speed on this machine, with who said it: for comparison, never an input."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Published:
    """A claim about tokens a second of one user."""

    model: str
    tokens: float
    chips: str
    source: str
    """Who says it, and how far that can be relied on."""


PUBLISHED: Final = (
    Published("llama-2-70b", 300, "568 to 576", "press reports of the maker's service, several and consistent"),
    Published(
        "llama-2-70b",
        241,
        "an unknown number of",
        "a third party's measurement of it; not seen at its source",
    ),
)
"""Of systems that run. How they keep their weights is not published."""

DRAFTS: Final = Published("llama-2-70b", 4188, "1", "the format's paper drafts")
"""80e12 bytes a second over 19.1e9 bytes: a quotient, which nothing has run. a chip holds 0.23e9."""
