module

public import Q35.Thm.Rational

@[expose] public noncomputable section

/-!
# Rounding half to even is nearest, monotone, and takes ties to the even integer

Stated first for fractions of integers, `roundHalfEven`, then for rationals, `rne`.
-/

namespace Q35

/-- What decides between a floor and the integer above it, in terms of the remainder. -/
theorem roundHalfEven_eq (n : Int) (d : Int) :
    roundHalfEven n d
      = if 2 * (n % d) > d ∨ (2 * (n % d) = d ∧ n / d % 2 = 1) then n / d + 1 else n / d := by
  have := Int.mul_ediv_add_emod n d
  have : n - n / d * d = n % d := by grind
  simp only [roundHalfEven, this]
  grind

/-- The rounded value is at most half a unit away: `|n - d·r| ≤ d/2`, for any fraction `n/d` with `d > 0`. -/
theorem roundHalfEven_error_le (n d : Int) (hd : 0 < d) :
    2 * (n - d * roundHalfEven n d) ≤ d ∧ -d ≤ 2 * (n - d * roundHalfEven n d) := by
  have := Int.mul_ediv_add_emod n d
  have := Int.emod_nonneg n (Int.ne_of_gt hd)
  have := Int.emod_lt_of_pos n hd
  have up : d * (n / d + 1) = d * (n / d) + d := by grind
  rw [roundHalfEven_eq]
  split <;> grind

/-- A fraction midway between two integers goes to the even one. -/
theorem roundHalfEven_ties_to_even (n d : Int) (tie : 2 * (n % d) = d) : roundHalfEven n d % 2 = 0 := by
  rw [roundHalfEven_eq]
  grind

/-- No integer is nearer to `n/d` than the rounded value. -/
theorem roundHalfEven_nearest (n d : Int) (hd : 0 < d) (other : Int) :
    (n - d * roundHalfEven n d).natAbs ≤ (n - d * other).natAbs := by
  have := roundHalfEven_error_le n d hd
  rcases Int.lt_trichotomy other (roundHalfEven n d) with h | h | h
  · have := Int.mul_le_mul_of_nonneg_left (show other + 1 ≤ roundHalfEven n d by omega) (Int.le_of_lt hd)
    grind
  · grind
  · have := Int.mul_le_mul_of_nonneg_left (show roundHalfEven n d + 1 ≤ other by omega) (Int.le_of_lt hd)
    grind

/-- Rounding fixes integers. -/
theorem roundHalfEven_mul (q d : Int) (hd : 0 < d) : roundHalfEven (q * d) d = q := by
  rw [roundHalfEven_eq]
  have : q * d % d = 0 := Int.mul_emod_left q d
  have : q * d / d = q := Int.mul_ediv_cancel q (Int.ne_of_gt hd)
  grind

