module

public import Q35.Spec.Quantizer

@[expose] public noncomputable section

/-!
# A group's weights to its parameters

Mirrors `q35ref/reference/calibration.py`: a pair is `(scale, offset)`. `exactParametersOfRange` is the same rule
without its two roundings, about which the half-step guarantee can be stated without a remainder.
-/

namespace Q35

/-- Scale and offset of a group. -/
abbrev Parameters := Rat × Rat

/-- The smallest weight of a group that begins with `first`. -/
def minimum (first : Rat) (rest : List Rat) : Rat := rest.foldl min first

/-- The largest weight of a group that begins with `first`. -/
def maximum (first : Rat) (rest : List Rat) : Rat := rest.foldl max first

/-- `x`, or the smallest positive float32 if it is 0: no scale may round to zero. -/
def orMinSubnormal (x : Rat) : Rat := if x = 0 then minSubnormal else x

/-- The parameters whose wide lane spans `[low, high]`, before any rounding. -/
def exactParametersOfRange (low high : Rat) : Parameters :=
  if low = high then (1, low) else ((high - low) / 15, low + 8 * ((high - low) / 15))

/-- The parameters whose wide lane spans `[low, high]`, rounded to float32: the rule of `minmax` and `clip`. -/
def parametersOfRange (low high : Rat) : Parameters :=
  if low = high then (1, roundFloat32 low)
  else
    let scale := orMinSubnormal (roundFloat32 ((high - low) / 15))
    (scale, roundFloat32 (low + 8 * scale))

/-- Spread the wide lane over the group: `scale = RN32((max - min) / 15)`, `offset = RN32(min + 8 * scale)`.
A constant group gets `scale = 1, offset = value`; `none` for an empty group. -/
def calibrateMinMax : List Rat → Option Parameters
  | [] => none
  | first :: rest => some (parametersOfRange (minimum first rest) (maximum first rest))

/-- `calibrateMinMax` before its two roundings. -/
def exactCalibrateMinMax : List Rat → Option Parameters
  | [] => none
  | first :: rest => some (exactParametersOfRange (minimum first rest) (maximum first rest))

/-- The largest magnitude in a list, 0 for an empty one. -/
def absMax (values : List Rat) : Rat := values.foldl (fun largest value => max largest (abs value)) 0

/-- Centre the lanes on zero: `scale = RN32(absmax / 7)`, `offset = 0`; an all-zero group gets scale 1. -/
def calibrateSymmetric : List Rat → Option Parameters
  | [] => none
  | first :: rest =>
    let largest := absMax (first :: rest)
    some (if largest = 0 then 1 else orMinSubnormal (roundFloat32 (largest / 7)), 0)

/-- The sum of squared distances between weights, from row `row` on, and their exact restored values. -/
def squaredErrorFrom (row : Nat) (scale offset : Rat) (narrowGain : Nat) : List Rat → Rat
  | [] => 0
  | weight :: rest =>
    let restored := dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain
    (weight - restored) ^ 2 + squaredErrorFrom (row + 1) scale offset narrowGain rest

/-- The sum of squared distances between a group's weights and their exact restored values. -/
def squaredError (group : List Rat) (scale offset : Rat) (narrowGain : Nat) : Rat :=
  squaredErrorFrom 0 scale offset narrowGain group

/-- Candidate `j` of the clip search: the range shrunk by `j/128` of its length at each end. -/
def clipCandidate (low high : Rat) (j : Nat) : Parameters :=
  let margin := (high - low) * j / 128
  parametersOfRange (low + margin) (high - margin)

/-- The first of the parameters with the least squared error. -/
def bestParameters (group : List Rat) (narrowGain : Nat) : Parameters → List Parameters → Parameters
  | best, [] => best
  | best, next :: rest =>
    let better := squaredError group next.1 next.2 narrowGain < squaredError group best.1 best.2 narrowGain
    bestParameters group narrowGain (if better then next else best) rest

/-- The parameters of least squared error over both lanes, among 48 shrunken ranges; of equal errors the first. -/
def calibrateClip (narrowGain : Nat) : List Rat → Option Parameters
  | [] => none
  | first :: rest =>
    let low := minimum first rest
    let high := maximum first rest
    some (bestParameters (first :: rest) narrowGain (clipCandidate low high 0)
      (tabulate (clipCandidate low high) 1 47))

end Q35
