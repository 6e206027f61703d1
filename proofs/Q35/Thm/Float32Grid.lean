module

public import Q35.Thm.Float32

@[expose] public noncomputable section

/-!
# Rounding to float32: the numbers that it fixes, monotone, nearest

`Fits m e` says that `m·2^e` is a number of float32's grid: at most 24 bits, and an exponent of at least -149.
-/

namespace Q35

theorem abs_intCast (m : Int) : abs (m : Rat) = (m.natAbs : Rat) := by
  rcases Int.le_total 0 m with h | h
  · rw [abs_of_nonneg (by exact_mod_cast h)]
    have : (m.natAbs : Int) = m := Int.natAbs_of_nonneg h
    rw [← Rat.intCast_natCast, this]
  · rw [abs_of_nonpos (by exact_mod_cast h)]
    have : (m.natAbs : Int) = -m := by omega
    rw [← Rat.intCast_natCast, this]
    exact_mod_cast rfl

/-- What is an integer multiple of its own grid's step is fixed. -/
theorem roundFloat32_of_multiple {x : Rat} {n : Int} (h : x = n * pow2 (exponentOf x)) : roundFloat32 x = x := by
  have inv := pow2_mul_neg (exponentOf x)
  have : x * pow2 (-exponentOf x) = n := by
    have : x * pow2 (-exponentOf x) = n * pow2 (exponentOf x) * pow2 (-exponentOf x) := by rw [← h]
    rw [this, Rat.mul_assoc, inv]
    grind
  rw [roundFloat32_eq_rne, this, rne_intCast, ← h]

/-- A multiple of a coarse power of two is one of each finer one. -/
theorem multiple_of_le {m a b : Int} (h : b ≤ a) : ∃ n : Int, (m : Rat) * pow2 a = n * pow2 b := by
  obtain ⟨k, rfl⟩ : ∃ k : Nat, a = b + k := ⟨(a - b).toNat, by omega⟩
  refine ⟨m * 2 ^ k, ?_⟩
  rw [pow2_add, pow2_natCast, Rat.intCast_mul]
  have : (((2 : Int) ^ k : Int) : Rat) = (2 : Rat) ^ k := by exact_mod_cast rfl
  rw [this]
  grind

/-- Every number of at most 24 bits on the grid of `2^(-149)` is fixed. -/
theorem roundFloat32_exact_on_grid {m e : Int} (h : Fits m e) : roundFloat32 (m * (2 : Rat) ^ e) = m * (2 : Rat) ^ e := by
  obtain ⟨bits, exponent⟩ := h
  have pow : ∀ k : Int, (2 : Rat) ^ k = pow2 k := fun _ => rfl
  rw [pow]
  by_cases coarse : exponentOf (m * pow2 e) ≤ e
  · obtain ⟨n, hn⟩ := multiple_of_le (m := m) coarse
    exact roundFloat32_of_multiple hn
  · -- Then the magnitude is 2^24 steps, no less, and a step twice as long does as well.
    have large := le_abs_of_exponentOf (x := m * pow2 e) (by omega)
    rw [abs_mul, abs_of_nonneg (Rat.le_of_lt (pow2_pos e)), abs_intCast] at large
    have step := pow2_le (show e + 24 ≤ exponentOf (m * pow2 e) + 23 by omega)
    have size : pow2 24 ≤ (m.natAbs : Rat) := by
      apply le_of_mul_pow2 e
      rw [← pow2_add]
      have : (24 : Int) + e = e + 24 := by omega
      rw [this]
      exact Rat.le_trans step large
    have value : pow2 24 = ((2 ^ 24 : Nat) : Rat) := by decide +kernel
    rw [value] at size
    have size : 2 ^ 24 ≤ m.natAbs := by exact_mod_cast size
    have exact : m.natAbs = 2 ^ 24 := by omega
    have below := abs_lt_of_exponentOf (m * pow2 e)
    have next : exponentOf (m * pow2 e) = e + 1 := by
      refine Decidable.byContradiction fun other => ?_
      have := pow2_lt (show e + 24 < exponentOf (m * pow2 e) + 23 by omega)
      have : (m.natAbs : Rat) * pow2 e = pow2 (e + 24) := by
        rw [exact, ← value, ← pow2_add]
        have : (24 : Int) + e = e + 24 := by omega
        rw [this]
      grind
    refine roundFloat32_of_multiple (n := m / 2) ?_
    rw [next, pow2_add]
    have two : pow2 1 = 2 := by decide +kernel
    have half : m = m / 2 * 2 := by omega
    have : (m : Rat) = (m / 2 : Int) * 2 := by exact_mod_cast half
    rw [two]
    grind

