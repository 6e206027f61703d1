module

public import Q35.Thm.CalibrationRounded

@[expose] public noncomputable section

/-!
# What symmetric calibration promises

The lanes are centred on zero. In the statements `absmax / 7` is the scale before its rounding.
-/

namespace Q35

/-- With `s = absmax / 7` and offset 0, every weight of the group lies between `-7 s` and `7 s`. -/
theorem calibrateSymmetric_covers {group : List Rat} {w : Rat} (hw : w ∈ group) :
    -(7 * (absMax group / 7)) ≤ w ∧ w ≤ 7 * (absMax group / 7) := by
  have := abs_le_absMax hw
  grind [abs]

/-- With gain 2 and the unrounded scale `absmax / 7`, the error of every weight of a group that is not all zero is at
most half a step, whichever lane its row belongs to. -/
theorem calibrateSymmetric_error {group : List Rat} {w : Rat} (row : Nat) (hw : w ∈ group)
    (nonzero : absMax group ≠ 0) :
    abs (w - dequantize (quantize w (absMax group / 7) 0 row 2) (absMax group / 7) 0 row 2)
      ≤ stepOf (absMax group / 7) row 2 / 2 := by
  have hs : 0 < absMax group / 7 := by
    have := absMax_nonneg group
    grind
  have covered := calibrateSymmetric_covers hw
  generalize absMax group / 7 = s at *
  have distance := distanceToLane_le (row := row) (b := 0) (w := w) hs (by grind)
  have bound := quantize_error_le w 0 row hs isNarrowGain_two
  have := dequantize_ends s 0 row 2 isNarrowGain_two
  rw [errorBound] at bound
  grind

/-- The parameters of a group that is not all zero: `RN32(absmax / 7)`, never zero, and offset 0. -/
theorem calibrateSymmetric_eq {group : List Rat} {s' b' : Rat} (h : calibrateSymmetric group = some (s', b'))
    (nonzero : absMax group ≠ 0) : s' = orMinSubnormal (roundFloat32 (absMax group / 7)) ∧ b' = 0 := by
  cases group with
  | nil => simp [calibrateSymmetric] at h
  | cons first rest =>
    simp only [calibrateSymmetric, if_neg nonzero] at h
    grind

/-- The scale of a group is positive and the value of a float32, and the offset is 0. -/
theorem calibrateSymmetric_scale_pos {group : List Rat} {s' b' : Rat} (h : calibrateSymmetric group = some (s', b')) :
    0 < s' ∧ roundFloat32 s' = s' ∧ b' = 0 := by
  by_cases zero : absMax group = 0
  · cases group with
    | nil => simp [calibrateSymmetric] at h
    | cons first rest =>
      simp only [calibrateSymmetric, if_pos zero] at h
      have one : roundFloat32 1 = 1 := by decide +kernel
      grind
  · have ⟨scale, offset⟩ := calibrateSymmetric_eq h zero
    have nonneg := absMax_nonneg group
    rw [scale]
    exact ⟨orMinSubnormal_pos (by grind), roundFloat32_orMinSubnormal _, offset⟩

/-- The scale of a group of finite float32s is a finite float32: nothing overflows. -/
theorem calibrateSymmetric_isFloat32 {group : List Rat} {s' b' : Rat} (h : calibrateSymmetric group = some (s', b'))
    (finite : absMax group ≤ 2 ^ 128 - 2 ^ 104) : IsFloat32 s' := by
  by_cases zero : absMax group = 0
  · cases group with
    | nil => simp [calibrateSymmetric] at h
    | cons first rest =>
      simp only [calibrateSymmetric, if_pos zero, Option.some.injEq, Prod.mk.injEq] at h
      rw [← h.1]
      decide +kernel
  · have nonneg := absMax_nonneg group
    rw [(calibrateSymmetric_eq h zero).1]
    refine orMinSubnormal_isFloat32 ?_ ?_ <;> grind

/-- An all-zero group gets scale 1, and its weights are restored exactly. -/
theorem calibrateSymmetric_zero {first : Rat} {rest : List Rat} (zero : absMax (first :: rest) = 0) :
    calibrateSymmetric (first :: rest) = some (1, 0) ∧ ∀ w ∈ first :: rest, ∀ row narrowGain,
      IsNarrowGain narrowGain → dequantize (quantize w 1 0 row narrowGain) 1 0 row narrowGain = w := by
  constructor
  · simp only [calibrateSymmetric, if_pos zero]
  · intro w hw row narrowGain hg
    have small := abs_le_absMax hw
    have w_eq : w = 0 := by grind [abs]
    have restored : dequantize 0 1 0 row narrowGain = 0 := by
      rw [dequantize]
      push_cast
      grind
    have inverse := quantize_dequantize (scale := 1) (row := row) (q := 0) 0 (by decide) hg
      (by grind [InLane, laneLow, laneHigh])
    rw [restored] at inverse
    rw [w_eq, inverse, restored]

/-- With the rounded scale and gain 2, the error of a weight of a group that is not all zero is at most half a step, or
`absmax / 7` in a narrow row and 0 in a wide one plus `8 |s' - absmax / 7|`; that last term is at most
`8 (u absmax / 7 + 2^(-149))`. -/
theorem calibrateSymmetric_rounded {group : List Rat} {s' b' w : Rat} (row : Nat)
    (h : calibrateSymmetric group = some (s', b')) (hw : w ∈ group) (nonzero : absMax group ≠ 0) :
    abs (s' - absMax group / 7) ≤ unitRoundoff * (absMax group / 7) + minSubnormal
    ∧ abs (w - dequantize (quantize w s' b' row 2) s' b' row 2)
      ≤ max (stepOf s' row 2 / 2)
        ((if row % 2 = 0 then 0 else absMax group / 7) + 8 * abs (s' - absMax group / 7)) := by
  have pos := (calibrateSymmetric_scale_pos h).1
  have ⟨scale, offset⟩ := calibrateSymmetric_eq h nonzero
  have covered := calibrateSymmetric_covers hw
  have nonneg := absMax_nonneg group
  have hs : 0 < absMax group / 7 := by grind
  have error := orMinSubnormal_error_le (Rat.le_of_lt hs)
  rw [← scale] at error
  generalize absMax group / 7 = s at *
  have perturbed := distanceToLane_perturbed w s 0 s' b' row isNarrowGain_two
  have distance := distanceToLane_le (row := row) (b := 0) (w := w) hs (by grind)
  have bound := quantize_error_le w b' row pos isNarrowGain_two
  rw [errorBound] at bound
  exact ⟨error, by grind [abs]⟩

end Q35
