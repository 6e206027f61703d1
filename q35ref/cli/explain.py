"""``q35ref explain``: one code, its bits, lanes and values."""

import click

from q35ref.cli.output import UsageProblem
from q35ref.reference import dequantize, lane_gain, to_float32, unpack_pair
from q35ref.reference.lanes import NARROW_GAINS


@click.command()
@click.argument("code")
@click.option("--scale", type=float, help="Show the values for this scale ...")
@click.option("--offset", type=float, default=0.0, show_default=True, help="... and this offset.")
def explain(code: str, scale: float | None, offset: float) -> None:
    """Draw CODE, a pair code such as 46, 0x2E or 0b0101110."""
    try:
        click.echo(drawing(int(code, 0), scale, offset))
    except ValueError as error:
        problem = str(error)
        if "int()" in problem or "literal" in problem:
            problem = f"code: expected a number such as 46, 0x2E or 0b0101110, got {code!r}"
        raise UsageProblem(problem) from error


def drawing(code: int, scale: float | None = None, offset: float = 0.0) -> str:
    """Return the drawing of a code.

    >>> print(drawing(46))
    code 46 = 0x2E = 0b0101110
    <BLANKLINE>
      bit   6 5 4 3   2 1 0
            0 1 0 1   1 1 0
            wide = 5  narrow = -2
    <BLANKLINE>
      lane    row     field  integer  value
      wide    even    0101         5  5 * scale + offset
      narrow  odd     110         -2  -2 * scale + offset (gain 1), -4 * scale + offset (gain 2)
    """
    wide, narrow = unpack_pair(code)
    bits = f"{code:07b}"
    lines = [
        f"code {code} = 0x{code:02X} = 0b{bits}",
        "",
        "  bit   6 5 4 3   2 1 0",
        f"        {' '.join(bits[:4])}   {' '.join(bits[4:])}",
        f"        {f'wide = {wide}':<10}narrow = {narrow}",
        "",
        "  lane    row     field  integer  value",
    ]
    for name, row, field, q in (("wide", 0, bits[:4], wide), ("narrow", 1, bits[4:], narrow)):
        gains = sorted({lane_gain(row, gain) for gain in NARROW_GAINS})
        values = [_value(q, row, gain, scale, offset) + (f" (gain {gain})" if len(gains) > 1 else "") for gain in gains]
        parity = "odd" if row else "even"
        lines.append(f"  {name:<6}  {parity:<6}  {field:<5}  {q:>7}  {', '.join(values)}")
    return "\n".join(lines)


def _value(q: int, row: int, gain: int, scale: float | None, offset: float) -> str:
    if scale is None:
        return f"{q * gain} * scale + offset"
    return repr(to_float32(dequantize(q, scale, offset, row, gain)))
