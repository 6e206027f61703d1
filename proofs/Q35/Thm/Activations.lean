module

public import Q35.Spec.Activations
public import Q35.Thm.Calibration
public import Q35.Thm.CalibrationScale

@[expose] public noncomputable section

/-!
# What quantization of activations promises

A row's int8 values lie in `-127 .. 127`. With the unrounded scale `absmax / 127` every error is at most half a step;
with the scale that the format stores, rounded to float32, too, unless the row is tiny.
-/

namespace Q35

/-- Quantization of an activation is `clamp(rne(value / scale), -127, 127)`, as the format says. -/
theorem quantizeActivation_eq_rne (value : Rat) {scale : Rat} (hs : 0 < scale) :
    quantizeActivation value scale = clamp (rne (value / scale)) (-activationLimit) activationLimit := by
  simp only [quantizeActivation, quantizeOnGrid]
  have hcommon : (0 : Rat) < (Nat.lcm value.den scale.den : Rat) := by
    exact_mod_cast Nat.lcm_pos value.den_pos scale.den_pos
  have hvalue := numeratorOver_cast (Nat.dvd_lcm_left value.den scale.den)
  have hscale := numeratorOver_cast (Nat.dvd_lcm_right value.den scale.den)
  generalize Nat.lcm value.den scale.den = common at *
  have positive : 0 < numeratorOver common scale := by
    have := Rat.mul_pos hs hcommon
    rw [← hscale] at this
    exact_mod_cast this
  rw [← rne_div _ _ positive]
  congr 2
  push_cast
  rw [hvalue, hscale]
  grind

/-- Any value over any scale becomes an integer of `-127 .. 127`. -/
theorem quantizeActivation_in_range (value scale : Rat) :
    -127 ≤ quantizeActivation value scale ∧ quantizeActivation value scale ≤ 127 :=
  quantizeOnGrid_in_range _ _ _ (by decide)

/-- Every value of a quantized row lies in `-127 .. 127`. -/
theorem quantizeActivations_in_range (row : List Rat) : ∀ a ∈ (quantizeActivations row).2, -127 ≤ a ∧ a ≤ 127 := by
  intro a ha
  obtain ⟨x, _, rfl⟩ := List.mem_map.mp ha
  exact quantizeActivation_in_range _ _

/-- A quantized row is as long as the row. -/
theorem quantizeActivations_length (row : List Rat) : (quantizeActivations row).2.length = row.length :=
  List.length_map _

/-- The error of any value over any positive scale is at most `max(half step, |value| - 127 scale)`. -/
theorem quantizeActivation_error_le (value : Rat) {scale : Rat} (hs : 0 < scale) :
    abs (value - scale * quantizeActivation value scale) ≤ max (scale / 2) (abs value - 127 * scale) := by
  have cases := clamp_rne_cases value hs (low := -activationLimit) (high := activationLimit) (by decide)
  simp only [← quantizeActivation_eq_rne value hs] at cases
  rcases cases with ⟨at_low, _⟩ | ⟨at_high, _⟩ | _
  · rw [at_low, activationLimit] at *
    push_cast at *
    grind [abs]
  · rw [at_high, activationLimit] at *
    push_cast at *
    grind [abs]
  · grind [abs]

/-- The unrounded scale is positive. -/
theorem exactActivationScale_pos (row : List Rat) : 0 < exactActivationScale row := by
  have := absMax_nonneg row
  rw [exactActivationScale]
  grind

/-- No value of a row is larger in magnitude than 127 unrounded scales. -/
theorem abs_le_exactActivationScale {row : List Rat} {x : Rat} (hx : x ∈ row) :
    abs x ≤ 127 * exactActivationScale row := by
  have := abs_le_absMax hx
  rw [exactActivationScale]
  grind

/-- With the unrounded scale, the error of every value of the row is at most half a step. -/
theorem quantizeActivations_error_le_half_step {row : List Rat} {x : Rat} (hx : x ∈ row) :
    abs (x - exactActivationScale row * quantizeActivation x (exactActivationScale row))
      ≤ exactActivationScale row / 2 := by
  have hs := exactActivationScale_pos row
  have bound := quantizeActivation_error_le x hs
  have := abs_le_exactActivationScale hx
  grind

/-! ## With the scale rounded to float32 -/

