module

public import Q35.Spec.Calibration
public import Q35.Spec.Codec

@[expose] public noncomputable section

/-!
# What the paper drafts' code does

The drafts' recipes, for theorems about their claims; no part of the format. Their converter works per column, with
`scale = (max - min)/15` and `zero = min + 8·scale`, which is `exactCalibrateMinMax`.
-/

namespace Q35

/-- The drafts' quantizer: four bits in both lanes. -/
def draftQuantize (weight scale zero : Rat) : Int := clamp (rne ((weight - zero) / scale)) (-8) 7

/-- The drafts' dequantizer, `q·scale + zero`. -/
def draftDequantize (q : Int) (scale zero : Rat) : Rat := q * scale + zero

/-- The drafts' code of two weights: the narrow lane's four bits are cut to three. -/
def draftCode (even odd scale zero : Rat) : Nat :=
  packPair (draftQuantize even scale zero) (draftQuantize odd scale zero)

/-- What is restored from the narrow lane of the drafts' code. -/
def draftRestoredOdd (even odd scale zero : Rat) : Rat :=
  draftDequantize (unpackPair (draftCode even odd scale zero)).2 scale zero

end Q35
