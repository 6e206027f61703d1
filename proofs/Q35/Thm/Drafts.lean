module

public import Q35.Spec.Drafts
public import Q35.Thm.Rounding

@[expose] public noncomputable section

/-!
# What is wrong with the drafts' claims

Their error bound is false, their converter wraps, and their memory figure is not what 3.5 bits a weight need.
-/

namespace Q35

/-- The drafts' theorem `|x - dq(q(x))| ≤ scale/2` for all `x` is false for **every** scale and zero-point: the weight
9 steps above the zero-point is off by two steps. -/
theorem draft_error_bound_false (scale zero : Rat) (hs : 0 < scale) :
    ¬ ∀ x, abs (x - draftDequantize (draftQuantize x scale zero) scale zero) ≤ scale / 2 := by
  intro claim
  have here := claim (9 * scale + zero)
  have nine : (9 * scale + zero - zero) / scale = ((9 : Int) : Rat) := by
    have : 9 * scale + zero - zero = 9 * scale := by grind
    rw [this, Rat.mul_div_cancel (by grind)]
    rfl
  have seven : draftQuantize (9 * scale + zero) scale zero = 7 := by
    rw [draftQuantize, nine, rne_intCast]
    decide
  rw [seven, draftDequantize, abs_le_iff] at here
  grind

/-- Worse, no bound at all holds for all weights: whatever `bound`, some weight is off by more. -/
theorem draft_error_unbounded (scale zero bound : Rat) (hs : 0 < scale) :
    ∃ x, bound < abs (x - draftDequantize (draftQuantize x scale zero) scale zero) := by
  refine ⟨7 * scale + zero + abs bound + 1, ?_⟩
  have := abs_nonneg bound
  have := le_abs bound
  have low := clamp_in_range (rne ((7 * scale + zero + abs bound + 1 - zero) / scale)) (show (-8 : Int) ≤ 7 by decide)
  rw [draftDequantize, draftQuantize]
  have : (clamp (rne ((7 * scale + zero + abs bound + 1 - zero) / scale)) (-8) 7 : Rat) ≤ 7 := by
    exact_mod_cast low.2
  have := mul_le_mul_right this (Rat.le_of_lt hs)
  have := le_abs (7 * scale + zero + abs bound + 1
    - ((clamp (rne ((7 * scale + zero + abs bound + 1 - zero) / scale)) (-8) 7 : Rat) * scale + zero))
  grind

/-- The drafts' converter cuts four bits to three: every narrow integer above 3 comes back 8 too low, every one
below -4 comes back 8 too high. -/
theorem draft_converter_wraps (wide narrow : Int) :
    (3 < narrow → narrow ≤ 7 → (unpackPair (packPair wide narrow)).2 = narrow - 8)
      ∧ (narrow < -4 → -8 ≤ narrow → (unpackPair (packPair wide narrow)).2 = narrow + 8) := by
  simp only [unpackPair, packPair, signExtend]
  omega

/-- On weights: in the column `[-8, 7]`, whose scale is 1 and whose zero-point is 0, the drafts' converter turns the
weight 7 into -1, an error of 8 steps where half a step is claimed. -/
theorem draft_converter_wraps_on_weights :
    exactCalibrateMinMax [-8, 7] = some (1, 0) ∧ draftRestoredOdd (-8) 7 1 0 = -1 := by
  decide +kernel

/-- A column whose rows fill whole blocks of 16 takes exactly 7 bytes for each: 3.5 bits a weight. -/
theorem columnBytes_dense (blocks : Nat) : columnBytes (16 * blocks) .dense = 7 * blocks := by
  simp only [columnBytes, denseBytes, pairCount]
  omega

/-- 70e9 weights at 3.5 bits need 30.625 GB, not the drafts' 19 GB. -/
theorem seventyB_bytes : columnBytes 70000000000 .dense = 30625000000 ∧ 19000000000 < columnBytes 70000000000 .dense := by
  decide +kernel

/-- The drafts' own storage, one code a byte, is 4 bits a weight: no less than INT4. -/
theorem draft_layout_saves_nothing (pairs : Nat) : columnBytes (2 * pairs) .byte = pairs := by
  simp only [columnBytes, pairCount]
  omega

end Q35