/-- A larger fraction never rounds to a smaller integer, whatever the two denominators. -/
theorem roundHalfEven_mono (n₁ d₁ n₂ d₂ : Int) (h₁ : 0 < d₁) (h₂ : 0 < d₂) (h : n₁ * d₂ ≤ n₂ * d₁) :
    roundHalfEven n₁ d₁ ≤ roundHalfEven n₂ d₂ := by
  have e₁ := Int.mul_ediv_add_emod n₁ d₁
  have e₂ := Int.mul_ediv_add_emod n₂ d₂
  have b₁ := Int.emod_nonneg n₁ (Int.ne_of_gt h₁)
  have b₂ := Int.emod_lt_of_pos n₂ h₂
  -- The floors are in order, and where they are equal so are the remainders.
  have floors : n₁ / d₁ ≤ n₂ / d₂ := by
    apply Int.le_ediv_of_mul_le h₂
    have : n₁ / d₁ * d₂ * d₁ ≤ n₂ * d₁ := by
      have := Int.mul_le_mul_of_nonneg_right (Int.ediv_mul_le n₁ (Int.ne_of_gt h₁)) (Int.le_of_lt h₂)
      grind
    exact Int.le_of_mul_le_mul_right this h₁
  rw [roundHalfEven_eq, roundHalfEven_eq]
  by_cases equal : n₁ / d₁ = n₂ / d₂
  · have split₁ : n₁ * d₂ = d₁ * (n₁ / d₁) * d₂ + n₁ % d₁ * d₂ := by rw [← Int.add_mul, e₁]
    have split₂ : n₂ * d₁ = d₂ * (n₂ / d₂) * d₁ + n₂ % d₂ * d₁ := by rw [← Int.add_mul, e₂]
    have same : d₁ * (n₁ / d₁) * d₂ = d₂ * (n₂ / d₂) * d₁ := by rw [equal]; grind
    have remainders : n₁ % d₁ * d₂ ≤ n₂ % d₂ * d₁ := by omega
    have half : 2 * (n₁ % d₁) > d₁ → 2 * (n₂ % d₂) > d₂ := by
      intro up
      have := Int.mul_lt_mul_of_pos_right up h₂
      have : d₂ * d₁ < 2 * (n₂ % d₂) * d₁ := by
        rw [Int.mul_assoc] at this ⊢
        rw [Int.mul_comm d₂ d₁]
        omega
      exact Int.lt_of_mul_lt_mul_right this (Int.le_of_lt h₁)
    have tie : 2 * (n₁ % d₁) = d₁ → 2 * (n₂ % d₂) ≥ d₂ := by
      intro up
      have : d₁ * d₂ = 2 * (n₁ % d₁ * d₂) := by rw [← Int.mul_assoc, up]
      have : d₂ * d₁ ≤ 2 * (n₂ % d₂) * d₁ := by
        rw [Int.mul_assoc, Int.mul_comm d₂ d₁]
        omega
      exact Int.le_of_mul_le_mul_right this h₁
    grind
  · grind

/-- Scaling numerator and denominator by a common positive factor changes nothing. -/
theorem roundHalfEven_scale (n d c : Int) (hd : 0 < d) (hc : 0 < c) :
    roundHalfEven (n * c) (d * c) = roundHalfEven n d := by
  have hdc := Int.mul_pos hd hc
  apply Int.le_antisymm
  · exact roundHalfEven_mono _ _ _ _ hdc hd (by grind)
  · exact roundHalfEven_mono _ _ _ _ hd hdc (by grind)

/-- Rounding is odd: ties to even treat both signs alike. -/
theorem roundHalfEven_neg (n d : Int) (hd : 0 < d) : roundHalfEven (-n) d = -roundHalfEven n d := by
  have e := Int.mul_ediv_add_emod n d
  have e' := Int.mul_ediv_add_emod (-n) d
  have := Int.emod_nonneg n (Int.ne_of_gt hd)
  have := Int.emod_lt_of_pos n hd
  have := Int.emod_nonneg (-n) (Int.ne_of_gt hd)
  have := Int.emod_lt_of_pos (-n) hd
  rw [roundHalfEven_eq, roundHalfEven_eq]
  by_cases zero : n % d = 0
  · have : -n / d = -(n / d) := Int.neg_ediv_of_dvd (Int.dvd_of_emod_eq_zero zero)
    grind
  · -- The floor of the negative is one below the negative of the floor.
    have : -n / d = -(n / d) - 1 := by
      have : (-n / d + n / d + 1) * d = d - (-n % d) - n % d := by grind
      have low : -1 < -n / d + n / d + 1 := Int.lt_of_mul_lt_mul_right (a := d) (by grind) (Int.le_of_lt hd)
      have high : -n / d + n / d + 1 < 1 := Int.lt_of_mul_lt_mul_right (a := d) (by grind) (Int.le_of_lt hd)
      omega
    -- So the remainders add up to the denominator.
    have : -n % d = d - n % d := by
      have : d * (-n / d) = -(d * (n / d)) - d := by rw [this]; grind
      omega
    have parity : (-(n / d) - 1) % 2 = 1 ↔ ¬ n / d % 2 = 1 := by omega
    split <;> split <;> omega

/-- Clamping stays within limits that are in order. -/
theorem clamp_in_range (value : Int) {low high : Int} (h : low ≤ high) :
    low ≤ clamp value low high ∧ clamp value low high ≤ high := by grind [clamp]

