module

public import Q35.Thm.AccumulatorBound

@[expose] public noncomputable section

/-!
# 32-bit wrap-around arithmetic gives the same integers

`int32` in C wraps, or must not overflow; in NumPy and in hardware it wraps. `accumulateWrapping` computes an
accumulator in 32-bit registers alone: every operand, product and sum is taken modulo `2^32`.
-/

namespace Q35

/-- A sum in 32-bit registers, from the last number to the first. -/
def sumWrapping : List (BitVec 32) → BitVec 32
  | [] => 0
  | x :: rest => x + sumWrapping rest

/-- **Wrap-around arithmetic is exact modulo `2^32`**: a 32-bit accumulator holds the exact one, wrapped once. -/
theorem acc_wraps_eq (narrowGain firstRow : Nat) (activations column : List Int) :
    accumulateWrapping narrowGain firstRow activations column
      = wrap (accumulate narrowGain firstRow activations column) := by
  induction activations generalizing firstRow column with
  | nil => simp [accumulateWrapping, accumulate, wrap]
  | cons a activations ih =>
    cases column with
    | nil => simp [accumulateWrapping, accumulate, wrap]
    | cons q column =>
      simp only [accumulateWrapping, accumulate, ih, wrap, BitVec.ofInt_add, BitVec.ofInt_mul]

/-- A sum of wrapped numbers is the wrapped sum. -/
theorem sumWrapping_eq (xs : List Int) : sumWrapping (xs.map wrap) = wrap xs.sum := by
  induction xs with
  | nil => simp [sumWrapping, wrap]
  | cons x xs ih => simp only [List.map_cons, sumWrapping, ih, List.sum_cons, wrap, BitVec.ofInt_add]

/-- The sum of the activations, too. -/
theorem rowSum_wraps_eq (activations : List Int) :
    sumWrapping (activations.map wrap) = wrap (rowSum activations) := sumWrapping_eq activations

/-- However the products are dealt out to threads and in whatever order each adds its share, all in 32-bit registers. -/
theorem acc_wraps_regroup {narrowGain firstRow : Nat} {activations column : List Int} {shares : List (List Int)}
    (order : shares.flatten.Perm (rowProducts narrowGain firstRow activations column)) :
    sumWrapping (shares.map fun share => sumWrapping (share.map wrap))
      = wrap (accumulate narrowGain firstRow activations column) := by
  have each : shares.map (fun share => sumWrapping (share.map wrap)) = (shares.map List.sum).map wrap := by
    rw [List.map_map]
    exact List.map_congr_left fun share _ => sumWrapping_eq share
  rw [each, sumWrapping_eq, acc_regroup order]

/-- A register holds an integer that fits int32 as it is. -/
theorem wrap_toInt {x : Int} (h : x.natAbs ≤ 2 ^ 31 - 1) : (wrap x).toInt = x :=
  BitVec.toInt_ofInt_eq_self (by decide) (by omega) (by omega)

/-- For every length whose accumulators fit int32, the wrapped accumulator is the exact integer. -/
theorem acc_wraps_exact {narrowGain firstRow : Nat} {activations column : List Int} (hg : IsNarrowGain narrowGain)
    (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i])
    (rows : column.length ≤ maxAccumulatorRows narrowGain) :
    (accumulateWrapping narrowGain firstRow activations column).toInt
      = accumulate narrowGain firstRow activations column := by
  rw [acc_wraps_eq, wrap_toInt (acc_fits_int32 hg int8 lanes rows)]

/-- And so is the wrapped sum of a legal group's activations. -/
theorem rowSum_wraps_exact {activations : List Int} (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (rows : activations.length ≤ maxGroupRows) :
    (sumWrapping (activations.map wrap)).toInt = rowSum activations := by
  rw [rowSum_wraps_eq, wrap_toInt (rowSum_fits_int32 int8 rows)]

/-- With one row more wrap-around arithmetic can be wrong: some legal input makes it differ from the exact integer. -/
theorem acc_wraps_wrong_of_longer {narrowGain rows : Nat} (hg : IsNarrowGain narrowGain)
    (longer : maxAccumulatorRows narrowGain < rows) :
    ∃ activations column : List Int, activations.length = rows ∧ column.length = rows
      ∧ (∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127) ∧ (∀ i (h : i < column.length), InLane i column[i])
      ∧ (accumulateWrapping narrowGain 0 activations column).toInt ≠ accumulate narrowGain 0 activations column := by
  obtain ⟨activations, column, ha, hq, int8, lanes, over⟩ := canOverflow_of_longer hg longer
  refine ⟨activations, column, ha, hq, int8, lanes, fun same => ?_⟩
  have := BitVec.toInt_lt (x := accumulateWrapping narrowGain 0 activations column)
  omega

end Q35
