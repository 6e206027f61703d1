module

@[expose] public noncomputable section

/-!
# Rounding a rational to an integer, and clamping

Mirrors `q35ref/reference/rounding.py`. Source: IEEE 754-2019 §4.3.1, roundTiesToEven.
-/

namespace Q35

/-- Round `numerator / denominator` to the nearest integer, ties to the even one. The fraction need not be reduced;
the denominator must be positive. `/` and `%` round down, as Python's `//` and `%` do for a positive divisor. -/
def roundHalfEven (numerator denominator : Int) : Int :=
  let floor := numerator / denominator
  let excess := 2 * (numerator - floor * denominator) - denominator
  if excess > 0 ∨ (excess = 0 ∧ floor % 2 = 1) then floor + 1 else floor

/-- The integer of `low .. high` that is nearest to `value`; the limits must be in order. -/
def clamp (value low high : Int) : Int := max low (min value high)

/-- The magnitude of a rational, Python's `abs`; core Lean has none. -/
def abs (x : Rat) : Rat := if 0 ≤ x then x else -x

/-- Round a rational to the nearest integer, ties to the even one. -/
def rne (x : Rat) : Int := roundHalfEven x.num x.den

end Q35
