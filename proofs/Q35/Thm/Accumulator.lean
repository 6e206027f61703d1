module

public import Q35.Thm.Lanes
public import Q35.Spec.Matmul

@[expose] public noncomputable section

/-!
# Accumulators: splitting a sum changes nothing, and every sum on the way fits int32

`rowProducts` lists the products that an accumulator adds up. However they are dealt out to groups, tiles or threads and
in whatever order they are added, the total is the same, and no partial sum is larger than `accumulatorBound`.
-/

namespace Q35

/-! ## Sums of integers -/

theorem sum_append (xs ys : List Int) : (xs ++ ys).sum = xs.sum + ys.sum := by
  induction xs with
  | nil => simp
  | cons x xs ih => simp only [List.cons_append, List.sum_cons, ih]; omega

theorem sum_flatten (parts : List (List Int)) : parts.flatten.sum = (parts.map List.sum).sum := by
  induction parts with
  | nil => rfl
  | cons part parts ih => simp [sum_append, ih]

theorem sum_perm {xs ys : List Int} (h : xs.Perm ys) : xs.sum = ys.sum := by
  induction h with
  | nil => rfl
  | cons x _ ih => simp [ih]
  | swap x y rest => simp only [List.sum_cons]; omega
  | trans _ _ ih₁ ih₂ => exact ih₁.trans ih₂

/-- The sum of the magnitudes of integers. -/
def magnitudes (xs : List Int) : Nat := (xs.map Int.natAbs).sum

theorem magnitudes_perm {xs ys : List Int} (h : xs.Perm ys) : magnitudes xs = magnitudes ys :=
  List.Perm.sum_nat (h.map _)

theorem sum_natAbs_le (xs : List Int) : xs.sum.natAbs ≤ magnitudes xs := by
  induction xs with
  | nil => simp [magnitudes]
  | cons x xs ih =>
    simp only [magnitudes, List.map_cons, List.sum_cons] at ih ⊢
    omega

/-- A sum of some of a list's integers, in any order, is at most the sum of the magnitudes of all of them. -/
theorem partial_sum_le {chosen others all : List Int} (h : (chosen ++ others).Perm all) :
    chosen.sum.natAbs ≤ magnitudes all := by
  have own := sum_natAbs_le chosen
  have total := magnitudes_perm h
  simp only [magnitudes, List.map_append, List.sum_append_nat] at own total ⊢
  omega

theorem rowSum_eq_sum (activations : List Int) : rowSum activations = activations.sum := rfl

/-! ## Splitting -/

/-- The products that an accumulator adds up, row by row. -/
def rowProducts (narrowGain : Nat) (firstRow : Nat) : List Int → List Int → List Int
  | a :: activations, q :: column =>
    laneGain firstRow narrowGain * a * q :: rowProducts narrowGain (firstRow + 1) activations column
  | _, _ => []

/-- An accumulator is the sum of its products. -/
theorem accumulate_eq_sum (narrowGain firstRow : Nat) (activations column : List Int) :
    accumulate narrowGain firstRow activations column = (rowProducts narrowGain firstRow activations column).sum := by
  induction activations generalizing firstRow column with
  | nil => simp [accumulate, rowProducts]
  | cons a activations ih => cases column <;> simp [accumulate, rowProducts, ih]

/-- An accumulator over two runs of rows, one after the other, is the sum of their accumulators. -/
theorem acc_append (narrowGain firstRow : Nat) {a₁ q₁ : List Int} (a₂ q₂ : List Int) (same : a₁.length = q₁.length) :
    accumulate narrowGain firstRow (a₁ ++ a₂) (q₁ ++ q₂)
      = accumulate narrowGain firstRow a₁ q₁ + accumulate narrowGain (firstRow + a₁.length) a₂ q₂ := by
  induction a₁ generalizing firstRow q₁ with
  | nil =>
    obtain rfl : q₁ = [] := by simpa using same.symm
    simp [accumulate]
  | cons a a₁ ih =>
    cases q₁ with
    | nil => simp at same
    | cons q q₁ =>
      have next : firstRow + 1 + a₁.length = firstRow + (a₁.length + 1) := by omega
      simp only [List.cons_append, accumulate, ih (firstRow + 1) (by simpa using same), List.length_cons, next]
      omega

/-- The sum of two runs of activations is the sum of their sums. -/
theorem rowSum_append (a₁ a₂ : List Int) : rowSum (a₁ ++ a₂) = rowSum a₁ + rowSum a₂ := sum_append a₁ a₂

/-- The accumulators of tiles of rows, one after the other. A tile holds its activations and its integers. -/
def tileAccumulators (narrowGain : Nat) (firstRow : Nat) : List (List Int × List Int) → List Int
  | [] => []
  | tile :: tiles =>
    accumulate narrowGain firstRow tile.1 tile.2 :: tileAccumulators narrowGain (firstRow + tile.1.length) tiles

/-- An accumulator is the sum of the accumulators of its tiles, however long each tile is. -/
theorem acc_flatten (narrowGain firstRow : Nat) {tiles : List (List Int × List Int)}
    (same : ∀ tile ∈ tiles, tile.1.length = tile.2.length) :
    accumulate narrowGain firstRow (tiles.map (·.1)).flatten (tiles.map (·.2)).flatten
      = (tileAccumulators narrowGain firstRow tiles).sum := by
  induction tiles generalizing firstRow with
  | nil => simp [accumulate, tileAccumulators]
  | cons tile tiles ih =>
    have here := same tile (by simp)
    have there := ih (firstRow + tile.1.length) (fun other h => same other (by simp [h]))
    simp only [List.map_cons, List.flatten_cons, tileAccumulators, List.sum_cons, ← there]
    exact acc_append narrowGain firstRow _ _ here

/-- The tiles' accumulators may be added in any order. -/
theorem acc_flatten_perm (narrowGain firstRow : Nat) {tiles : List (List Int × List Int)} {partials : List Int}
    (same : ∀ tile ∈ tiles, tile.1.length = tile.2.length)
    (order : partials.Perm (tileAccumulators narrowGain firstRow tiles)) :
    partials.sum = accumulate narrowGain firstRow (tiles.map (·.1)).flatten (tiles.map (·.2)).flatten := by
  rw [sum_perm order, acc_flatten narrowGain firstRow same]

/-- The products may be dealt out to any number of threads in any way, each may add its share in any order: the sum
of the threads' sums is the accumulator. -/
theorem acc_regroup {narrowGain firstRow : Nat} {activations column : List Int} {shares : List (List Int)}
    (order : shares.flatten.Perm (rowProducts narrowGain firstRow activations column)) :
    (shares.map List.sum).sum = accumulate narrowGain firstRow activations column := by
  rw [← sum_flatten, sum_perm order, accumulate_eq_sum]

/-- The same for the sum of the activations. -/
theorem rowSum_regroup {activations : List Int} {shares : List (List Int)}
    (order : shares.flatten.Perm activations) : (shares.map rowSum).sum = rowSum activations := by
  have same : shares.map rowSum = shares.map List.sum := rfl
  rw [same, ← sum_flatten, sum_perm order, rowSum_eq_sum]

end Q35
