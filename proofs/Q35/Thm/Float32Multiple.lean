module

public import Q35.Thm.Float32Grid

@[expose] public noncomputable section

/-!
# Integer multiples of the smallest float32, for which rounding has no underflow term

Every float32 is a multiple of `2^(-149)`, and so are its products with integers and sums of such: that is why the
bound on the float32 epilogue needs no absolute term.
-/

namespace Q35

/-- `x` is an integer multiple of `2^(-149)`. -/
def IsMultiple (x : Rat) : Prop := ∃ m : Int, x = m * minSubnormal

theorem minSubnormal_eq : minSubnormal = pow2 (-149) := by decide +kernel

theorem isMultiple_zero : IsMultiple 0 := ⟨0, by rw [show ((0 : Int) : Rat) = 0 from rfl, Rat.zero_mul]⟩

theorem isMultiple_add {x y : Rat} (hx : IsMultiple x) (hy : IsMultiple y) : IsMultiple (x + y) := by
  obtain ⟨m, rfl⟩ := hx
  obtain ⟨n, rfl⟩ := hy
  exact ⟨m + n, by rw [Rat.intCast_add, Rat.add_mul]⟩

theorem isMultiple_neg {x : Rat} (hx : IsMultiple x) : IsMultiple (-x) := by
  obtain ⟨m, rfl⟩ := hx
  exact ⟨-m, by rw [Rat.intCast_neg, Rat.neg_mul]⟩

theorem isMultiple_mul_int {x : Rat} (hx : IsMultiple x) (n : Int) : IsMultiple (x * n) := by
  obtain ⟨m, rfl⟩ := hx
  exact ⟨m * n, by rw [Rat.intCast_mul]; grind⟩

theorem isMultiple_intCast (n : Int) : IsMultiple n := by
  refine ⟨n * 2 ^ 149, ?_⟩
  have : ((n * 2 ^ 149 : Int) : Rat) = n * ((2 ^ 149 : Int) : Rat) := Rat.intCast_mul _ _
  have unit : ((2 ^ 149 : Int) : Rat) * minSubnormal = 1 := by decide +kernel
  rw [this, Rat.mul_assoc, unit, Rat.mul_one]

/-- Every rounded number is an integer multiple of `2^(-149)`. -/
theorem roundFloat32_multiple (x : Rat) : IsMultiple (roundFloat32 x) := by
  obtain ⟨n, hn⟩ := multiple_of_le (m := rne (x * pow2 (-exponentOf x))) (exponentOf_ge x)
  exact ⟨n, by rw [roundFloat32_eq_rne, hn, minSubnormal_eq]⟩

/-- What rounding fixes is an integer multiple of `2^(-149)`. -/
theorem isMultiple_of_fixed {x : Rat} (h : roundFloat32 x = x) : IsMultiple x := h ▸ roundFloat32_multiple x

/-- For integer multiples of `2^(-149)` the error is purely relative: below `2^(-126)` there is none. -/
theorem roundFloat32_error_le_of_multiple {x : Rat} (h : IsMultiple x) :
    abs (roundFloat32 x - x) ≤ unitRoundoff * abs x := by
  rcases Rat.le_total (a := pow2 (-126)) (b := abs x) with large | small
  · exact (roundFloat32_error_le x).1 large
  · obtain ⟨m, rfl⟩ := h
    have bits : m.natAbs ≤ 2 ^ 24 := by
      rw [abs_mul, abs_intCast, minSubnormal_eq, abs_of_nonneg (Rat.le_of_lt (pow2_pos _))] at small
      have split : pow2 (-126) = pow2 23 * pow2 (-149) := by decide +kernel
      rw [split] at small
      have := le_of_mul_pow2 _ small
      have value : pow2 23 = ((2 ^ 23 : Nat) : Rat) := by decide +kernel
      rw [value] at this
      have : m.natAbs ≤ 2 ^ 23 := by exact_mod_cast this
      omega
    have exact := roundFloat32_exact_on_grid (m := m) (e := -149) ⟨bits, by decide⟩
    have same : (m : Rat) * (2 : Rat) ^ (-149 : Int) = m * minSubnormal := by rw [minSubnormal_eq]; rfl
    rw [same] at exact
    rw [exact]
    have : 0 ≤ unitRoundoff * abs ((m : Rat) * minSubnormal) := Rat.mul_nonneg (by decide +kernel) (abs_nonneg _)
    have zero : (m : Rat) * minSubnormal - m * minSubnormal = 0 := by grind
    rw [zero, abs_zero]
    exact this