/-- Clamping fixes what lies within the limits. -/
theorem clamp_of_in_range {value low high : Int} (hl : low ≤ value) (hh : value ≤ high) :
    clamp value low high = value := by grind [clamp]

/-- No integer within the limits is nearer to `value` than the clamped one. -/
theorem clamp_nearest (value : Int) {low high other : Int} (hl : low ≤ other) (hh : other ≤ high) :
    (value - clamp value low high).natAbs ≤ (value - other).natAbs := by grind [clamp]

/-- Clamping is monotone. -/
theorem clamp_mono {v₁ v₂ : Int} (low high : Int) (h : v₁ ≤ v₂) : clamp v₁ low high ≤ clamp v₂ low high := by
  grind [clamp]

/-- A rational rounds as any fraction that stands for it. -/
theorem rne_div (n d : Int) (hd : 0 < d) : rne ((n : Rat) / (d : Rat)) = roundHalfEven n d := by
  have hd' : (0 : Rat) < (d : Rat) := by exact_mod_cast hd
  have value := mul_den_eq_num ((n : Rat) / (d : Rat))
  have cross : n * (((n : Rat) / (d : Rat)).den : Int) = ((n : Rat) / (d : Rat)).num * d := by
    have : (n : Rat) / (d : Rat) * (d : Rat) = n := Rat.div_mul_cancel (by grind)
    have : (n : Rat) * (((n : Rat) / (d : Rat)).den : Rat) = (((n : Rat) / (d : Rat)).num : Rat) * (d : Rat) := by grind
    exact_mod_cast this
  have hden : (0 : Int) < (((n : Rat) / (d : Rat)).den : Int) := by exact_mod_cast ((n : Rat) / (d : Rat)).den_pos
  apply Int.le_antisymm
  · exact roundHalfEven_mono _ _ _ _ hden hd (by omega)
  · exact roundHalfEven_mono _ _ _ _ hd hden (by omega)

/-- A rational rounds to an integer at most one half away. -/
theorem rne_error_le (x : Rat) : abs (x - rne x) ≤ 1 / 2 := by
  have bound := roundHalfEven_error_le x.num x.den (by exact_mod_cast x.den_pos)
  have value := mul_den_eq_num x
  have pos := den_pos x
  have high : 2 * ((x.num : Rat) - x.den * (rne x : Rat)) ≤ x.den := by exact_mod_cast bound.1
  have low : -((x.den : Int) : Rat) ≤ 2 * ((x.num : Rat) - x.den * (rne x : Rat)) := by exact_mod_cast bound.2
  have cast : ((x.den : Int) : Rat) = (x.den : Rat) := Rat.intCast_natCast x.den
  rw [cast] at low
  rw [abs_le_iff]
  constructor
  · exact Rat.le_of_mul_le_mul_right (c := x.den) (by grind) pos
  · exact Rat.le_of_mul_le_mul_right (c := x.den) (by grind) pos

/-- A larger rational never rounds to a smaller integer. -/
theorem rne_mono {x y : Rat} (h : x ≤ y) : rne x ≤ rne y := by
  apply roundHalfEven_mono
  · exact_mod_cast x.den_pos
  · exact_mod_cast y.den_pos
  · exact (Rat.le_iff x y).mp h

/-- Rounding fixes integers. -/
theorem rne_intCast (q : Int) : rne (q : Rat) = q := by
  have := roundHalfEven_mul q 1 (by omega)
  simpa [rne] using this

/-- No integer is nearer to a rational than its rounded value. -/
theorem rne_nearest (x : Rat) (other : Int) : abs (x - rne x) ≤ abs (x - other) := by
  have := rne_error_le x
  rcases Int.lt_trichotomy other (rne x) with h | h | h
  · have : (other : Rat) + 1 ≤ (rne x : Rat) := by exact_mod_cast h
    grind [abs]
  · grind
  · have : (rne x : Rat) + 1 ≤ (other : Rat) := by exact_mod_cast h
    grind [abs]

/-- Rounding is odd. -/
theorem rne_neg (x : Rat) : rne (-x) = -rne x := by
  have := roundHalfEven_neg x.num x.den (by exact_mod_cast x.den_pos)
  simpa [rne] using this

end Q35
