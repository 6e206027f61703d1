module

public import Q35.Thm.Quantizer

@[expose] public noncomputable section

/-!
# What quantization promises: range, order, round trip, and the error of any weight

`scale` is any positive rational, `offset` and the weight are any rationals, `row` is any row, `narrowGain` 1 or 2.
-/

namespace Q35

variable {scale : Rat} {narrowGain : Nat}

/-- A quantized weight is an integer that its row can hold. -/
theorem quantize_in_range (weight scale offset : Rat) (row narrowGain : Nat) :
    InLane row (quantize weight scale offset row narrowGain) :=
  quantizeOnGrid_in_range _ _ _ (laneLow_le_laneHigh row)

/-- A larger weight never gets a smaller integer. -/
theorem quantize_mono {weight weight' : Rat} (offset : Rat) (row : Nat) (hs : 0 < scale) (hg : IsNarrowGain narrowGain)
    (h : weight ≤ weight') :
    quantize weight scale offset row narrowGain ≤ quantize weight' scale offset row narrowGain := by
  have hstep := stepOf_pos row hs hg
  rw [quantize_eq_rne _ _ _ hs hg, quantize_eq_rne _ _ _ hs hg]
  apply clamp_mono
  apply rne_mono
  rw [div_le_iff hstep, Rat.div_mul_cancel (by grind)]
  grind

/-- A weight less than half a step from the value of an integer of its lane is quantized to that integer. -/
theorem quantize_of_near {weight offset : Rat} {row : Nat} {q : Int} (hs : 0 < scale) (hg : IsNarrowGain narrowGain)
    (hq : InLane row q)
    (near : abs (weight - dequantize q scale offset row narrowGain) < stepOf scale row narrowGain / 2) :
    quantize weight scale offset row narrowGain = q := by
  have hstep := stepOf_pos row hs hg
  rw [quantize_eq_rne _ _ _ hs hg]
  rw [dequantize] at near
  generalize stepOf scale row narrowGain = step at *
  have back : (weight - offset) / step * step = weight - offset := Rat.div_mul_cancel (by grind)
  generalize (weight - offset) / step = x at *
  -- In units of a step, `x` is less than one half from `q` and at most one half from the integer it rounds to.
  have close : abs (x - q) < 1 / 2 := by
    rw [abs_lt_iff] at *
    constructor
    · exact Rat.lt_of_mul_lt_mul_right (c := step) (by grind) (by grind)
    · exact Rat.lt_of_mul_lt_mul_right (c := step) (by grind) (by grind)
  have rounded := rne_error_le x
  rw [abs_lt_iff] at close
  rw [abs_le_iff] at rounded
  have above : (rne x : Rat) < ((q + 1 : Int) : Rat) := by push_cast; grind
  have below : ((q - 1 : Int) : Rat) < (rne x : Rat) := by push_cast; grind
  have above : rne x < q + 1 := by exact_mod_cast above
  have below : q - 1 < rne x := by exact_mod_cast below
  rw [show rne x = q by omega, clamp_of_in_range hq.1 hq.2]

/-- Quantizing the exact value of an integer of the lane gives that integer back. -/
theorem quantize_dequantize {row : Nat} {q : Int} (offset : Rat) (hs : 0 < scale) (hg : IsNarrowGain narrowGain)
    (hq : InLane row q) :
    quantize (dequantize q scale offset row narrowGain) scale offset row narrowGain = q := by
  have hstep := stepOf_pos row hs hg
  apply quantize_of_near hs hg hq
  grind [abs]

/-- The three cases of rounding and clamping: at the lowest integer, at the highest, or within half a step. -/
theorem clamp_rne_cases (difference : Rat) {step : Rat} {low high : Int} (hstep : 0 < step) (order : low ≤ high) :
    let q := clamp (rne (difference / step)) low high
    let error := difference - step * q
    (q = low ∧ error ≤ step / 2) ∨ (q = high ∧ -(step / 2) ≤ error) ∨ (-(step / 2) ≤ error ∧ error ≤ step / 2) := by
  have back : difference / step * step = difference := Rat.div_mul_cancel (by grind)
  generalize difference / step = x at *
  have rounded := rne_error_le x
  rw [abs_le_iff] at rounded
  have lower := mul_le_mul_right rounded.1 (Rat.le_of_lt hstep)
  have upper := mul_le_mul_right rounded.2 (Rat.le_of_lt hstep)
  simp only [clamp]
  by_cases below : rne x < low
  · have value : max low (min (rne x) high) = low := by omega
    have le : (rne x : Rat) ≤ (low : Rat) := by exact_mod_cast Int.le_of_lt below
    have := mul_le_mul_right le (Rat.le_of_lt hstep)
    rw [value]
    grind
  · by_cases above : high < rne x
    · have value : max low (min (rne x) high) = high := by omega
      have le : (high : Rat) ≤ (rne x : Rat) := by exact_mod_cast Int.le_of_lt above
      have := mul_le_mul_right le (Rat.le_of_lt hstep)
      rw [value]
      grind
    · have value : max low (min (rne x) high) = rne x := by omega
      rw [value]
      grind

/-- The three cases of quantization: at the lowest integer, at the highest, or within half a step. -/
theorem quantize_cases (weight offset : Rat) (row : Nat) (hs : 0 < scale) (hg : IsNarrowGain narrowGain) :
    let q := quantize weight scale offset row narrowGain
    let error := weight - dequantize q scale offset row narrowGain
    let half := stepOf scale row narrowGain / 2
    (q = laneLow row ∧ error ≤ half) ∨ (q = laneHigh row ∧ -half ≤ error) ∨ (-half ≤ error ∧ error ≤ half) := by
  have cases := clamp_rne_cases (weight - offset) (stepOf_pos row hs hg) (laneLow_le_laneHigh row)
  simp only [dequantize, quantize_eq_rne _ _ _ hs hg] at *
  grind

/-- No integer of the lane has a value nearer to the weight than the one that quantization chooses. -/
theorem quantize_nearest (weight offset : Rat) {row : Nat} {other : Int} (hs : 0 < scale) (hg : IsNarrowGain narrowGain)
    (ho : InLane row other) :
    abs (weight - dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
      ≤ abs (weight - dequantize other scale offset row narrowGain) := by
  have hstep := stepOf_pos row hs hg
  have cases := quantize_cases weight offset row hs hg
  have range := quantize_in_range weight scale offset row narrowGain
  simp only [InLane, dequantize] at *
  generalize quantize weight scale offset row narrowGain = q at *
  generalize stepOf scale row narrowGain = step at *
  -- The values of different integers are at least a step apart.
  rcases Int.lt_trichotomy other q with order | order | order
  · have apart : (other : Rat) + 1 ≤ (q : Rat) := by exact_mod_cast (show other + 1 ≤ q by omega)
    have := mul_le_mul_left apart (Rat.le_of_lt hstep)
    grind [abs]
  · grind
  · have apart : (q : Rat) + 1 ≤ (other : Rat) := by exact_mod_cast (show q + 1 ≤ other by omega)
    have := mul_le_mul_left apart (Rat.le_of_lt hstep)
    grind [abs]

/-- The error of any weight is at most `max(half step, distance of the weight to its lane's interval)`. -/
theorem quantize_error_le (weight offset : Rat) (row : Nat) (hs : 0 < scale) (hg : IsNarrowGain narrowGain) :
    abs (weight - dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
      ≤ errorBound weight scale offset row narrowGain := by
  have hstep := stepOf_pos row hs hg
  have cases := quantize_cases weight offset row hs hg
  simp only at cases
  rw [errorBound, distanceToLane]
  rcases cases with ⟨at_low, _⟩ | ⟨at_high, _⟩ | _
  · rw [at_low] at *
    grind [abs]
  · rw [at_high] at *
    grind [abs]
  · grind [abs]

/-- The error of a weight inside its lane's interval is at most half a step. -/
theorem quantize_error_le_half_step {weight offset : Rat} {row : Nat} (hs : 0 < scale) (hg : IsNarrowGain narrowGain)
    (above : dequantize (laneLow row) scale offset row narrowGain ≤ weight)
    (below : weight ≤ dequantize (laneHigh row) scale offset row narrowGain) :
    abs (weight - dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
      ≤ stepOf scale row narrowGain / 2 := by
  have hstep := stepOf_pos row hs hg
  have bound := quantize_error_le weight offset row hs hg
  rw [errorBound, distanceToLane] at bound
  grind

/-- A weight midway between the values of two integers of the lane goes to the even one. -/
theorem quantize_ties_to_even {weight offset : Rat} {row : Nat} {q : Int} (hs : 0 < scale)
    (hg : IsNarrowGain narrowGain) (hq : InLane row q) (hq' : InLane row (q + 1))
    (midway : 2 * weight = dequantize q scale offset row narrowGain + dequantize (q + 1) scale offset row narrowGain) :
    quantize weight scale offset row narrowGain = if q % 2 = 0 then q else q + 1 := by
  have hstep := stepOf_pos row hs hg
  rw [quantize_eq_rne _ _ _ hs hg]
  simp only [dequantize] at midway
  generalize stepOf scale row narrowGain = step at *
  have fraction : (weight - offset) / step = ((2 * q + 1 : Int) : Rat) / ((2 : Int) : Rat) := by
    push_cast at *
    grind
  rw [fraction, rne_div _ _ (by omega)]
  have even : roundHalfEven (2 * q + 1) 2 = if q % 2 = 0 then q else q + 1 := by
    rw [roundHalfEven_eq]
    omega
  rw [even]
  split
  · exact clamp_of_in_range hq.1 hq.2
  · exact clamp_of_in_range hq'.1 hq'.2

/-- The error of a weight midway between the values of two integers of the lane is exactly half a step. -/
theorem quantize_error_midway {weight offset : Rat} {row : Nat} {q : Int} (hs : 0 < scale)
    (hg : IsNarrowGain narrowGain) (hq : InLane row q) (hq' : InLane row (q + 1))
    (midway : 2 * weight = dequantize q scale offset row narrowGain + dequantize (q + 1) scale offset row narrowGain) :
    abs (weight - dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
      = stepOf scale row narrowGain / 2 := by
  have hstep := stepOf_pos row hs hg
  rw [quantize_ties_to_even hs hg hq hq' midway]
  simp only [dequantize] at *
  push_cast at *
  split
  · grind [abs]
  · push_cast
    grind [abs]

/-- The error of a weight outside its lane's interval is exactly its distance to the interval. -/
theorem quantize_error_outside {weight offset : Rat} {row : Nat} (hs : 0 < scale) (hg : IsNarrowGain narrowGain)
    (outside : weight < dequantize (laneLow row) scale offset row narrowGain
      ∨ dequantize (laneHigh row) scale offset row narrowGain < weight) :
    abs (weight - dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
      = distanceToLane weight scale offset row narrowGain := by
  have order := laneLow_le_laneHigh row
  have hstep := stepOf_pos row hs hg
  have range := quantize_in_range weight scale offset row narrowGain
  have ends : dequantize (laneLow row) scale offset row narrowGain
      ≤ dequantize (laneHigh row) scale offset row narrowGain := by
    have := mul_le_mul_left (intCast_le.mpr order) (Rat.le_of_lt hstep)
    simp only [dequantize]
    grind
  rcases outside with below | above
  · have le := quantize_mono offset row hs hg (Rat.le_of_lt below)
    rw [quantize_dequantize offset hs hg ⟨Int.le_refl _, order⟩] at le
    rw [Int.le_antisymm le range.1, distanceToLane]
    grind [abs]
  · have le := quantize_mono offset row hs hg (Rat.le_of_lt above)
    rw [quantize_dequantize offset hs hg ⟨order, Int.le_refl _⟩] at le
    rw [Int.le_antisymm range.2 le, distanceToLane]
    grind [abs]

/-- The bound is attained: in every lane, for all parameters, some weight inside the interval has an error of exactly
half a step, and every weight outside has an error of exactly its distance to the interval. -/
theorem quantize_error_attained (offset : Rat) (row : Nat) (hs : 0 < scale) (hg : IsNarrowGain narrowGain) :
    (∃ weight, dequantize (laneLow row) scale offset row narrowGain ≤ weight
      ∧ weight ≤ dequantize (laneHigh row) scale offset row narrowGain
      ∧ abs (weight - dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
        = stepOf scale row narrowGain / 2)
    ∧ ∀ weight, weight < dequantize (laneLow row) scale offset row narrowGain
        ∨ dequantize (laneHigh row) scale offset row narrowGain < weight →
      abs (weight - dequantize (quantize weight scale offset row narrowGain) scale offset row narrowGain)
        = distanceToLane weight scale offset row narrowGain := by
  refine ⟨?_, fun _ outside => quantize_error_outside hs hg outside⟩
  have hstep := stepOf_pos row hs hg
  have room : laneLow row + 1 ≤ laneHigh row := by grind [laneLow, laneHigh]
  have ends := mul_le_mul_left (intCast_le.mpr room) (Rat.le_of_lt hstep)
  push_cast at ends
  -- Midway between the two lowest values.
  refine ⟨dequantize (laneLow row) scale offset row narrowGain + stepOf scale row narrowGain / 2, ?_, ?_, ?_⟩
  · grind
  · simp only [dequantize]
    grind
  · apply quantize_error_midway hs hg (q := laneLow row) ⟨Int.le_refl _, by omega⟩ ⟨by omega, room⟩
    simp only [dequantize]
    push_cast
    grind

end Q35
