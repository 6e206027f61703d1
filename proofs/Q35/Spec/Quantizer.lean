module

public import Q35.Spec.Float32
public import Q35.Spec.Lanes

@[expose] public noncomputable section

/-!
# One weight to one integer and back, given its group's parameters

The value of an integer `q` of a row is `scale * gain * q + offset`. The functions whose names end in `OnGrid` are the
rule itself, on integers over any one common denominator; the others take rationals and bring them there.
Mirrors `q35ref/reference/quantizer.py`.
-/

namespace Q35

/-- `clamp(rne((weight - offset) / step), low, high)`, all but the limits over one common denominator. -/
def quantizeOnGrid (weight step offset low high : Int) : Int := clamp (roundHalfEven (weight - offset) step) low high

/-- Twice the largest error that quantization may make on `weight`: `max(step, 2 * distance to the interval)`. -/
def doubledErrorBoundOnGrid (weight step offset low high : Int) : Int :=
  max step (2 * max (max (step * low + offset - weight) (weight - (step * high + offset))) 0)

/-- The exact step between the values of neighbouring integers of a row: `scale * gain`. -/
def stepOf (scale : Rat) (row narrowGain : Nat) : Rat := scale * laneGain row narrowGain

/-- The least common denominator of three rationals. -/
def commonDenominator (x y z : Rat) : Nat := Nat.lcm (Nat.lcm x.den y.den) z.den

/-- A rational as an integer over `common`, a multiple of its denominator. -/
def numeratorOver (common : Nat) (x : Rat) : Int := x.num * (common / x.den : Nat)

/-- Quantize one weight: `clamp(rne((weight - offset) / (scale * gain)), low, high)` in exact arithmetic. -/
def quantize (weight scale offset : Rat) (row narrowGain : Nat) : Int :=
  let step := stepOf scale row narrowGain
  let common := commonDenominator weight step offset
  quantizeOnGrid (numeratorOver common weight) (numeratorOver common step) (numeratorOver common offset)
    (laneLow row) (laneHigh row)

/-- The exact value of an integer: `scale * gain * q + offset`. -/
def dequantize (q : Int) (scale offset : Rat) (row narrowGain : Nat) : Rat := stepOf scale row narrowGain * q + offset

/-- `RN32` of the exact value: what a correctly rounded backend restores. -/
def roundedDequantize (q : Int) (scale offset : Rat) (row narrowGain : Nat) : Rat :=
  roundFloat32 (dequantize q scale offset row narrowGain)

/-- How far a weight lies outside its lane's interval `[scale * gain * low + offset, scale * gain * high + offset]`. -/
def distanceToLane (weight scale offset : Rat) (row narrowGain : Nat) : Rat :=
  max (max (dequantize (laneLow row) scale offset row narrowGain - weight)
    (weight - dequantize (laneHigh row) scale offset row narrowGain)) 0

/-- `max(half step, distance of the weight to its lane's interval)`, for any weight at all. -/
def errorBound (weight scale offset : Rat) (row narrowGain : Nat) : Rat :=
  max (stepOf scale row narrowGain / 2) (distanceToLane weight scale offset row narrowGain)

/-- `errorBound` plus `u * |value| + 2^(-150)`, for the restored float32. -/
def roundedErrorBound (weight scale offset : Rat) (row narrowGain : Nat) : Rat :=
  let value := dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain
  errorBound weight scale offset row narrowGain + (unitRoundoff * abs value + minSubnormal / 2)

end Q35