/-- The scale of a row is positive. -/
theorem activationScale_pos (row : List Rat) : 0 < activationScale row := by
  have := absMax_nonneg row
  rw [activationScale]
  split
  · exact (by decide : (0 : Rat) < 1)
  · exact orMinSubnormal_pos (by grind)

/-- The scale of a row of finite float32s is a finite float32: nothing overflows. -/
theorem activationScale_isFloat32 {row : List Rat} (finite : absMax row ≤ 2 ^ 128 - 2 ^ 104) :
    IsFloat32 (activationScale row) := by
  have nonneg := absMax_nonneg row
  rw [activationScale]
  split
  · exact (by decide +kernel : IsFloat32 1)
  · refine orMinSubnormal_isFloat32 ?_ ?_ <;> grind

/-- Rounding moves the scale of a row by at most `u * s + 2^(-149)`. -/
theorem activationScale_error_le (row : List Rat) :
    abs (activationScale row - exactActivationScale row) ≤ unitRoundoff * exactActivationScale row + minSubnormal := by
  have nonneg := absMax_nonneg row
  have := minSubnormal_pos
  rw [activationScale, exactActivationScale]
  split
  · rw [unitRoundoff_eq]
    grind [abs]
  · exact orMinSubnormal_error_le (by grind)

/-- With the row's rounded scale `s'`, the error of every value is at most `max(s' / 2, 127 |s' - s|)`. -/
theorem quantizeActivations_rounded_error_le {row : List Rat} {x : Rat} (hx : x ∈ row) :
    abs (x - activationScale row * quantizeActivation x (activationScale row))
      ≤ max (activationScale row / 2) (127 * abs (activationScale row - exactActivationScale row)) := by
  have bound := quantizeActivation_error_le x (activationScale_pos row)
  have := abs_le_exactActivationScale hx
  have := neg_le_abs (activationScale row - exactActivationScale row)
  grind

/-- The same in terms of what rounding may do: at most `max(s' / 2, 127 (u s + 2^(-149)))`. -/
theorem quantizeActivations_float32_error_le {row : List Rat} {x : Rat} (hx : x ∈ row) :
    abs (x - activationScale row * quantizeActivation x (activationScale row))
      ≤ max (activationScale row / 2) (127 * (unitRoundoff * exactActivationScale row + minSubnormal)) := by
  have bound := quantizeActivations_rounded_error_le hx
  have := activationScale_error_le row
  grind

/-- Unless the row is tiny, its rounded scale keeps the half step: every error is at most `s' / 2`. -/
theorem quantizeActivations_rounded_error_le_half_step {row : List Rat} {x : Rat} (hx : x ∈ row)
    (large : 1 / 2 ^ 140 ≤ exactActivationScale row) :
    abs (x - activationScale row * quantizeActivation x (activationScale row)) ≤ activationScale row / 2 := by
  have bound := quantizeActivations_float32_error_le hx
  have error := activationScale_error_le row
  have tiny : (1 : Rat) / 2 ^ 140 = 512 * minSubnormal := by decide +kernel
  have := minSubnormal_pos
  rw [unitRoundoff_eq] at *
  rw [abs_le_iff] at error
  generalize minSubnormal = smallest at *
  generalize exactActivationScale row = s at *
  generalize activationScale row = s' at *
  generalize abs (x - s' * (quantizeActivation x s' : Rat)) = e at *
  rw [tiny] at large
  grind

/-- What `quantizeActivations` returns, value by value: each error is at most `max(s' / 2, 127 |s' - s|)`. -/
theorem quantizeActivations_pairs_error_le {row : List Rat} {x : Rat} {a : Int}
    (h : (x, a) ∈ row.zip (quantizeActivations row).2) :
    abs (x - (quantizeActivations row).1 * a)
      ≤ max (activationScale row / 2) (127 * abs (activationScale row - exactActivationScale row)) := by
  rw [quantizeActivations, List.zip_map_right] at h
  simp only [List.mem_map, Prod.exists, Prod.map] at h
  obtain ⟨y, z, hmem, heq⟩ := h
  have diagonal : y = z := by
    clear heq
    induction row with
    | nil => simp at hmem
    | cons first rest ih =>
      simp only [List.zip_cons_cons, List.mem_cons] at hmem
      grind
  have hx : y ∈ row := (List.of_mem_zip hmem).1
  have bound := quantizeActivations_rounded_error_le hx
  simp only [quantizeActivations]
  grind

end Q35
