module

public import Q35.Spec.Calibration
public import Q35.Thm.QuantizerBounds

@[expose] public noncomputable section

/-!
# What calibration promises before its roundings

`exactCalibrateMinMax` is `calibrateMinMax` without its two roundings to float32; about it the half-step guarantee can
be stated without a remainder. With gain 2 it holds in both lanes; with gain 1 it is false, and holds where
`calibrateMinMax_gain_one_inner` says. What rounding adds is in `CalibrationRounded.lean`.
-/

namespace Q35

/-! ## Least and largest of a group -/

theorem foldl_min_le (first : Rat) (rest : List Rat) :
    rest.foldl min first ≤ first ∧ ∀ w ∈ rest, rest.foldl min first ≤ w := by
  induction rest generalizing first with
  | nil => simp [Rat.le_refl]
  | cons next rest ih =>
    have ⟨le, all⟩ := ih (min first next)
    simp only [List.foldl_cons, List.mem_cons]
    grind

theorem le_foldl_max (first : Rat) (rest : List Rat) :
    first ≤ rest.foldl max first ∧ ∀ w ∈ rest, w ≤ rest.foldl max first := by
  induction rest generalizing first with
  | nil => simp [Rat.le_refl]
  | cons next rest ih =>
    have ⟨le, all⟩ := ih (max first next)
    simp only [List.foldl_cons, List.mem_cons]
    grind

/-- No weight of a group is below its minimum. -/
theorem minimum_le {first : Rat} {rest : List Rat} {w : Rat} (hw : w ∈ first :: rest) : minimum first rest ≤ w := by
  have := foldl_min_le first rest
  grind [minimum]

/-- No weight of a group is above its maximum. -/
theorem le_maximum {first : Rat} {rest : List Rat} {w : Rat} (hw : w ∈ first :: rest) : w ≤ maximum first rest := by
  have := le_foldl_max first rest
  grind [maximum]

/-- The minimum of a group is one of its weights. -/
theorem minimum_mem (first : Rat) (rest : List Rat) : minimum first rest ∈ first :: rest := by
  unfold minimum
  induction rest generalizing first with
  | nil => simp
  | cons next rest ih =>
    have := ih (min first next)
    simp only [List.foldl_cons, List.mem_cons] at *
    grind

/-- The maximum of a group is one of its weights. -/
theorem maximum_mem (first : Rat) (rest : List Rat) : maximum first rest ∈ first :: rest := by
  unfold maximum
  induction rest generalizing first with
  | nil => simp
  | cons next rest ih =>
    have := ih (max first next)
    simp only [List.foldl_cons, List.mem_cons] at *
    grind

/-- No magnitude of a list is above `absMax`. -/
theorem abs_le_absMax {values : List Rat} {x : Rat} (hx : x ∈ values) : abs x ≤ absMax values := by
  have aux (largest : Rat) : largest ≤ values.foldl (fun m v => max m (abs v)) largest
      ∧ ∀ x ∈ values, abs x ≤ values.foldl (fun m v => max m (abs v)) largest := by
    clear hx
    induction values generalizing largest with
    | nil => simp [Rat.le_refl]
    | cons v values ih =>
      have ⟨le, all⟩ := ih (max largest (abs v))
      simp only [List.foldl_cons, List.mem_cons]
      grind
  exact (aux 0).2 x hx

theorem absMax_nonneg (values : List Rat) : 0 ≤ absMax values := by
  cases values with
  | nil => simp [absMax, Rat.le_refl]
  | cons v values =>
    have := abs_le_absMax (values := v :: values) (x := v) (by simp)
    have := abs_nonneg v
    grind

/-! ## The range of a group and its lanes -/

