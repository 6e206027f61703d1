module

public import Q35.Spec.Rounding

@[expose] public noncomputable section

/-!
# Magnitudes and products of rationals

What core Lean lacks for `Rat`: the magnitude, and products of inequalities in a form that `grind` can use.
-/

namespace Q35

theorem abs_of_nonneg {x : Rat} (h : 0 ≤ x) : abs x = x := by grind [abs]

theorem abs_of_nonpos {x : Rat} (h : x ≤ 0) : abs x = -x := by grind [abs]

theorem abs_nonneg (x : Rat) : 0 ≤ abs x := by grind [abs]

theorem abs_zero : abs 0 = 0 := by grind [abs]

theorem abs_neg (x : Rat) : abs (-x) = abs x := by grind [abs]

theorem abs_sub_comm (x y : Rat) : abs (x - y) = abs (y - x) := by grind [abs]

theorem le_abs (x : Rat) : x ≤ abs x := by grind [abs]

theorem neg_le_abs (x : Rat) : -x ≤ abs x := by grind [abs]

theorem abs_le_iff {x bound : Rat} : abs x ≤ bound ↔ -bound ≤ x ∧ x ≤ bound := by grind [abs]

theorem abs_lt_iff {x bound : Rat} : abs x < bound ↔ -bound < x ∧ x < bound := by grind [abs]

theorem abs_eq_zero {x : Rat} : abs x = 0 ↔ x = 0 := by grind [abs]

/-- The triangle inequality. -/
theorem abs_add_le (x y : Rat) : abs (x + y) ≤ abs x + abs y := by grind [abs]

/-- The triangle inequality by way of a third number. -/
theorem abs_sub_le (x y z : Rat) : abs (x - z) ≤ abs (x - y) + abs (y - z) := by grind [abs]

theorem mul_le_mul_left {a b c : Rat} (h : a ≤ b) (hc : 0 ≤ c) : c * a ≤ c * b := Rat.mul_le_mul_of_nonneg_left h hc

theorem mul_le_mul_right {a b c : Rat} (h : a ≤ b) (hc : 0 ≤ c) : a * c ≤ b * c := Rat.mul_le_mul_of_nonneg_right h hc

/-- Both factors of a product may grow, if they stay non-negative. -/
theorem mul_le_mul {a b c d : Rat} (hab : a ≤ b) (hcd : c ≤ d) (hc : 0 ≤ c) (hb : 0 ≤ b) : a * c ≤ b * d :=
  Rat.le_trans (mul_le_mul_right hab hc) (mul_le_mul_left hcd hb)

/-- The magnitude of a product is the product of the magnitudes. -/
theorem abs_mul (x y : Rat) : abs (x * y) = abs x * abs y := by
  rcases Rat.le_total (a := 0) (b := x) with hx | hx <;> rcases Rat.le_total (a := 0) (b := y) with hy | hy
  · rw [abs_of_nonneg hx, abs_of_nonneg hy, abs_of_nonneg (Rat.mul_nonneg hx hy)]
  · have := mul_le_mul_left hy hx
    rw [abs_of_nonneg hx, abs_of_nonpos hy, abs_of_nonpos (by grind)]
    grind
  · have := mul_le_mul_right hx hy
    rw [abs_of_nonpos hx, abs_of_nonneg hy, abs_of_nonpos (by grind)]
    grind
  · have : 0 ≤ -x * -y := Rat.mul_nonneg (by grind) (by grind)
    rw [abs_of_nonpos hx, abs_of_nonpos hy, abs_of_nonneg (by grind)]
    grind

/-- A quotient's bound as a product's. -/
theorem div_le_iff {a b c : Rat} (hc : 0 < c) : a / c ≤ b ↔ a ≤ b * c := by
  have hne : c ≠ 0 := by grind
  have back : a / c * c = a := Rat.div_mul_cancel hne
  constructor
  · intro h
    have := mul_le_mul_right h (Rat.le_of_lt hc)
    grind
  · intro h
    exact Rat.le_of_mul_le_mul_right (by rw [back]; exact h) hc

/-- A bound by a quotient as a product's. -/
theorem le_div_iff {a b c : Rat} (hc : 0 < c) : a ≤ b / c ↔ a * c ≤ b := by
  have hne : c ≠ 0 := by grind
  have back : b / c * c = b := Rat.div_mul_cancel hne
  constructor
  · intro h
    have := mul_le_mul_right h (Rat.le_of_lt hc)
    grind
  · intro h
    exact Rat.le_of_mul_le_mul_right (by rw [back]; exact h) hc

/-- Two integers are in order if they are as rationals. -/
theorem intCast_le {a b : Int} : (a : Rat) ≤ (b : Rat) ↔ a ≤ b := Rat.intCast_le_intCast

/-- A rational is its numerator over its denominator. -/
theorem mul_den_eq_num (x : Rat) : x * (x.den : Rat) = (x.num : Rat) := by
  have hne : (x.den : Rat) ≠ 0 := by
    have := x.den_nz
    exact fun h => this (by exact_mod_cast h)
  have := Rat.num_divInt_den x
  rw [Rat.divInt_eq_div] at this
  have back : (x.num : Rat) / ((x.den : Int) : Rat) * ((x.den : Int) : Rat) = x.num :=
    Rat.div_mul_cancel (by simpa using hne)
  rw [this] at back
  simpa using back

theorem den_pos (x : Rat) : 0 < (x.den : Rat) := by
  have := x.den_pos
  exact_mod_cast this

end Q35
