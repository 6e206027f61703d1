module

public import Q35.Spec.Rounding

@[expose] public noncomputable section

/-!
# Rounding a rational to float32 (IEEE 754 binary32), exactly

`roundFloat32 x` is the exact value `x` rounded once to 24 bits, ties to even, on a grid no finer than `2^(-149)`.
It has no upper limit: `Overflows` says where float32 has none. Mirrors `q35ref/reference/float32.py`.
Source: IEEE 754-2019 §3.4, §4.3.1.
-/

namespace Q35

/-- Precision of float32, the hidden bit included. -/
def significandBits : Nat := 24

/-- Exponent of float32's grid near zero: every float32 is an integer multiple of `2^(-149)`. -/
def minExponent : Int := -149

/-- `u`, the largest relative error of a rounding to float32, for magnitudes from `2^(-126)` up. -/
def unitRoundoff : Rat := 1 / 2 ^ 24

/-- The smallest positive float32. -/
def minSubnormal : Rat := 1 / 2 ^ 149

/-- Number of bits of a natural number, Python's `bit_length`. -/
def bitLength (n : Nat) : Nat := if n = 0 then 0 else n.log2 + 1

/-- `⌊log₂ (numerator / denominator)⌋`, for positive integers. -/
def binade (numerator denominator : Nat) : Int :=
  let exponent : Int := (bitLength numerator : Int) - bitLength denominator
  let below : Bool :=
    if 0 ≤ exponent then numerator < denominator * 2 ^ exponent.toNat
    else numerator * 2 ^ (-exponent).toNat < denominator
  if below then exponent - 1 else exponent

/-- `numerator / denominator` rounded to float32: `(significand, exponent)`, the value is `significand * 2^exponent`.
The denominator must be positive; the fraction need not be reduced. -/
def roundFloat32Parts (numerator : Int) (denominator : Nat) : Int × Int :=
  if numerator = 0 then (0, minExponent)
  else
    let exponent := max (binade numerator.natAbs denominator - (significandBits - 1)) minExponent
    if 0 ≤ exponent then (roundHalfEven numerator (denominator * 2 ^ exponent.toNat : Nat), exponent)
    else (roundHalfEven (numerator * 2 ^ (-exponent).toNat) denominator, exponent)

/-- `RN32(x)`: the exact value `x` rounded once to float32, ties to even, with no upper limit on its magnitude. -/
def roundFloat32 (x : Rat) : Rat :=
  let parts := roundFloat32Parts x.num x.den
  parts.1 * (2 : Rat) ^ parts.2

/-- Float32 has no finite number for `x`: rounded to 24 bits it is `2^128` or more. -/
def Overflows (x : Rat) : Prop := 2 ^ 128 ≤ abs (roundFloat32 x)

instance (x : Rat) : Decidable (Overflows x) := inferInstanceAs (Decidable (_ ≤ _))

/-- `x` is the value of a finite float32. -/
def IsFloat32 (x : Rat) : Prop := roundFloat32 x = x ∧ abs x < 2 ^ 128

instance (x : Rat) : Decidable (IsFloat32 x) := inferInstanceAs (Decidable (_ ∧ _))

/-! ## What statements about it speak of -/

/-- `2^e`. -/
def pow2 (e : Int) : Rat := (2 : Rat) ^ e

/-- `m·2^e` has at most 24 bits, and is an integer multiple of `2^(-149)`. -/
def Fits (m e : Int) : Prop := m.natAbs ≤ 2 ^ 24 ∧ -149 ≤ e

/-- The number midway between the largest float32, `2^128 - 2^104`, and `2^128`. -/
def overflowThreshold : Rat := 2 ^ 128 - 2 ^ 103

end Q35
