module

public import Q35.Thm.Calibration
public import Q35.Thm.CalibrationScale

@[expose] public noncomputable section

/-!
# What the roundings of calibration add

With rounded parameters `s'`, `b'` the distance of any weight to a lane grows by at most `|b' - b| + 8 |s' - s|`, and
rounding to float32 bounds both terms. In the statements `s` and `b` are the unrounded parameters.
-/

namespace Q35

/-! ## Perturbed parameters -/

/-- No integer of a lane is more than 8 steps of the wide lane away from the offset. -/
theorem gain_mul_le {row : Nat} {q : Int} {narrowGain : Nat} (hg : IsNarrowGain narrowGain) (hq : InLane row q) :
    abs ((laneGain row narrowGain : Rat) * (q : Rat)) ≤ 8 := by
  have bound : -8 ≤ (laneGain row narrowGain : Int) * q ∧ (laneGain row narrowGain : Int) * q ≤ 8 := by
    simp only [InLane, laneLow, laneHigh, laneGain] at *
    rcases hg with rfl | rfl <;> split at hq <;> split <;> omega
  have cast : (laneGain row narrowGain : Rat) * (q : Rat) = (((laneGain row narrowGain : Int) * q : Int) : Rat) := by
    push_cast
    rfl
  have low := intCast_le.mpr bound.1
  have high := intCast_le.mpr bound.2
  rw [abs_le_iff, cast]
  push_cast at *
  exact ⟨low, high⟩