/-- A power of two bounds the magnitude of a rounded number if it bounds the number's. -/
theorem abs_roundFloat32_le_pow2 {x : Rat} {k : Int} (hk : -149 ≤ k) (h : abs x ≤ pow2 k) :
    abs (roundFloat32 x) ≤ pow2 k := by
  rw [abs_le_iff] at h ⊢
  have high := roundFloat32_le_pow2 hk h.2
  have low := roundFloat32_le_pow2 (x := -x) hk (by grind)
  rw [roundFloat32_neg] at low
  grind

theorem roundFloat32_below_overflow {x : Rat} (h0 : 0 ≤ x) (h : x < overflowThreshold) : roundFloat32 x < 2 ^ 128 := by
  -- Otherwise 2^128 would be the rounded number, off by more than half a step.
  have error := roundFloat32_error_le_half_spacing x
  have le : roundFloat32 x ≤ pow2 128 := by
    apply roundFloat32_le_pow2 (by decide)
    have : overflowThreshold ≤ pow2 128 := by decide +kernel
    grind
  have value : pow2 128 = 2 ^ 128 := by decide +kernel
  refine Decidable.byContradiction fun reached => ?_
  have same : roundFloat32 x = 2 ^ 128 := by grind
  have exponent : exponentOf x ≤ 104 := by
    refine Decidable.byContradiction fun larger => ?_
    have := le_abs_of_exponentOf (x := x) (by omega)
    have := pow2_le (show 128 ≤ exponentOf x + 23 by omega)
    rw [abs_of_nonneg h0] at *
    have : overflowThreshold ≤ pow2 128 := by decide +kernel
    grind
  have := pow2_le exponent
  have step : pow2 104 / 2 = 2 ^ 103 := by decide +kernel
  rw [same, abs_of_nonneg (by grind [overflowThreshold])] at error
  have half : pow2 (exponentOf x) / 2 ≤ pow2 104 / 2 := by grind
  rw [step] at half
  have := Rat.le_trans error half
  grind [overflowThreshold]

/-- Float32 overflows exactly from `2^128 - 2^103` on, as IEEE 754 says. -/
theorem overflows_iff (x : Rat) : Overflows x ↔ overflowThreshold ≤ abs x := by
  have positive : ∀ y : Rat, 0 ≤ y → (2 ^ 128 ≤ roundFloat32 y ↔ overflowThreshold ≤ y) := by
    intro y hy
    constructor
    · intro over
      refine Decidable.byContradiction fun below => ?_
      have := roundFloat32_below_overflow hy (by grind)
      grind
    · intro above
      have start : roundFloat32 overflowThreshold = 2 ^ 128 := by decide +kernel
      have := roundFloat32_mono above
      grind
  have sign : abs (roundFloat32 x) = roundFloat32 (abs x) := by
    rcases Rat.le_total (a := 0) (b := x) with h | h
    · rw [abs_of_nonneg h, abs_of_nonneg (roundFloat32_nonneg h)]
    · have := roundFloat32_nonneg (x := -x) (by grind)
      rw [roundFloat32_neg] at this
      rw [abs_of_nonpos h, abs_of_nonpos (by grind), roundFloat32_neg]
  rw [Overflows, sign]
  exact positive (abs x) (abs_nonneg x)

end Q35
