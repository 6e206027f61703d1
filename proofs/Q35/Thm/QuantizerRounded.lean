module

public import Q35.Thm.QuantizerBounds
public import Q35.Thm.Float32Grid

@[expose] public noncomputable section

/-!
# What rounding the restored value to float32 adds

A correctly rounded backend restores `roundFloat32` of the exact value, `roundedDequantize`.
-/

namespace Q35

variable {scale : Rat} {narrowGain : Nat}

/-- Rounding moves the value of an integer by at most `u * |value| + 2^(-150)`. -/
theorem roundedDequantize_error_le (q : Int) (scale offset : Rat) (row narrowGain : Nat) :
    abs (roundedDequantize q scale offset row narrowGain - dequantize q scale offset row narrowGain)
      ≤ unitRoundoff * abs (dequantize q scale offset row narrowGain) + minSubnormal / 2 :=
  roundFloat32_error_le_any _

/-- Quantizing the restored float32 of an integer gives that integer back, if the rounding error of its value,
`u * |value| + 2^(-150)`, is below half a step. -/
theorem quantize_roundedDequantize_of_small {row : Nat} {q : Int} (offset : Rat) (hs : 0 < scale)
    (hg : IsNarrowGain narrowGain) (hq : InLane row q)
    (small : unitRoundoff * abs (dequantize q scale offset row narrowGain) + minSubnormal / 2
      < stepOf scale row narrowGain / 2) :
    quantize (roundedDequantize q scale offset row narrowGain) scale offset row narrowGain = q := by
  have rounded := roundedDequantize_error_le q scale offset row narrowGain
  exact quantize_of_near hs hg hq (by grind)

/-- If the rounding error of every value of the lane, `u * |value| + 2^(-150)`, is below half a step, quantizing the
restored float32 of any integer of the lane gives that integer back. -/
theorem quantize_roundedDequantize (offset : Rat) (row : Nat) (hs : 0 < scale) (hg : IsNarrowGain narrowGain)
    (small : ∀ q, InLane row q → unitRoundoff * abs (dequantize q scale offset row narrowGain) + minSubnormal / 2
      < stepOf scale row narrowGain / 2) :
    ∀ q, InLane row q → quantize (roundedDequantize q scale offset row narrowGain) scale offset row narrowGain = q :=
  fun q hq => quantize_roundedDequantize_of_small offset hs hg hq (small q hq)

/-- The restored float32 of any weight is at most `roundedErrorBound` away: the error bound of the exact value, and
`u * |value| + 2^(-150)`. -/
theorem quantize_rounded_error_le (weight offset : Rat) (row : Nat) (hs : 0 < scale) (hg : IsNarrowGain narrowGain) :
    abs (weight - roundedDequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
      ≤ roundedErrorBound weight scale offset row narrowGain := by
  have quantized := quantize_error_le weight offset row hs hg
  have rounded := roundedDequantize_error_le (quantize weight scale offset row narrowGain) scale offset row narrowGain
  simp only [roundedErrorBound]
  rw [abs_sub_comm] at rounded
  generalize roundedDequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain = restored at *
  have triangle := abs_sub_le weight
    (dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain) restored
  grind

end Q35