/-- What rounding yields has at most 24 bits on the grid of `2^(-149)`. -/
theorem roundFloat32_is_on_grid (x : Rat) : ∃ m e : Int, Fits m e ∧ roundFloat32 x = m * (2 : Rat) ^ e := by
  refine ⟨rne (x * pow2 (-exponentOf x)), exponentOf x, ⟨?_, exponentOf_ge x⟩, roundFloat32_eq_rne x⟩
  have inv := pow2_mul_neg (exponentOf x)
  have below := abs_lt_of_exponentOf x
  have scaled : abs (x * pow2 (-exponentOf x)) ≤ pow2 24 := by
    rw [abs_mul, abs_of_nonneg (Rat.le_of_lt (pow2_pos _))]
    apply le_of_mul_pow2 (exponentOf x)
    rw [Rat.mul_assoc, Rat.mul_comm (pow2 (-exponentOf x)), inv, ← pow2_add]
    have : (24 : Int) + exponentOf x = exponentOf x + 24 := by omega
    rw [this]
    grind
  have value : pow2 24 = ((2 ^ 24 : Int) : Rat) := by decide +kernel
  rw [abs_le_iff, value] at scaled
  have high := rne_mono scaled.2
  have low := rne_mono scaled.1
  rw [← Rat.intCast_neg, rne_intCast] at low
  rw [rne_intCast] at high
  omega

/-- Rounding twice is rounding once. -/
theorem roundFloat32_roundFloat32 (x : Rat) : roundFloat32 (roundFloat32 x) = roundFloat32 x := by
  obtain ⟨m, e, fits, value⟩ := roundFloat32_is_on_grid x
  rw [value]
  exact roundFloat32_exact_on_grid fits

theorem roundFloat32_zero : roundFloat32 0 = 0 := by decide +kernel

/-- A power of two bounds a rounded number if it bounds the number. -/
theorem roundFloat32_le_pow2 {x : Rat} {k : Int} (hk : -149 ≤ k) (h : x ≤ pow2 k) : roundFloat32 x ≤ pow2 k := by
  by_cases coarse : exponentOf x ≤ k
  · -- The power of two is a multiple of the grid's step.
    obtain ⟨n, hn⟩ := multiple_of_le (m := 1) coarse
    have one : ((1 : Int) : Rat) * pow2 k = pow2 k := by grind
    rw [one] at hn
    have scaled : x * pow2 (-exponentOf x) ≤ n := by
      apply le_of_mul_pow2 (exponentOf x)
      have inv := pow2_mul_neg (exponentOf x)
      rw [Rat.mul_assoc, Rat.mul_comm (pow2 (-exponentOf x)), inv, ← hn]
      grind
    have rounded := rne_mono scaled
    rw [rne_intCast] at rounded
    have : (rne (x * pow2 (-exponentOf x)) : Rat) ≤ n := by exact_mod_cast rounded
    rw [roundFloat32_eq_rne, hn]
    exact mul_le_mul_right this (Rat.le_of_lt (pow2_pos _))
  · -- Then the number is negative, and so is the rounded one.
    have large := le_abs_of_exponentOf (x := x) (by omega)
    have := pow2_lt (show k < exponentOf x + 23 by omega)
    have negative : x ≤ 0 := by
      refine Decidable.byContradiction fun positive => ?_
      rw [abs_of_nonneg (by grind)] at large
      grind
    have scaled : x * pow2 (-exponentOf x) ≤ ((0 : Int) : Rat) := by
      have := mul_le_mul_right negative (Rat.le_of_lt (pow2_pos (-exponentOf x)))
      grind
    have rounded := rne_mono scaled
    rw [rne_intCast] at rounded
    have : (rne (x * pow2 (-exponentOf x)) : Rat) ≤ ((0 : Int) : Rat) := by exact_mod_cast rounded
    have := mul_le_mul_right this (Rat.le_of_lt (pow2_pos (exponentOf x)))
    have := pow2_pos k
    rw [roundFloat32_eq_rne]
    grind

/-- A non-negative number stays so. -/
theorem roundFloat32_nonneg {x : Rat} (h : 0 ≤ x) : 0 ≤ roundFloat32 x := by
  have scaled : ((0 : Int) : Rat) ≤ x * pow2 (-exponentOf x) := by
    have := Rat.mul_nonneg h (Rat.le_of_lt (pow2_pos (-exponentOf x)))
    grind
  have rounded := rne_mono scaled
  rw [rne_intCast] at rounded
  have : (0 : Rat) ≤ (rne (x * pow2 (-exponentOf x)) : Rat) := by exact_mod_cast rounded
  rw [roundFloat32_eq_rne]
  exact Rat.mul_nonneg this (Rat.le_of_lt (pow2_pos _))

/-- Powers of two from `2^(-149)` on are fixed. -/
theorem roundFloat32_pow2 {k : Int} (hk : -149 ≤ k) : roundFloat32 (pow2 k) = pow2 k := by
  have := roundFloat32_exact_on_grid (m := 1) (e := k) ⟨by decide, hk⟩
  have one : ((1 : Int) : Rat) * (2 : Rat) ^ k = pow2 k := by rw [show ((1 : Int) : Rat) = 1 from rfl, Rat.one_mul]; rfl
  rwa [one] at this

