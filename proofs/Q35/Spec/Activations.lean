module

public import Q35.Spec.Calibration

@[expose] public noncomputable section

/-!
# A row of float activations to int8, with a scale of its own

Mirrors `q35ref/reference/activations.py`.
-/

namespace Q35

/-- Quantized activations lie in `-127 .. 127`. -/
def activationLimit : Int := 127

/-- `RN32(absmax / 127)`, the smallest positive float32 if that is 0, and 1 for a row of zeros. -/
def activationScale (row : List Rat) : Rat :=
  if absMax row = 0 then 1 else orMinSubnormal (roundFloat32 (absMax row / 127))

/-- `absmax / 127` before any rounding, 1 for a row of zeros. -/
def exactActivationScale (row : List Rat) : Rat := if absMax row = 0 then 1 else absMax row / 127

/-- `clamp(rne(value / scale), -127, 127)` in exact arithmetic. -/
def quantizeActivation (value scale : Rat) : Int :=
  let common := Nat.lcm value.den scale.den
  quantizeOnGrid (numeratorOver common value) (numeratorOver common scale) 0 (-activationLimit) activationLimit

/-- A row's scale and its int8 values. -/
def quantizeActivations (row : List Rat) : Rat × List Int :=
  (activationScale row, row.map (quantizeActivation · (activationScale row)))

end Q35
