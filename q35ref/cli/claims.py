"""``q35ref claims``: what the paper drafts claim, and what comes of running code on it."""

import json
from collections import Counter
from dataclasses import asdict

import click
from rich.table import Table

from q35ref.cli.output import UsageProblem, console
from q35ref.evidence import audits, audits_accuracy  # noqa: F401  # they register the auditors
from q35ref.evidence.claims import Audit, audit, load


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the weights that are drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def claims(ids: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Audit the paper drafts' claims, or those with these IDs: reproduced, refuted, or not testable here."""
    known = load()
    for name in ids:
        if name not in known:
            raise UsageProblem(f"claim: expected one of {', '.join(known)}; got {name!r}")
    made = [audit(known[name], seed) for name in dict.fromkeys(ids or known)]
    out = console()
    if as_json:
        click.echo(
            json.dumps([asdict(each) | {"command": each.command} for each in made], indent=1, ensure_ascii=False)
        )
    elif ids:
        out.print("\n\n".join("\n".join(_lines(each)) for each in made))
    else:
        table = Table("claim", "says", "verdict", "found", "how")
        for each in made:
            found = "" if each.finding.value is None else f"{each.finding.value:,.4g} {each.claim.unit}"
            table.add_row(each.claim.id, _claimed(each), each.finding.verdict, found, each.finding.kind)
        out.print(table)
        counts = Counter(each.finding.verdict for each in made)
        out.print(f"{len(made)} claims: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
        out.print("q35ref claims ID says why.")


def _claimed(made: Audit) -> str:
    if made.claim.value is None:
        return made.claim.says
    return f"{made.claim.value:g} {made.claim.unit}"


def _lines(made: Audit) -> list[str]:
    return [
        f"{made.claim.id} ({made.claim.source})",
        f"  claimed: {made.claim.says}",
        f"  verdict: {made.finding.verdict} ({made.finding.kind})",
        f"  found: {made.finding.says}",
    ]
