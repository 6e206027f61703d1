module

public import Q35.Spec.Matmul
public import Q35.Thm.Float32Multiple

@[expose] public noncomputable section

/-!
# How much roundings add up to

`growth k = (1 + u)^k` bounds what `k` roundings, one after the other, can make of a number.
-/

namespace Q35

/-- `(1 + u)^k`. -/
def growth (k : Nat) : Rat := (1 + unitRoundoff) ^ k

theorem unitRoundoff_pos : 0 < unitRoundoff := by decide +kernel

theorem growth_zero : growth 0 = 1 := Rat.pow_zero _

theorem growth_succ (k : Nat) : growth (k + 1) = growth k * (1 + unitRoundoff) := Rat.pow_succ _ _

theorem one_le_growth (k : Nat) : 1 ≤ growth k := by
  induction k with
  | zero => rw [growth_zero]; exact Rat.le_refl
  | succ k ih =>
    have := Rat.mul_nonneg (show 0 ≤ growth k by grind) (Rat.le_of_lt unitRoundoff_pos)
    rw [growth_succ]
    grind

theorem growth_le_succ (k : Nat) : growth k ≤ growth (k + 1) := by
  have := one_le_growth k
  have := Rat.mul_nonneg (show 0 ≤ growth k by grind) (Rat.le_of_lt unitRoundoff_pos)
  rw [growth_succ]
  grind

theorem growth_mono {k n : Nat} (h : k ≤ n) : growth k ≤ growth n := by
  induction h with
  | refl => exact Rat.le_refl
  | step _ ih => exact Rat.le_trans ih (growth_le_succ _)

/-- `(1 + u)^n · (1 - n·u) ≤ 1`. -/
theorem growth_mul_le_one (n : Nat) : growth n * (1 - n * unitRoundoff) ≤ 1 := by
  induction n with
  | zero =>
    rw [growth_zero]
    have : ((0 : Nat) : Rat) = 0 := rfl
    grind
  | succ n ih =>
    have hn : (((n + 1 : Nat)) : Rat) = (n : Rat) + 1 := by exact_mod_cast Rat.natCast_add n 1
    have pos := one_le_growth n
    have square : 0 ≤ growth n * ((n + 1) * (unitRoundoff * unitRoundoff)) := by
      refine Rat.mul_nonneg (by grind) (Rat.mul_nonneg ?_ ?_)
      · have : (0 : Rat) ≤ n := Rat.natCast_nonneg
        grind
      · exact Rat.mul_nonneg (Rat.le_of_lt unitRoundoff_pos) (Rat.le_of_lt unitRoundoff_pos)
    have expand : growth n * (1 + unitRoundoff) * (1 - ((n : Rat) + 1) * unitRoundoff)
        = growth n * (1 - n * unitRoundoff) - growth n * ((n + 1) * (unitRoundoff * unitRoundoff)) := by grind
    rw [growth_succ, hn, expand]
    grind

/-- `(1 + u)^n - 1 ≤ n·u / (1 - n·u)`, as long as `n·u < 1`. -/
theorem growth_le_relativeBound {n : Nat} (h : n * unitRoundoff < 1) : growth n - 1 ≤ relativeBound n := by
  have := growth_mul_le_one n
  rw [relativeBound, le_div_iff (by grind)]
  grind

/-- One rounding more: if `x` is a multiple of `2^(-149)` and close to a number of magnitude at most `size`, so is what
it is rounded to, with one more factor `1 + u`. -/
theorem rounding_step {x exact size : Rat} {k : Nat} (multiple : IsMultiple x) (bounded : abs exact ≤ size)
    (close : abs (x - exact) ≤ (growth k - 1) * size) :
    abs (roundFloat32 x - exact) ≤ (growth (k + 1) - 1) * size := by
  have rounding := roundFloat32_error_le_of_multiple multiple
  have triangle := abs_sub_le (roundFloat32 x) x exact
  have magnitude : abs x ≤ growth k * size := by
    have := abs_add_le (x - exact) exact
    have : x - exact + exact = x := by grind
    grind
  have := mul_le_mul_left magnitude (Rat.le_of_lt unitRoundoff_pos)
  rw [growth_succ]
  grind

/-- What is close to a number of magnitude below `2^127`, with factors that stay below 2, does not overflow. -/
theorem not_overflows_of_close {x exact size : Rat} {k : Nat} (bounded : abs exact ≤ size)
    (close : abs (x - exact) ≤ (growth k - 1) * size) (small : size < 2 ^ 127) (few : growth (k + 1) ≤ 2) :
    ¬ Overflows x := by
  rw [overflows_iff]
  intro over
  have magnitude : abs x ≤ growth k * size := by
    have := abs_add_le (x - exact) exact
    have : x - exact + exact = x := by grind
    grind
  have nonneg := abs_nonneg exact
  have scaled : abs x * (1 + unitRoundoff) ≤ 2 * size := by
    have := mul_le_mul_right magnitude (show 0 ≤ 1 + unitRoundoff by decide +kernel)
    have shuffle : growth k * size * (1 + unitRoundoff) = growth (k + 1) * size := by rw [growth_succ]; grind
    rw [shuffle] at this
    exact Rat.le_trans this (mul_le_mul_right few (Rat.le_trans nonneg bounded))
  have threshold := mul_le_mul_right over (show 0 ≤ 1 + unitRoundoff by decide +kernel)
  have : (2 : Rat) ^ 128 ≤ overflowThreshold * (1 + unitRoundoff) := by decide +kernel
  have : (2 : Rat) ^ 128 = 2 * 2 ^ 127 := by decide +kernel
  grind

/-- A rounded integer is an integer. -/
theorem roundFloat32_intCast (i : Int) : ∃ n : Int, roundFloat32 i = n := by
  by_cases whole : 0 ≤ exponentOf i
  · obtain ⟨n, hn⟩ := multiple_of_le (m := rne ((i : Rat) * pow2 (-exponentOf i))) whole
    exact ⟨n, by rw [roundFloat32_eq_rne, hn, pow2_zero, Rat.mul_one]⟩
  · -- It has few bits, so it is fixed.
    have below := abs_lt_of_exponentOf (i : Rat)
    have := pow2_le (show exponentOf (i : Rat) + 24 ≤ 24 by omega)
    have value : pow2 24 = ((2 ^ 24 : Nat) : Rat) := by decide +kernel
    rw [abs_intCast] at below
    have : (i.natAbs : Rat) ≤ ((2 ^ 24 : Nat) : Rat) := by grind
    have bits : i.natAbs ≤ 2 ^ 24 := by exact_mod_cast this
    have fixed := roundFloat32_exact_on_grid (m := i) (e := 0) ⟨bits, by decide⟩
    have one : (2 : Rat) ^ (0 : Int) = 1 := Rat.zpow_zero 2
    rw [one, Rat.mul_one] at fixed
    exact ⟨i, fixed⟩

end Q35