/-- Other parameters move the value of an integer of the lane by at most `|b' - b| + 8 |s' - s|`. -/
theorem dequantize_perturbed (s b s' b' : Rat) {row : Nat} {q : Int} {narrowGain : Nat} (hg : IsNarrowGain narrowGain)
    (hq : InLane row q) : abs (dequantize q s' b' row narrowGain - dequantize q s b row narrowGain)
      ≤ abs (b' - b) + 8 * abs (s' - s) := by
  have moved : dequantize q s' b' row narrowGain - dequantize q s b row narrowGain
      = (s' - s) * ((laneGain row narrowGain : Rat) * (q : Rat)) + (b' - b) := by
    simp only [dequantize, stepOf]
    grind
  have triangle := abs_add_le ((s' - s) * ((laneGain row narrowGain : Rat) * (q : Rat))) (b' - b)
  rw [abs_mul] at triangle
  have := mul_le_mul_left (gain_mul_le hg hq) (abs_nonneg (s' - s))
  rw [moved]
  grind

/-- Other parameters change the distance of a weight to a lane by at most `|b' - b| + 8 |s' - s|`. -/
theorem distanceToLane_perturbed (w s b s' b' : Rat) (row : Nat) {narrowGain : Nat} (hg : IsNarrowGain narrowGain) :
    distanceToLane w s' b' row narrowGain ≤ distanceToLane w s b row narrowGain + abs (b' - b) + 8 * abs (s' - s) := by
  have order := laneLow_le_laneHigh row
  have low := dequantize_perturbed s b s' b' (row := row) (q := laneLow row) hg ⟨Int.le_refl _, order⟩
  have high := dequantize_perturbed s b s' b' (row := row) (q := laneHigh row) hg ⟨order, Int.le_refl _⟩
  rw [abs_le_iff] at low high
  rw [distanceToLane, distanceToLane]
  have := abs_nonneg (b' - b)
  have := abs_nonneg (s' - s)
  generalize abs (b' - b) = db at *
  generalize abs (s' - s) = ds at *
  grind

/-! ## Min-max -/

/-- The parameters of a group, unfolded, for a group that is not constant. -/
theorem calibrateMinMax_eq {first : Rat} {rest : List Rat} {s' b' : Rat}
    (h : calibrateMinMax (first :: rest) = some (s', b')) (varies : minimum first rest < maximum first rest) :
    s' = orMinSubnormal (roundFloat32 ((maximum first rest - minimum first rest) / 15))
      ∧ b' = roundFloat32 (minimum first rest + 8 * s') := by
  rw [calibrateMinMax, parametersOfRange, if_neg (by grind)] at h
  grind

/-- The scale of a group is positive. -/
theorem parametersOfRange_scale_pos {low high : Rat} (h : low ≤ high) : 0 < (parametersOfRange low high).1 := by
  rw [parametersOfRange]
  split
  · exact (by decide : (0 : Rat) < 1)
  · exact orMinSubnormal_pos (by grind)

/-- The scale of a group is positive. -/
theorem calibrateMinMax_scale_pos {group : List Rat} {s' b' : Rat} (h : calibrateMinMax group = some (s', b')) :
    0 < s' := by
  cases group with
  | nil => simp [calibrateMinMax] at h
  | cons first rest =>
    have := parametersOfRange_scale_pos (le_maximum (minimum_mem first rest))
    rw [calibrateMinMax, Option.some.injEq] at h
    rwa [h] at this

/-- Only an empty group has no parameters. -/
theorem calibrateMinMax_isSome {group : List Rat} : (calibrateMinMax group).isSome ↔ group ≠ [] := by
  cases group <;> simp [calibrateMinMax]

/-- Scale and offset of a finite range are values of finite float32s. -/
theorem parametersOfRange_isFloat32 {low high : Rat} (order : low ≤ high) (hlow : -(2 ^ 128 - 2 ^ 104) ≤ low)
    (hhigh : high ≤ 2 ^ 128 - 2 ^ 104) :
    IsFloat32 (parametersOfRange low high).1 ∧ IsFloat32 (parametersOfRange low high).2 := by
  have large : (1 : Rat) ≤ 2 ^ 128 - 2 ^ 104 := by decide +kernel
  have rounds {x : Rat} := roundFloat32_isFloat32 (x := x)
  have scales {x : Rat} := orMinSubnormal_isFloat32 (x := x)
  generalize (2 : Rat) ^ 128 - 2 ^ 104 = largest at *
  rw [parametersOfRange]
  split
  · exact ⟨(by decide +kernel : IsFloat32 1), rounds (by grind) (by grind)⟩
  · have length : 0 ≤ (high - low) / 15 := by grind
    have pos := orMinSubnormal_pos length
    have error := orMinSubnormal_error_le length
    have small : minSubnormal ≤ 1 / 16 := by decide +kernel
    rw [unitRoundoff_eq, abs_le_iff] at error
    have finite := scales length (by grind)
    simp only
    generalize orMinSubnormal (roundFloat32 ((high - low) / 15)) = scale at *
    generalize minSubnormal = tiny at *
    exact ⟨finite, rounds (by grind) (by grind)⟩

/-- The parameters of a group of finite float32s are finite float32s: nothing overflows. -/
theorem calibrateMinMax_isFloat32 {group : List Rat} {s' b' : Rat} (h : calibrateMinMax group = some (s', b'))
    (finite : ∀ w ∈ group, abs w ≤ 2 ^ 128 - 2 ^ 104) : IsFloat32 s' ∧ IsFloat32 b' := by
  cases group with
  | nil => simp [calibrateMinMax] at h
  | cons first rest =>
    have low := finite _ (minimum_mem first rest)
    have high := finite _ (maximum_mem first rest)
    rw [abs_le_iff] at low high
    have := parametersOfRange_isFloat32 (le_maximum (minimum_mem first rest)) low.1 high.2
    rw [calibrateMinMax, Option.some.injEq] at h
    rwa [h] at this

/-- A constant group of a float32 gets scale 1 and its value as offset; its weights are quantized to 0 and restored
exactly, whichever lane their rows belong to. -/
theorem calibrateMinMax_constant {first v : Rat} {rest : List Rat} (constant : ∀ w ∈ first :: rest, w = v)
    (float32 : roundFloat32 v = v) :
    calibrateMinMax (first :: rest) = some (1, v) ∧ ∀ row narrowGain, IsNarrowGain narrowGain →
      quantize v 1 v row narrowGain = 0 ∧ dequantize 0 1 v row narrowGain = v
        ∧ roundedDequantize 0 1 v row narrowGain = v := by
  have low := constant _ (minimum_mem first rest)
  have high := constant _ (maximum_mem first rest)
  constructor
  · rw [calibrateMinMax, low, high, parametersOfRange, if_pos rfl, float32]
  · intro row narrowGain hg
    have restored : dequantize 0 1 v row narrowGain = v := by
      rw [dequantize]
      push_cast
      grind
    have inverse := quantize_dequantize (scale := 1) (row := row) (q := 0) v (by decide) hg
      (by grind [InLane, laneLow, laneHigh])
    rw [restored] at inverse
    exact ⟨inverse, restored, by rw [roundedDequantize, restored, float32]⟩

/-- Rounding moves the scale of a group by at most `u * s + 2^(-149)`. -/
theorem calibrateMinMax_scale_error_le {group : List Rat} {s b s' b' : Rat} (h : calibrateMinMax group = some (s', b'))
    (exact : exactCalibrateMinMax group = some (s, b)) : abs (s' - s) ≤ unitRoundoff * s + minSubnormal := by
  cases group with
  | nil => simp [calibrateMinMax] at h
  | cons first rest =>
    have := exactCalibrateMinMax_eq exact
    have := minSubnormal_pos
    by_cases varies : minimum first rest < maximum first rest
    · have s_eq : s = (maximum first rest - minimum first rest) / 15 := by grind
      rw [(calibrateMinMax_eq h varies).1, s_eq]
      exact orMinSubnormal_error_le (by grind)
    · rw [calibrateMinMax, parametersOfRange, if_pos (by grind)] at h
      rw [unitRoundoff_eq]
      grind [abs]

/-- Rounding moves the offset of a group that is not constant by at most `8 |s' - s|` and one rounding of
`min + 8 s'`. -/
theorem calibrateMinMax_offset_error_le {first : Rat} {rest : List Rat} {s b s' b' : Rat}
    (h : calibrateMinMax (first :: rest) = some (s', b')) (exact : exactCalibrateMinMax (first :: rest) = some (s, b))
    (varies : minimum first rest < maximum first rest) :
    abs (b' - b) ≤ 8 * abs (s' - s) + (unitRoundoff * abs (minimum first rest + 8 * s') + minSubnormal / 2) := by
  have parameters := exactCalibrateMinMax_eq exact
  have rounded := (calibrateMinMax_eq h varies).2
  have error := roundFloat32_error_le_any (minimum first rest + 8 * s')
  rw [← rounded] at error
  have b_eq : b = minimum first rest + 8 * s := by grind
  rw [b_eq]
  grind [abs]

/-- With the rounded parameters, the distance of a weight to a lane is at most `|b' - b| + 8 |s' - s|` larger than with
the unrounded ones, for either gain. So with gain 2 the error of a weight of the group is at most half a step, or `s` in
a narrow row and 0 in a wide one plus those terms. -/
theorem calibrateMinMax_rounded {group : List Rat} {s b s' b' w : Rat} (row : Nat)
    (h : calibrateMinMax group = some (s', b')) (exact : exactCalibrateMinMax group = some (s, b)) (hw : w ∈ group) :
    0 < s'
    ∧ (∀ narrowGain, IsNarrowGain narrowGain → distanceToLane w s' b' row narrowGain
      ≤ distanceToLane w s b row narrowGain + abs (b' - b) + 8 * abs (s' - s))
    ∧ abs (w - dequantize (quantize w s' b' row 2) s' b' row 2)
      ≤ max (stepOf s' row 2 / 2) ((if row % 2 = 0 then 0 else s) + abs (b' - b) + 8 * abs (s' - s)) := by
  have pos := calibrateMinMax_scale_pos h
  have perturbed := distanceToLane_perturbed w s b s' b' row isNarrowGain_two
  have distance := distanceToLane_le (row := row) (exactCalibrateMinMax_scale_pos exact)
    (exactCalibrateMinMax_covers exact hw)
  have bound := quantize_error_le w b' row pos isNarrowGain_two
  rw [errorBound] at bound
  exact ⟨pos, fun _ hg => distanceToLane_perturbed w s b s' b' row hg, by grind⟩

/-- The same in terms of what rounding may do: for a group that is not constant, with gain 2, the error is at most half
a step, or `s` in a narrow row and 0 in a wide one plus `16 (u s + 2^(-149))` and one rounding of `min + 8 s'`. -/
theorem calibrateMinMax_rounded_error_le {first : Rat} {rest : List Rat} {s b s' b' w : Rat} (row : Nat)
    (h : calibrateMinMax (first :: rest) = some (s', b')) (exact : exactCalibrateMinMax (first :: rest) = some (s, b))
    (varies : minimum first rest < maximum first rest) (hw : w ∈ first :: rest) :
    abs (w - dequantize (quantize w s' b' row 2) s' b' row 2)
      ≤ max (stepOf s' row 2 / 2) ((if row % 2 = 0 then 0 else s) + 16 * (unitRoundoff * s + minSubnormal)
        + (unitRoundoff * abs (minimum first rest + 8 * s') + minSubnormal / 2)) := by
  have bound := (calibrateMinMax_rounded row h exact hw).2.2
  have scale_error := calibrateMinMax_scale_error_le h exact
  have offset_error := calibrateMinMax_offset_error_le h exact varies
  grind

end Q35
