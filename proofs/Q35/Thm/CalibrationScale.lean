module

public import Q35.Spec.Calibration
public import Q35.Thm.Float32Grid

@[expose] public noncomputable section

/-!
# A scale rounded to float32

Every scale of the format is `orMinSubnormal (roundFloat32 x)`: it is positive, a float32, and close to `x`.
-/

namespace Q35

theorem minSubnormal_pos : 0 < minSubnormal := by decide +kernel

theorem unitRoundoff_eq : unitRoundoff = 1 / 16777216 := by decide +kernel

/-- A rounded scale is positive. -/
theorem orMinSubnormal_pos {x : Rat} (h : 0 ≤ x) : 0 < orMinSubnormal (roundFloat32 x) := by
  have := roundFloat32_nonneg h
  have := minSubnormal_pos
  rw [orMinSubnormal]
  grind

/-- A rounded scale is a value of float32. -/
theorem roundFloat32_orMinSubnormal (x : Rat) :
    roundFloat32 (orMinSubnormal (roundFloat32 x)) = orMinSubnormal (roundFloat32 x) := by
  rw [orMinSubnormal]
  split
  · decide +kernel
  · exact roundFloat32_roundFloat32 x

/-- Rounding moves a positive scale by at most `u * scale + 2^(-149)`. -/
theorem orMinSubnormal_error_le {x : Rat} (h : 0 ≤ x) :
    abs (orMinSubnormal (roundFloat32 x) - x) ≤ unitRoundoff * x + minSubnormal := by
  have error := roundFloat32_error_le_any x
  have := minSubnormal_pos
  rw [abs_of_nonneg h] at error
  rw [unitRoundoff_eq] at *
  rw [orMinSubnormal]
  grind [abs]

/-- The largest finite float32, in digits, so that the kernel need not compute its powers again and again. -/
theorem largest_eq : (2 : Rat) ^ 128 - 2 ^ 104 = 340282346638528859811704183484516925440 := by decide +kernel

/-- Nothing up to the largest finite float32 and a little above it overflows. -/
theorem roundFloat32_isFloat32 {x : Rat} (above : -(2 ^ 128 - 2 ^ 104) ≤ x) (below : x ≤ 2 ^ 128 - 2 ^ 104 + 1) :
    IsFloat32 (roundFloat32 x) := by
  rw [largest_eq] at above below
  have upper := roundFloat32_mono below
  have lower := roundFloat32_mono above
  have top : roundFloat32 (340282346638528859811704183484516925440 + 1) = 340282346638528859811704183484516925440 := by
    decide +kernel
  have bottom : roundFloat32 (-340282346638528859811704183484516925440) = -340282346638528859811704183484516925440 := by
    decide +kernel
  have limit : (340282346638528859811704183484516925440 : Rat) < 2 ^ 128 := by decide +kernel
  rw [top] at upper
  rw [bottom] at lower
  refine ⟨roundFloat32_roundFloat32 x, ?_⟩
  have := abs_le_iff.mpr ⟨lower, upper⟩
  generalize (340282346638528859811704183484516925440 : Rat) = largest at *
  generalize (2 : Rat) ^ 128 = overflow at *
  grind

/-- A rounded scale is a finite float32. -/
theorem orMinSubnormal_isFloat32 {x : Rat} (nonneg : 0 ≤ x) (finite : x ≤ 2 ^ 128 - 2 ^ 104) :
    IsFloat32 (orMinSubnormal (roundFloat32 x)) := by
  rw [orMinSubnormal]
  split
  · decide +kernel
  · have large : (0 : Rat) ≤ 2 ^ 128 - 2 ^ 104 := by decide +kernel
    exact roundFloat32_isFloat32 (by grind) (by grind)

end Q35
