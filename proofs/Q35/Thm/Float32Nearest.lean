module

public import Q35.Thm.Float32Grid

@[expose] public noncomputable section

/-!
# Rounding to float32 is nearest, takes ties to even, and does not need a reduced fraction
-/

namespace Q35

/-- No integer multiple of the grid's step at `x` is nearer to `x` than the rounded number. -/
theorem roundFloat32_nearest_multiple (x : Rat) (n : Int) :
    abs (roundFloat32 x - x) ≤ abs (n * pow2 (exponentOf x) - x) := by
  have inv := pow2_mul_neg (exponentOf x)
  have pos := pow2_pos (exponentOf x)
  have near := rne_nearest (x * pow2 (-exponentOf x)) n
  have scale : ∀ q : Int, abs (q * pow2 (exponentOf x) - x)
      = abs (x * pow2 (-exponentOf x) - q) * pow2 (exponentOf x) := by
    intro q
    have : q * pow2 (exponentOf x) - x = -((x * pow2 (-exponentOf x) - q) * pow2 (exponentOf x)) := by grind
    rw [this, abs_neg, abs_mul, abs_of_nonneg (Rat.le_of_lt pos)]
  rw [roundFloat32_eq_rne, scale, scale]
  exact mul_le_mul_right near (Rat.le_of_lt pos)

/-- No number of at most 24 bits on the grid of `2^(-149)` is nearer to `x` than the rounded one. -/
theorem roundFloat32_nearest (x : Rat) {m e : Int} (h : Fits m e) :
    abs (roundFloat32 x - x) ≤ abs (m * (2 : Rat) ^ e - x) := by
  have pow : (2 : Rat) ^ e = pow2 e := rfl
  rw [pow]
  by_cases coarse : exponentOf x ≤ e
  · obtain ⟨n, hn⟩ := multiple_of_le (m := m) coarse
    rw [hn]
    exact roundFloat32_nearest_multiple x n
  · -- The other number is of smaller magnitude than a power of two that is not above `|x|` and on the grid of `x`.
    obtain ⟨bits, exponent⟩ := h
    have large := le_abs_of_exponentOf (x := x) (by omega)
    have small : abs (m * pow2 e) ≤ pow2 (exponentOf x + 23) := by
      rw [abs_mul, abs_of_nonneg (Rat.le_of_lt (pow2_pos e)), abs_intCast]
      have size : (m.natAbs : Rat) ≤ ((2 ^ 24 : Nat) : Rat) := by exact_mod_cast bits
      have value : ((2 ^ 24 : Nat) : Rat) = pow2 24 := by decide +kernel
      have := mul_le_mul_right size (Rat.le_of_lt (pow2_pos e))
      rw [value, ← pow2_add] at this
      exact Rat.le_trans this (pow2_le (by omega))
    obtain ⟨n, hn⟩ := multiple_of_le (m := 1) (show exponentOf x ≤ exponentOf x + 23 by omega)
    rw [show ((1 : Int) : Rat) = 1 from rfl, Rat.one_mul] at hn
    rcases Rat.le_total (a := 0) (b := x) with hx | hx
    · have := roundFloat32_nearest_multiple x n
      rw [← hn] at this
      grind [abs]
    · have := roundFloat32_nearest_multiple x (-n)
      rw [Rat.intCast_neg, Rat.neg_mul, ← hn] at this
      grind [abs]

/-- A rational midway between two integers rounds to the even one. -/
theorem rne_ties_to_even {x : Rat} (tie : abs (x - rne x) = 1 / 2) : rne x % 2 = 0 := by
  have value := mul_den_eq_num x
  have cast : ((x.den : Int) : Rat) = (x.den : Rat) := Rat.intCast_natCast x.den
  have hd : (0 : Int) < x.den := by exact_mod_cast x.den_pos
  -- Twice the distance from the rounded numerator is the denominator.
  have twice : 2 * (x.num - x.den * rne x) = x.den ∨ 2 * (x.num - x.den * rne x) = -x.den := by
    have : x - rne x = 1 / 2 ∨ x - rne x = -(1 / 2) := by grind [abs]
    rcases this with h | h
    · left
      have : 2 * ((x.num : Rat) - (x.den : Int) * (rne x : Rat)) = ((x.den : Int) : Rat) := by
        rw [cast, ← value]
        grind
      exact_mod_cast this
    · right
      have : 2 * ((x.num : Rat) - (x.den : Int) * (rne x : Rat)) = -((x.den : Int) : Rat) := by
        rw [cast, ← value]
        grind
      exact_mod_cast this
  have unfold := roundHalfEven_eq x.num x.den
  have euclid := Int.mul_ediv_add_emod x.num x.den
  have := Int.emod_nonneg x.num (Int.ne_of_gt hd)
  have := Int.emod_lt_of_pos x.num hd
  have up : (x.den : Int) * (x.num / x.den + 1) = x.den * (x.num / x.den) + x.den := by grind
  rw [show rne x = roundHalfEven x.num x.den from rfl, unfold] at twice ⊢
  split at twice <;> rename_i case <;> simp only [case, ↓reduceIte] <;> omega

/-- A number midway between two neighbours of its grid takes the even significand. -/
theorem roundFloat32_ties_to_even {x : Rat} (tie : abs (roundFloat32 x - x) = pow2 (exponentOf x) / 2) :
    ∃ m : Int, m % 2 = 0 ∧ roundFloat32 x = m * pow2 (exponentOf x) := by
  refine ⟨rne (x * pow2 (-exponentOf x)), ?_, roundFloat32_eq_rne x⟩
  apply rne_ties_to_even
  have inv := pow2_mul_neg (exponentOf x)
  have pos := pow2_pos (exponentOf x)
  have scaled : abs (x * pow2 (-exponentOf x) - rne (x * pow2 (-exponentOf x))) * pow2 (exponentOf x)
      = pow2 (exponentOf x) / 2 := by
    rw [← tie, roundFloat32_eq_rne]
    have : rne (x * pow2 (-exponentOf x)) * pow2 (exponentOf x) - x
        = -((x * pow2 (-exponentOf x) - rne (x * pow2 (-exponentOf x))) * pow2 (exponentOf x)) := by grind
    rw [this, abs_neg, abs_mul, abs_of_nonneg (Rat.le_of_lt pos)]
  apply Rat.le_antisymm
  · exact le_of_mul_pow2 (exponentOf x) (by grind)
  · exact le_of_mul_pow2 (exponentOf x) (by grind)

end Q35