/-- A lane's interval in terms of scale and offset: wide, or narrow with gain 1 or 2. -/
theorem dequantize_ends (scale offset : Rat) (row narrowGain : Nat) (hg : IsNarrowGain narrowGain) :
    (row % 2 = 0 ∧ stepOf scale row narrowGain = scale
      ∧ dequantize (laneLow row) scale offset row narrowGain = offset - 8 * scale
      ∧ dequantize (laneHigh row) scale offset row narrowGain = offset + 7 * scale)
    ∨ (row % 2 = 1 ∧ narrowGain = 1 ∧ stepOf scale row narrowGain = scale
      ∧ dequantize (laneLow row) scale offset row narrowGain = offset - 4 * scale
      ∧ dequantize (laneHigh row) scale offset row narrowGain = offset + 3 * scale)
    ∨ (row % 2 = 1 ∧ narrowGain = 2 ∧ stepOf scale row narrowGain = 2 * scale
      ∧ dequantize (laneLow row) scale offset row narrowGain = offset - 8 * scale
      ∧ dequantize (laneHigh row) scale offset row narrowGain = offset + 6 * scale) := by
  simp only [dequantize, stepOf, laneLow, laneHigh, laneGain]
  rcases Nat.mod_two_eq_zero_or_one row with even | odd
  · left
    simp only [even, if_true]
    push_cast
    grind
  · right
    rcases hg with rfl | rfl
    · left
      simp only [odd]
      push_cast
      grind
    · right
      simp only [odd]
      push_cast
      grind

theorem isNarrowGain_two : IsNarrowGain 2 := Or.inr rfl

theorem isNarrowGain_one : IsNarrowGain 1 := Or.inl rfl

/-- The parameters of a group, unfolded: `scale = (max - min) / 15` and `offset = min + 8 * scale`, or those of a
constant group. -/
theorem exactCalibrateMinMax_eq {first : Rat} {rest : List Rat} {s b : Rat}
    (h : exactCalibrateMinMax (first :: rest) = some (s, b)) :
    0 < s ∧ ((minimum first rest = maximum first rest ∧ s = 1 ∧ b = minimum first rest)
      ∨ (minimum first rest < maximum first rest ∧ 15 * s = maximum first rest - minimum first rest
        ∧ b = minimum first rest + 8 * s)) := by
  have order := le_maximum (minimum_mem first rest)
  rw [exactCalibrateMinMax, exactParametersOfRange] at h
  split at h <;> grind

/-- Before rounding, the scale is positive. -/
theorem exactCalibrateMinMax_scale_pos {group : List Rat} {s b : Rat} (h : exactCalibrateMinMax group = some (s, b)) :
    0 < s := by
  cases group with
  | nil => simp [exactCalibrateMinMax] at h
  | cons first rest => exact (exactCalibrateMinMax_eq h).1

/-- Only an empty group has no parameters. -/
theorem exactCalibrateMinMax_isSome {group : List Rat} : (exactCalibrateMinMax group).isSome ↔ group ≠ [] := by
  cases group <;> simp [exactCalibrateMinMax]

/-- Every weight of a group lies between `b - 8 s` and `b + 7 s`, for the group's unrounded parameters. -/
theorem exactCalibrateMinMax_covers {group : List Rat} {s b w : Rat} (h : exactCalibrateMinMax group = some (s, b))
    (hw : w ∈ group) : b - 8 * s ≤ w ∧ w ≤ b + 7 * s := by
  cases group with
  | nil => simp at hw
  | cons first rest =>
    have := exactCalibrateMinMax_eq h
    have := minimum_le hw
    have := le_maximum hw
    grind

/-- Every weight of a group lies in the interval of the wide lane, for the group's unrounded parameters. -/
theorem calibrateMinMax_covers_wide {group : List Rat} {s b w : Rat} {row : Nat} (narrowGain : Nat)
    (h : exactCalibrateMinMax group = some (s, b)) (hw : w ∈ group) (wide : row % 2 = 0) :
    dequantize (laneLow row) s b row narrowGain ≤ w ∧ w ≤ dequantize (laneHigh row) s b row narrowGain := by
  have := exactCalibrateMinMax_covers h hw
  simp only [dequantize, stepOf, laneLow, laneHigh, laneGain, wide, if_true]
  push_cast
  grind

