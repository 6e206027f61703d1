"""Checks the index and renders it as a page."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from tools.assurance.claim import (
    CONFIRMED,
    EXHAUSTED,
    NOTHING_TO_RUN,
    PROVED,
    REASONS,
    SAMPLED,
    TESTED,
    TRUSTED,
    Claim,
    Part,
)
from tools.assurance.names import Names, Place


def held(claim: Claim, names: Names) -> list[str]:
    """Return the words for how a claim is held, the strongest first."""
    words = []
    if isinstance(claim.theorems, tuple):
        words.append(PROVED)
    if isinstance(claim.contracts, tuple) and any(name not in names.excused for name in claim.contracts):
        words.append(CONFIRMED)
    if claim.exhausted:
        words.append(EXHAUSTED)
    if isinstance(claim.tests, tuple):
        words.append(TESTED)
    if claim.trusted:
        words.append(TRUSTED)
    return words


def problems(
    parts: Sequence[Part], names: Names, headlines: Collection[str], cited: Mapping[str, str]
) -> Iterator[str]:
    """Say what is wrong with the index: a name that does not exist, a cell without name or fitting reason, a gap.

    Every headline theorem and every contract must hold some claim; every theorem that ``cited`` names must exist.
    """
    claims = [claim for part in parts for claim in part.claims]
    kinds = (("theorems", names.theorems), ("contracts", names.contracts), ("tests", names.tests))
    for claim in claims:
        for kind, known in kinds:
            cell = getattr(claim, kind)
            if isinstance(cell, str):
                if kind not in REASONS.get(cell, ()):
                    fitting = tuple(reason for reason, columns in REASONS.items() if kind in columns)
                    yield f"{claim.text!r}: {kind}: expected names or one of {fitting}, got {cell!r}"
                if cell == SAMPLED and isinstance(claim.tests, str):
                    yield f"{claim.text!r}: {kind}: {cell!r}, but there is no test"
                if cell == NOTHING_TO_RUN and not claim.trusted:
                    yield f"{claim.text!r}: {kind}: {cell!r}, but no reason to trust it is given"
            elif not cell:
                yield f"{claim.text!r}: {kind}: expected at least one name"
            else:
                yield from (f"{claim.text!r}: {kind}: there is no {name}" for name in cell if name not in known)
        if claim.exhausted and isinstance(claim.tests, str):
            yield f"{claim.text!r}: exhausted, but there is no test"
        if not held(claim, names):
            yield f"{claim.text!r}: nothing holds it, and no reason to trust it is given"
    texts = [claim.text for claim in claims]
    yield from (f"{text!r}: stands twice" for text in sorted(set(texts)) if texts.count(text) > 1)
    used = {kind: {name for c in claims for name in _names(getattr(c, kind))} for kind, _ in kinds}
    for name in headlines:
        if name not in used["theorems"]:
            yield f"headline {name}: holds no claim"
    for name in sorted(names.contracts.keys() - used["contracts"]):
        yield f"contract {name}: holds no claim"
    for name, where in cited.items():
        if name not in names.theorems:
            yield f"{where} names the theorem {name}, which does not exist"


def render(parts: Sequence[Part], names: Names, preface: str) -> str:
    """Return the page, in Markdown."""
    lines = [preface.rstrip(), ""]
    for part in parts:
        lines += [f"## {part.title}", "", "| claim | held | theorem | contract | test |", "|---|---|---|---|---|"]
        for claim in part.claims:
            cells = [
                claim.text + (f" *Trusted:* {claim.trusted}." if claim.trusted else ""),
                ", ".join(held(claim, names)),
                _cell(claim.theorems, names.theorems),
                _cell(claim.contracts, names.contracts, names.excused),
                _cell(claim.tests, names.tests),
            ]
            lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def _names(cell: tuple[str, ...] | str) -> tuple[str, ...]:
    return cell if isinstance(cell, tuple) else ()


def _cell(cell: tuple[str, ...] | str, known: Mapping[str, Place], excused: Collection[str] = ()) -> str:
    if isinstance(cell, str):
        return cell
    links = []
    for name in cell:
        place = known[name]
        mark = " (not confirmed, run by the test)" if name in excused else ""
        links.append(f"[`{name}`](../{place.file}#L{place.line}){mark}")
    return "<br>".join(links)
