module

public import Q35.Thm.Binade

@[expose] public noncomputable section

/-!
# Rounding to float32: its error, what it fixes, and that it is monotone
-/

namespace Q35

/-- The exponent of float32's grid at `x`: 23 below the leading bit's, and at least -149. -/
def exponentOf (x : Rat) : Int := if x = 0 then minExponent else max (binade x.num.natAbs x.den - 23) minExponent

theorem exponentOf_ge (x : Rat) : -149 ≤ exponentOf x := by
  simp only [exponentOf, minExponent]
  split <;> omega

theorem abs_mul_den (x : Rat) : abs x * x.den = x.num.natAbs := by
  have value := mul_den_eq_num x
  have : abs x * x.den = abs (x * x.den) := by rw [abs_mul, abs_of_nonneg (Rat.le_of_lt (den_pos x))]
  rw [this, value]
  rcases Int.le_total 0 x.num with h | h
  · rw [abs_of_nonneg (by exact_mod_cast h)]
    have : (x.num.natAbs : Int) = x.num := Int.natAbs_of_nonneg h
    rw [← Rat.intCast_natCast, this]
  · rw [abs_of_nonpos (by exact_mod_cast h)]
    have : (x.num.natAbs : Int) = -x.num := by omega
    rw [← Rat.intCast_natCast, this]
    exact_mod_cast rfl

/-- A number is below the power of two that is 24 above its grid. -/
theorem abs_lt_of_exponentOf (x : Rat) : abs x < pow2 (exponentOf x + 24) := by
  by_cases zero : x = 0
  · subst zero
    rw [abs_zero]
    exact pow2_pos _
  · have hn : x.num.natAbs ≠ 0 := by
      intro h
      exact zero (Rat.num_eq_zero.mp (Int.natAbs_eq_zero.mp h))
    have spec := (binade_spec hn x.den_nz).2
    rw [← abs_mul_den] at spec
    have low := Rat.lt_of_mul_lt_mul_right spec (Rat.le_of_lt (den_pos x))
    have : binade x.num.natAbs x.den + 1 ≤ exponentOf x + 24 := by
      simp only [exponentOf, zero, ↓reduceIte]
      omega
    have := pow2_le this
    grind

/-- Unless its grid is the finest, a number is at least the power of two that is 23 above its grid. -/
theorem le_abs_of_exponentOf {x : Rat} (h : exponentOf x ≠ -149) : pow2 (exponentOf x + 23) ≤ abs x := by
  have zero : x ≠ 0 := by
    intro zero
    simp [exponentOf, zero, minExponent] at h
  have hn : x.num.natAbs ≠ 0 := by
    intro h
    exact zero (Rat.num_eq_zero.mp (Int.natAbs_eq_zero.mp h))
  have spec := (binade_spec hn x.den_nz).1
  rw [← abs_mul_den] at spec
  have low := Rat.le_of_mul_le_mul_right spec (den_pos x)
  have : exponentOf x + 23 = binade x.num.natAbs x.den := by
    simp only [exponentOf, zero, ↓reduceIte, minExponent] at h ⊢
    omega
  rw [this]
  exact low

/-- A rational rounds as any fraction that stands for it. -/
theorem rne_of_mul_eq {y : Rat} {n d : Int} (hd : 0 < d) (h : y * d = n) : rne y = roundHalfEven n d := by
  have hne : (d : Rat) ≠ 0 := by
    have : (0 : Rat) < d := by exact_mod_cast hd
    grind
  have : y = (n : Rat) / d := by rw [← h, Rat.mul_div_cancel hne]
  rw [this, rne_div n d hd]