/-- A power of two is a bound from below for a rounded number if it is one for the number. -/
theorem pow2_le_roundFloat32 {x : Rat} {k : Int} (hk : -149 ≤ k) (h : pow2 k ≤ x) : pow2 k ≤ roundFloat32 x := by
  by_cases coarse : exponentOf x ≤ k
  · obtain ⟨n, hn⟩ := multiple_of_le (m := 1) coarse
    have one : ((1 : Int) : Rat) * pow2 k = pow2 k := by grind
    rw [one] at hn
    have scaled : (n : Rat) ≤ x * pow2 (-exponentOf x) := by
      apply le_of_mul_pow2 (exponentOf x)
      have inv := pow2_mul_neg (exponentOf x)
      rw [Rat.mul_assoc, Rat.mul_comm (pow2 (-exponentOf x)), inv, ← hn]
      grind
    have rounded := rne_mono scaled
    rw [rne_intCast] at rounded
    have : (n : Rat) ≤ (rne (x * pow2 (-exponentOf x)) : Rat) := by exact_mod_cast rounded
    rw [roundFloat32_eq_rne, hn]
    exact mul_le_mul_right this (Rat.le_of_lt (pow2_pos _))
  · -- The number is at least 2^(e + 23), which is a multiple of its grid's step.
    have pos := pow2_pos k
    have large := le_abs_of_exponentOf (x := x) (by omega)
    rw [abs_of_nonneg (by grind)] at large
    have scaled : (((2 : Int) ^ 23 : Int) : Rat) ≤ x * pow2 (-exponentOf x) := by
      apply le_of_mul_pow2 (exponentOf x)
      have inv := pow2_mul_neg (exponentOf x)
      have value : (((2 : Int) ^ 23 : Int) : Rat) = pow2 23 := by decide +kernel
      rw [Rat.mul_assoc, Rat.mul_comm (pow2 (-exponentOf x)), inv, value, ← pow2_add]
      have : (23 : Int) + exponentOf x = exponentOf x + 23 := by omega
      rw [this]
      grind
    have rounded := rne_mono scaled
    rw [rne_intCast] at rounded
    have : (((2 : Int) ^ 23 : Int) : Rat) ≤ (rne (x * pow2 (-exponentOf x)) : Rat) := by exact_mod_cast rounded
    have := mul_le_mul_right this (Rat.le_of_lt (pow2_pos (exponentOf x)))
    have value : (((2 : Int) ^ 23 : Int) : Rat) = pow2 23 := by decide +kernel
    rw [value, ← pow2_add] at this
    have := pow2_le (show k ≤ 23 + exponentOf x by omega)
    rw [roundFloat32_eq_rne]
    exact Rat.le_trans this (by assumption)

theorem roundFloat32_mono_of_nonneg {x y : Rat} (hx : 0 ≤ x) (h : x ≤ y) : roundFloat32 x ≤ roundFloat32 y := by
  have hy : 0 ≤ y := Rat.le_trans hx h
  rcases Int.lt_trichotomy (exponentOf x) (exponentOf y) with less | same | more
  · -- A power of two lies between.
    have below := abs_lt_of_exponentOf x
    rw [abs_of_nonneg hx] at below
    have above := le_abs_of_exponentOf (x := y) (by have := exponentOf_ge x; omega)
    rw [abs_of_nonneg hy] at above
    have low := roundFloat32_le_pow2 (k := exponentOf x + 24) (by have := exponentOf_ge x; omega) (Rat.le_of_lt below)
    have high := pow2_le_roundFloat32 (k := exponentOf y + 23) (by have := exponentOf_ge y; omega) above
    have := pow2_le (show exponentOf x + 24 ≤ exponentOf y + 23 by omega)
    exact Rat.le_trans low (Rat.le_trans this high)
  · rw [roundFloat32_eq_rne, roundFloat32_eq_rne y, same]
    have := rne_mono (mul_le_mul_right h (Rat.le_of_lt (pow2_pos (-exponentOf y))))
    have : (rne (x * pow2 (-exponentOf y)) : Rat) ≤ rne (y * pow2 (-exponentOf y)) := by exact_mod_cast this
    exact mul_le_mul_right this (Rat.le_of_lt (pow2_pos _))
  · -- Impossible: the exponent grows with the number.
    have below := abs_lt_of_exponentOf y
    rw [abs_of_nonneg hy] at below
    have above := le_abs_of_exponentOf (x := x) (by have := exponentOf_ge y; omega)
    rw [abs_of_nonneg hx] at above
    have := pow2_le (show exponentOf y + 24 ≤ exponentOf x + 23 by omega)
    grind

/-- A larger number never rounds to a smaller one. -/
theorem roundFloat32_mono {x y : Rat} (h : x ≤ y) : roundFloat32 x ≤ roundFloat32 y := by
  rcases Rat.le_total (a := 0) (b := x) with hx | hx
  · exact roundFloat32_mono_of_nonneg hx h
  · rcases Rat.le_total (a := 0) (b := y) with hy | hy
    · have := roundFloat32_nonneg hy
      have := roundFloat32_nonneg (x := -x) (by grind)
      rw [roundFloat32_neg] at this
      grind
    · have := roundFloat32_mono_of_nonneg (x := -y) (y := -x) (by grind) (by grind)
      rw [roundFloat32_neg, roundFloat32_neg] at this
      grind

end Q35
