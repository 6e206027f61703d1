"""Laws of the quantizer: first of the rule on integers over a common denominator, then of its exact wrappers.

Where a limit multiplies a step, the limits are a lane's: with two unknown factors the solver needs a second or an hour,
as its luck has it. Lean has the law for any limits (``quantizeOnGrid_error_le``).
"""

from fractions import Fraction

from q35ref.contracts.proof_steps import assert_same_quotient, one_of
from q35ref.reference import lanes, quantizer


def no_integer_of_the_lane_is_nearer(weight: int, step: int, offset: int, row: int, other: int) -> None:
    """Quantizing yields a nearest integer of the row's lane.

    pre: step >= 1
    pre: 0 <= row <= 1
    pre: lanes.lane_interval(row)[0] <= other <= lanes.lane_interval(row)[1]
    post: True
    """
    low, high = lanes.lane_interval(row)
    q = quantizer.quantize_on_grid(weight, step, offset, low, high)
    assert abs(weight - (step * q + offset)) <= abs(weight - (step * other + offset))


def quantize_takes_ties_to_even(floor: int, half: int, offset: int, row: int) -> None:
    """A weight midway between two integers of the lane goes to the even one.

    pre: half >= 1
    pre: 0 <= row <= 1
    pre: lanes.lane_interval(row)[0] <= floor < lanes.lane_interval(row)[1]
    post: True
    """
    low, high = lanes.lane_interval(row)
    q = quantizer.quantize_on_grid(2 * half * floor + half + offset, 2 * half, offset, low, high)
    assert q % 2 == 0
    assert q in (floor, floor + 1)


def quantize_is_monotone(weight: int, more: int, step: int, offset: int, row: int) -> None:
    """A larger weight never gets a smaller integer.

    pre: 1 <= step <= 16
    pre: more >= 0
    pre: 0 <= row <= 1
    post: True
    """
    low, high = lanes.lane_interval(row)
    q = quantizer.quantize_on_grid(weight, step, offset, low, high)
    assert q <= quantizer.quantize_on_grid(weight + more, step, offset, low, high)


def quantize_inverts_dequantize(q: int, step: int, offset: int, low: int, high: int) -> None:
    """An integer's value is quantized to that integer: quantizing twice changes nothing.

    pre: step >= 1
    pre: low <= q <= high
    post: True
    """
    assert quantizer.quantize_on_grid(step * q + offset, step, offset, low, high) == q


def quantize_error_is_within_the_bound(weight: int, step: int, offset: int, row: int) -> None:
    """No weight moves farther than half a step, or than its distance to the interval if that is more.

    pre: step >= 1
    pre: 0 <= row <= 1
    post: True
    """
    low, high = lanes.lane_interval(row)
    restored = step * quantizer.quantize_on_grid(weight, step, offset, low, high) + offset
    assert 2 * abs(weight - restored) <= quantizer.doubled_error_bound_on_grid(weight, step, offset, low, high)


def half_a_step_is_attained(q: int, half: int, offset: int, low: int, high: int) -> None:
    """The bound is tight: the weight half a step above any integer is off by all of it.

    pre: half >= 1
    pre: low <= q <= high
    post: True
    """
    weight = 2 * half * q + half + offset
    restored = 2 * half * quantizer.quantize_on_grid(weight, 2 * half, offset, low, high) + offset
    assert abs(weight - restored) == half


def what_lies_above_gets_the_highest_integer(beyond: int, step: int, offset: int, row: int) -> None:
    """A weight above the lane's interval goes to its end: off by its distance, which the bound allows and no more.

    pre: beyond >= 0
    pre: step >= 1
    pre: 0 <= row <= 1
    post: True
    """
    low, high = lanes.lane_interval(row)
    weight = step * high + offset + beyond
    assert quantizer.quantize_on_grid(weight, step, offset, low, high) == high
    assert quantizer.doubled_error_bound_on_grid(weight, step, offset, low, high) == max(step, 2 * beyond)


def what_lies_below_gets_the_lowest_integer(beyond: int, step: int, offset: int, row: int) -> None:
    """A weight below the lane's interval goes to its end: off by its distance, which the bound allows and no more.

    pre: beyond >= 0
    pre: step >= 1
    pre: 0 <= row <= 1
    post: True
    """
    low, high = lanes.lane_interval(row)
    weight = step * low + offset - beyond
    assert quantizer.quantize_on_grid(weight, step, offset, low, high) == low
    assert quantizer.doubled_error_bound_on_grid(weight, step, offset, low, high) == max(step, 2 * beyond)


def the_common_denominator_cancels(weight: int, step: int, offset: int, row: int, factor: int) -> None:
    """A factor that weight, step and offset share changes nothing: any common denominator will do.

    pre: step >= 1
    pre: 0 <= row <= 1
    pre: 1 <= factor <= 8
    post: True
    """
    low, high = lanes.lane_interval(row)
    factor = one_of(factor, 1, 8)
    assert_same_quotient((weight - offset) // step, (weight * factor - offset * factor) // (step * factor), step)
    q = quantizer.quantize_on_grid(weight * factor, step * factor, offset * factor, low, high)
    assert q == quantizer.quantize_on_grid(weight, step, offset, low, high)


def quantize_is_the_rule_on_the_grid(
    weight: int, scale: int, offset: int, denominator: int, row: int, narrow_gain: int
) -> None:
    """On fractions with a common denominator ``quantize`` is ``quantize_on_grid`` of the numerators.

    pre: scale >= 1
    pre: denominator >= 1
    pre: 0 <= row <= 3
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    w, s, b = Fraction(weight, denominator), Fraction(scale, denominator), Fraction(offset, denominator)
    low, high = lanes.lane_interval(row)
    step = scale * lanes.lane_gain(row, narrow_gain)
    q = quantizer.quantize_on_grid(weight, step, offset, low, high)
    assert quantizer.quantize(w, s, b, row, narrow_gain) == q


def a_restored_weight_is_within_its_bound(
    weight: int, scale: int, offset: int, denominator: int, row: int, narrow_gain: int
) -> None:
    """The exact value is within ``error_bound``, the float32 within ``rounded_error_bound`` of the weight.

    pre: scale >= 1
    pre: denominator >= 1
    pre: 0 <= row <= 3
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    w, s, b = Fraction(weight, denominator), Fraction(scale, denominator), Fraction(offset, denominator)
    q = quantizer.quantize(w, s, b, row, narrow_gain)
    value = quantizer.dequantize(q, s, b, row, narrow_gain)
    rounded = quantizer.rounded_dequantize(q, s, b, row, narrow_gain)
    assert abs(w - value) <= quantizer.error_bound(w, s, b, row, narrow_gain)
    assert abs(w - rounded) <= quantizer.rounded_error_bound(w, s, b, row, narrow_gain)