/-- Rounding to float32 is rounding to an integer on the grid at `x`. -/
theorem roundFloat32_eq_rne (x : Rat) : roundFloat32 x = rne (x * pow2 (-exponentOf x)) * pow2 (exponentOf x) := by
  by_cases zero : x = 0
  · subst zero
    decide +kernel
  · have hn : x.num ≠ 0 := fun h => zero (Rat.num_eq_zero.mp h)
    have hd : (0 : Int) < x.den := by exact_mod_cast x.den_pos
    have value := mul_den_eq_num x
    have shape : exponentOf x = max (binade x.num.natAbs x.den - ((significandBits : Int) - 1)) minExponent := by
      simp only [exponentOf, zero, ↓reduceIte, significandBits]
      rfl
    have inv := pow2_mul_neg (exponentOf x)
    simp only [roundFloat32, roundFloat32Parts, hn, ↓reduceIte, ← shape]
    split
    · rename_i sign
      rw [rne_of_mul_eq (n := x.num) (d := (x.den * 2 ^ (exponentOf x).toNat : Nat))]
      · rfl
      · exact_mod_cast Nat.mul_pos x.den_pos (Nat.two_pow_pos _)
      · rw [Rat.intCast_natCast, Rat.natCast_mul, ← pow2_of_nonneg sign]
        grind
    · rename_i sign
      rw [rne_of_mul_eq (n := x.num * 2 ^ (-exponentOf x).toNat) (d := x.den) hd]
      · rfl
      · rw [pow2_of_nonneg (show 0 ≤ -exponentOf x by omega), Rat.intCast_natCast, Rat.intCast_mul, ← value]
        have : (((2 : Int) ^ (-exponentOf x).toNat : Int) : Rat) = ((2 ^ (-exponentOf x).toNat : Nat) : Rat) := by
          exact_mod_cast rfl
        rw [this]
        grind

/-- The rounded number is at most half a grid step away. -/
theorem roundFloat32_error_le_half_spacing (x : Rat) :
    abs (roundFloat32 x - x) ≤ pow2 (exponentOf x) / 2 := by
  have half := rne_error_le (x * pow2 (-exponentOf x))
  have inv := pow2_mul_neg (exponentOf x)
  have pos := pow2_pos (exponentOf x)
  have same : roundFloat32 x - x
      = -((x * pow2 (-exponentOf x) - rne (x * pow2 (-exponentOf x))) * pow2 (exponentOf x)) := by
    rw [roundFloat32_eq_rne]
    grind
  rw [same, abs_neg, abs_mul, abs_of_nonneg (Rat.le_of_lt pos)]
  have := mul_le_mul_right half (Rat.le_of_lt pos)
  grind

theorem half_pow2 (e : Int) : pow2 e / 2 = unitRoundoff * pow2 (e + 23) := by
  rw [pow2_add]
  have : pow2 23 = 8388608 := by decide +kernel
  rw [this, unitRoundoff]
  grind

/-- `RN32`'s error is at most `u·|x|` from `2^(-126)` up, and at most `2^(-150)` up to there. -/
theorem roundFloat32_error_le (x : Rat) :
    (pow2 (-126) ≤ abs x → abs (roundFloat32 x - x) ≤ unitRoundoff * abs x)
      ∧ (abs x ≤ pow2 (-126) → abs (roundFloat32 x - x) ≤ minSubnormal / 2) := by
  have error := roundFloat32_error_le_half_spacing x
  have uPos : (0 : Rat) ≤ unitRoundoff := by decide +kernel
  constructor
  · intro large
    rw [half_pow2] at error
    refine Rat.le_trans error (mul_le_mul_left ?_ uPos)
    by_cases finest : exponentOf x = -149
    · rw [finest]
      exact large
    · exact le_abs_of_exponentOf finest
  · intro small
    have : exponentOf x = -149 := by
      refine Decidable.byContradiction fun finer => ?_
      have := le_abs_of_exponentOf finer
      have : pow2 (-126) < pow2 (exponentOf x + 23) := by
        have := exponentOf_ge x
        exact pow2_lt (by omega)
      grind
    rw [this] at error
    have : pow2 (-149) / 2 = minSubnormal / 2 := by decide +kernel
    rw [this] at error
    exact error

/-- For all numbers: `u·|x| + 2^(-150)`. -/
theorem roundFloat32_error_le_any (x : Rat) :
    abs (roundFloat32 x - x) ≤ unitRoundoff * abs x + minSubnormal / 2 := by
  obtain ⟨large, small⟩ := roundFloat32_error_le x
  have : (0 : Rat) ≤ minSubnormal / 2 := by decide +kernel
  have : 0 ≤ unitRoundoff * abs x := Rat.mul_nonneg (by decide +kernel) (abs_nonneg x)
  rcases Rat.le_total (a := pow2 (-126)) (b := abs x) with h | h
  · have := large h
    grind
  · have := small h
    grind

/-- Rounding to float32 is odd. -/
theorem roundFloat32_neg (x : Rat) : roundFloat32 (-x) = -roundFloat32 x := by
  have : exponentOf (-x) = exponentOf x := by
    have : -x = 0 ↔ x = 0 := by grind
    simp [exponentOf, this]
  rw [roundFloat32_eq_rne, roundFloat32_eq_rne, this, Rat.neg_mul, rne_neg, Rat.intCast_neg, Rat.neg_mul]

end Q35
