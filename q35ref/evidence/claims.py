"""The drafts' claims as data, and what comes of running code on each: reproduced, refuted, or not testable here."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

Verdict = Literal["reproduced", "reproduced in part", "refuted", "not testable here"]

Kind = Literal["measured", "simulated", "calculated", "proved", "published", "read", "none"]
"""How what was found was found: ``proved`` by Lean; ``published`` by others; ``read`` in what the drafts print;
``none`` where nothing was."""


@dataclass(frozen=True)
class Claim:
    """What a draft says."""

    id: str
    source: str
    says: str
    unit: str = ""
    value: float | None = None
    """Its main number."""
    within: float = 0.0
    """What was found counts as that number if it is off by no more than this part of it."""


@dataclass(frozen=True)
class Finding:
    """What came of it."""

    verdict: Verdict
    kind: Kind
    says: str
    value: float | None = None
    """The number that was found, in the claim's unit, where there is one."""


@dataclass(frozen=True)
class Audit:
    """A claim, and what came of it."""

    claim: Claim
    finding: Finding

    @property
    def command(self) -> str:
        """What runs it again."""
        return f"q35ref claims {self.claim.id}"


def load() -> dict[str, Claim]:
    """Return every claim by its id, in the order of the file."""
    text = (files("q35ref.evidence") / "claims.toml").read_text("utf-8")
    return {entry["id"]: Claim(**entry) for entry in tomllib.loads(text)["claim"]}


Auditor = Callable[[Claim, int], Finding]

AUDITORS: Final[dict[str, Auditor]] = {}
"""What audits each claim, by its id; :mod:`q35ref.evidence.audits` fills it."""


def audits(name: str) -> Callable[[Auditor], Auditor]:
    """Return a decorator that makes a function the auditor of a claim."""

    def register(auditor: Auditor) -> Auditor:
        if name in AUDITORS:
            raise ValueError(f"{name}: has an auditor already")
        AUDITORS[name] = auditor
        return auditor

    return register


def verdict(claim: Claim, found: float) -> Verdict:
    """Return whether what was found is what is claimed, within what the claim allows.

    >>> claim = Claim("x", "", "", "", 10.0, within=0.05)
    >>> verdict(claim, 10.4), verdict(claim, 11.0)
    ('reproduced', 'refuted')
    """
    if claim.value is None:
        raise ValueError(f"{claim.id}: expected a claim with a number")
    return "reproduced" if abs(found - claim.value) <= claim.within * abs(claim.value) else "refuted"


def audit(claim: Claim, seed: int = 1) -> Audit:
    """Return what comes of a claim."""
    return Audit(claim, AUDITORS[claim.id](claim, seed))