/-- In a wide row, with either gain and unrounded parameters, the error of every weight of a group is at most
`s / 2`. -/
theorem calibrateMinMax_error_le_wide {group : List Rat} {s b w : Rat} {row narrowGain : Nat}
    (hg : IsNarrowGain narrowGain) (h : exactCalibrateMinMax group = some (s, b)) (hw : w ∈ group)
    (wide : row % 2 = 0) : abs (w - dequantize (quantize w s b row narrowGain) s b row narrowGain) ≤ s / 2 := by
  have covered := calibrateMinMax_covers_wide narrowGain h hw wide
  have := quantize_error_le_half_step (exactCalibrateMinMax_scale_pos h) hg covered.1 covered.2
  have := dequantize_ends s b row narrowGain hg
  grind

/-- With gain 2 a weight of a group lies in a lane's interval or at most `s` above it (in a narrow row, half a step). -/
theorem distanceToLane_le {s b w : Rat} {row : Nat} (hs : 0 < s) (covered : b - 8 * s ≤ w ∧ w ≤ b + 7 * s) :
    distanceToLane w s b row 2 ≤ if row % 2 = 0 then 0 else s := by
  have := dequantize_ends s b row 2 isNarrowGain_two
  rw [distanceToLane]
  grind

/-- With gain 2 and unrounded parameters, the error of every weight of a group is at most half a step, whichever lane
its row belongs to. -/
theorem calibrateMinMax_error_le_half_step {group : List Rat} {s b w : Rat} (row : Nat)
    (h : exactCalibrateMinMax group = some (s, b)) (hw : w ∈ group) :
    abs (w - dequantize (quantize w s b row 2) s b row 2) ≤ stepOf s row 2 / 2 := by
  have hs := exactCalibrateMinMax_scale_pos h
  have distance := distanceToLane_le (row := row) hs (exactCalibrateMinMax_covers h hw)
  have bound := quantize_error_le w b row hs isNarrowGain_two
  have := dequantize_ends s b row 2 isNarrowGain_two
  rw [errorBound] at bound
  grind

/-- That half step is attained: the largest weight of a group that is not constant has it, in a narrow row. -/
theorem calibrateMinMax_half_step_attained_at_max {first : Rat} {rest : List Rat} {s b : Rat} {row : Nat}
    (h : exactCalibrateMinMax (first :: rest) = some (s, b)) (varies : minimum first rest < maximum first rest)
    (narrow : row % 2 = 1) :
    abs (maximum first rest - dequantize (quantize (maximum first rest) s b row 2) s b row 2) = stepOf s row 2 / 2 := by
  have parameters := exactCalibrateMinMax_eq h
  have := dequantize_ends s b row 2 isNarrowGain_two
  rw [quantize_error_outside parameters.1 isNarrowGain_two (by grind), distanceToLane]
  grind

/-- With gain 1 the guarantee is false: of the group `[0, 15]`, whose parameters are exact in float32, the weight 0 is
restored with an error of four steps in a narrow row. -/
theorem calibrateMinMax_gain_one_false : ∃ (group : List Rat) (s b w : Rat) (row : Nat),
    exactCalibrateMinMax group = some (s, b) ∧ calibrateMinMax group = some (s, b) ∧ w ∈ group
      ∧ row % 2 = 1 ∧ stepOf s row 1 / 2 < abs (w - dequantize (quantize w s b row 1) s b row 1) :=
  ⟨[0, 15], 1, 8, 0, 1, by decide +kernel⟩

/-- Where gain 1 keeps the half step in a narrow row: from `min + 3.5 s` to `min + 11.5 s`. -/
theorem calibrateMinMax_gain_one_inner {first : Rat} {rest : List Rat} {s b w : Rat} {row : Nat}
    (h : exactCalibrateMinMax (first :: rest) = some (s, b)) (narrow : row % 2 = 1)
    (above : minimum first rest + 7 / 2 * s ≤ w) (below : w ≤ minimum first rest + 23 / 2 * s)
    (inside : w ≤ maximum first rest) :
    abs (w - dequantize (quantize w s b row 1) s b row 1) ≤ s / 2 := by
  have parameters := exactCalibrateMinMax_eq h
  have bound := quantize_error_le w b row parameters.1 isNarrowGain_one
  have := dequantize_ends s b row 1 isNarrowGain_one
  rw [errorBound, distanceToLane] at bound
  grind

end Q35
