module

public import Q35.Thm.Accumulator

@[expose] public noncomputable section

/-!
# Accumulators fit int32, and one row more would not

For int8 activations and integers in their lanes. The bound holds for every partial sum too, whatever the order.
-/

namespace Q35

variable {narrowGain firstRow : Nat} {activations column : List Int}

/-- A longer run of rows has no smaller bound. -/
theorem accumulatorBound_mono {rows rows' : Nat} (h : rows ≤ rows') (narrowGain : Nat) :
    accumulatorBound rows narrowGain ≤ accumulatorBound rows' narrowGain := by
  have wide : (rows + 1) / 2 ≤ (rows' + 1) / 2 := by omega
  have narrow : rows / 2 ≤ rows' / 2 := by omega
  exact Nat.add_le_add (Nat.mul_le_mul_left _ wide) (Nat.mul_le_mul_left _ narrow)

/-- The bound of a run of rows that begins at an odd row. -/
def oddAccumulatorBound (rows narrowGain : Nat) : Nat := 1024 * (rows / 2) + 512 * narrowGain * ((rows + 1) / 2)

/-- One row more at the front: what it adds to the bound, which then counts rows from the other lane on. -/
theorem accumulatorBound_succ (rows narrowGain : Nat) :
    accumulatorBound (rows + 1) narrowGain = 1024 + oddAccumulatorBound rows narrowGain
      ∧ oddAccumulatorBound (rows + 1) narrowGain = 512 * narrowGain + accumulatorBound rows narrowGain := by
  have next : (rows + 1 + 1) / 2 = rows / 2 + 1 := by omega
  simp only [accumulatorBound, oddAccumulatorBound, next, Nat.mul_succ]
  omega

/-- Beginning at an odd row does not make the bound larger. -/
theorem oddAccumulatorBound_le (rows : Nat) (hg : IsNarrowGain narrowGain) :
    oddAccumulatorBound rows narrowGain ≤ accumulatorBound rows narrowGain := by
  rcases hg with rfl | rfl <;> simp only [oddAccumulatorBound, accumulatorBound] <;> omega

/-- A wide row adds at most 128·8, a narrow one at most 128·4·gain. -/
theorem product_natAbs_le {a q : Int} (row narrowGain : Nat) (int8 : -128 ≤ a ∧ a ≤ 127) (lane : InLane row q) :
    (laneGain row narrowGain * a * q : Int).natAbs ≤ if row % 2 = 0 then 1024 else 512 * narrowGain := by
  have ha : a.natAbs ≤ 128 := by omega
  rw [Int.natAbs_mul, Int.natAbs_mul, Int.natAbs_natCast]
  simp only [InLane, laneLow, laneHigh, laneGain] at *
  split at lane <;> rename_i parity <;> simp only [parity, ↓reduceIte]
  · have := Nat.mul_le_mul ha (show q.natAbs ≤ 8 by omega)
    rw [Nat.one_mul]
    omega
  · have := Nat.mul_le_mul_left narrowGain (Nat.mul_le_mul ha (show q.natAbs ≤ 4 by omega))
    rw [Nat.mul_assoc]
    omega

theorem magnitudes_rowProducts (narrowGain firstRow : Nat) {activations column : List Int}
    (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i]) :
    magnitudes (rowProducts narrowGain firstRow activations column)
      ≤ if firstRow % 2 = 0 then accumulatorBound column.length narrowGain
        else oddAccumulatorBound column.length narrowGain := by
  induction activations generalizing firstRow column with
  | nil => simp [rowProducts, magnitudes]
  | cons a activations ih =>
    cases column with
    | nil => simp [rowProducts, magnitudes]
    | cons q column =>
      have product := product_natAbs_le firstRow narrowGain (int8 a (by simp)) (lanes 0 (by simp))
      have others := ih (firstRow + 1) (column := column) (fun b hb => int8 b (by simp [hb])) (fun i h => by
        have := lanes (i + 1) (by simpa using h)
        rwa [List.getElem_cons_succ, show firstRow + (i + 1) = firstRow + 1 + i by omega] at this)
      have step := accumulatorBound_succ column.length narrowGain
      simp only [List.getElem_cons_zero] at product
      simp only [rowProducts, magnitudes, List.map_cons, List.sum_cons, List.length_cons] at others ⊢
      rcases Nat.mod_two_eq_zero_or_one firstRow with even | odd
      · simp only [even, show (firstRow + 1) % 2 = 1 by omega, ↓reduceIte, Nat.one_ne_zero] at product others ⊢
        omega
      · simp only [odd, show (firstRow + 1) % 2 = 0 by omega, ↓reduceIte, Nat.one_ne_zero] at product others ⊢
        omega

/-- The magnitudes of an accumulator's products sum up to at most its bound, at whatever row it begins. -/
theorem magnitudes_le_bound (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i]) :
    magnitudes (rowProducts narrowGain firstRow activations column) ≤ accumulatorBound column.length narrowGain := by
  have bound := magnitudes_rowProducts narrowGain firstRow int8 lanes
  have := oddAccumulatorBound_le column.length hg
  split at bound <;> omega

/-- An accumulator's magnitude is at most `accumulatorBound`, at whatever row it begins. -/
theorem acc_le_bound (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i]) :
    (accumulate narrowGain firstRow activations column).natAbs ≤ accumulatorBound column.length narrowGain := by
  rw [accumulate_eq_sum]
  exact Nat.le_trans (sum_natAbs_le _) (magnitudes_le_bound hg int8 lanes)

/-- So is every partial sum, of any of its products in any order: of a prefix, of a tile, of a thread's share. -/
theorem acc_partial_le_bound (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i]) {chosen others : List Int}
    (part : (chosen ++ others).Perm (rowProducts narrowGain firstRow activations column)) :
    chosen.sum.natAbs ≤ accumulatorBound column.length narrowGain :=
  Nat.le_trans (partial_sum_le part) (magnitudes_le_bound hg int8 lanes)

/-- A legal group is short enough for either gain. -/
theorem maxGroupRows_le (narrowGain : Nat) : maxGroupRows ≤ maxAccumulatorRows narrowGain := by
  simp only [maxGroupRows, maxAccumulatorRows]
  split <;> omega

/-- Up to 2 097 151 rows with gain 2, and 2 796 202 with gain 1, the bound fits int32; with one row more it does not. -/
theorem accumulatorBound_fits_iff {rows : Nat} (hg : IsNarrowGain narrowGain) :
    accumulatorBound rows narrowGain ≤ 2 ^ 31 - 1 ↔ rows ≤ maxAccumulatorRows narrowGain := by
  rcases hg with rfl | rfl <;> simp [accumulatorBound, maxAccumulatorRows] <;> omega

/-- **Accumulators fit int32**: up to 2 097 151 rows with gain 2, and up to 2 796 202 rows with gain 1. -/
theorem acc_fits_int32 (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i])
    (rows : column.length ≤ maxAccumulatorRows narrowGain) :
    (accumulate narrowGain firstRow activations column).natAbs ≤ 2 ^ 31 - 1 :=
  Nat.le_trans (acc_le_bound hg int8 lanes) ((accumulatorBound_fits_iff hg).mpr rows)

/-- No partial sum leaves int32 either: any of the products, added in any order. -/
theorem acc_partial_fits_int32 (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i])
    (rows : column.length ≤ maxAccumulatorRows narrowGain) {chosen others : List Int}
    (part : (chosen ++ others).Perm (rowProducts narrowGain firstRow activations column)) :
    chosen.sum.natAbs ≤ 2 ^ 31 - 1 :=
  Nat.le_trans (acc_partial_le_bound hg int8 lanes part) ((accumulatorBound_fits_iff hg).mpr rows)

/-- After any number of rows, what a loop has accumulated so far fits int32. -/
theorem acc_prefix_fits_int32 (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ i (h : i < column.length), InLane (firstRow + i) column[i])
    (rows : column.length ≤ maxAccumulatorRows narrowGain) (done : Nat) :
    (accumulate narrowGain firstRow (activations.take done) (column.take done)).natAbs ≤ 2 ^ 31 - 1 := by
  apply acc_fits_int32 hg (fun a ha => int8 a (List.mem_of_mem_take ha))
  · intro i h
    rw [List.getElem_take]
    exact lanes i (by rw [List.length_take] at h; omega)
  · rw [List.length_take]
    omega

/-! ## Sums of activations -/

theorem magnitudes_le_of_int8 (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127) :
    magnitudes activations ≤ 128 * activations.length := by
  induction activations with
  | nil => simp [magnitudes]
  | cons a activations ih =>
    have here := int8 a (by simp)
    have there := ih (fun b hb => int8 b (by simp [hb]))
    simp only [magnitudes, List.map_cons, List.sum_cons, List.length_cons] at there ⊢
    omega

/-- The sum of `n` activations is at most `128·n` in magnitude. -/
theorem rowSum_le_bound (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127) :
    (rowSum activations).natAbs ≤ 128 * activations.length :=
  Nat.le_trans (sum_natAbs_le _) (magnitudes_le_of_int8 int8)

/-- The sum of the activations of a legal group fits int32. -/
theorem rowSum_fits_int32 (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (rows : activations.length ≤ maxGroupRows) : (rowSum activations).natAbs ≤ 2 ^ 31 - 1 := by
  have := rowSum_le_bound int8
  unfold maxGroupRows at rows
  omega

/-- So does every partial sum of them, in any order. -/
theorem rowSum_partial_fits_int32 (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (rows : activations.length ≤ maxGroupRows) {chosen others : List Int} (part : (chosen ++ others).Perm activations) :
    chosen.sum.natAbs ≤ 2 ^ 31 - 1 := by
  have := partial_sum_le part
  have := magnitudes_le_of_int8 int8
  unfold maxGroupRows at rows
  omega

/-! ## The bounds are tight -/

/-- The integers of least value of `rows` rows from row `firstRow` on. -/
def lowestColumn (firstRow rows : Nat) : List Int := tabulate laneLow firstRow rows

theorem accumulate_lowest (firstRow rows narrowGain : Nat) :
    accumulate narrowGain firstRow (List.replicate rows (-128)) (lowestColumn firstRow rows)
      = if firstRow % 2 = 0 then (accumulatorBound rows narrowGain : Int)
        else oddAccumulatorBound rows narrowGain := by
  induction rows generalizing firstRow with
  | zero => simp [accumulate, lowestColumn, tabulate, accumulatorBound, oddAccumulatorBound]
  | succ rows ih =>
    have step := accumulatorBound_succ rows narrowGain
    have others := ih (firstRow + 1)
    simp only [List.replicate_succ, lowestColumn, tabulate, accumulate] at others ⊢
    rcases Nat.mod_two_eq_zero_or_one firstRow with even | odd
    · simp only [even, laneGain, laneLow, show (firstRow + 1) % 2 = 1 by omega, ↓reduceIte, Nat.one_ne_zero] at others ⊢
      omega
    · simp only [odd, laneGain, laneLow, show (firstRow + 1) % 2 = 0 by omega, ↓reduceIte, Nat.one_ne_zero] at others ⊢
      omega

/-- The bound is attained, for any number of rows: every activation -128, every integer the least of its lane. -/
theorem accumulatorBound_attained {firstRow : Nat} (rows narrowGain : Nat) (even : firstRow % 2 = 0) :
    accumulate narrowGain firstRow (List.replicate rows (-128)) (lowestColumn firstRow rows)
      = accumulatorBound rows narrowGain := by
  rw [accumulate_lowest, if_pos even]

theorem lowestColumn_length (firstRow rows : Nat) : (lowestColumn firstRow rows).length = rows := tabulate_length ..

theorem lowestColumn_inLanes (firstRow rows : Nat) :
    ∀ i (h : i < (lowestColumn firstRow rows).length), InLane (firstRow + i) (lowestColumn firstRow rows)[i] := by
  intro i h
  have entry := tabulate_getElem? laneLow firstRow rows i
  rw [lowestColumn_length] at h
  rw [if_pos h] at entry
  have value : (lowestColumn firstRow rows)[i] = laneLow (firstRow + i) :=
    (List.getElem_eq_iff _).mpr entry
  rw [value]
  simp only [InLane, laneLow, laneHigh]
  split <;> decide

/-- The limit is tight for either gain: from one row more on, accumulators can leave int32. -/
theorem canOverflow_of_longer {rows : Nat} (hg : IsNarrowGain narrowGain)
    (longer : maxAccumulatorRows narrowGain < rows) : CanOverflow rows narrowGain := by
  refine ⟨List.replicate rows (-128), lowestColumn 0 rows, by simp, lowestColumn_length .., ?_, ?_, ?_⟩
  · intro a ha
    rw [(List.mem_replicate.mp ha).2]
    decide
  · have := lowestColumn_inLanes 0 rows
    simpa only [Nat.zero_add] using this
  · have over := mt (accumulatorBound_fits_iff (rows := rows) hg).mp (by omega)
    rw [accumulatorBound_attained rows narrowGain rfl]
    omega

/-- **One row more overflows int32**: 2 097 152 rows with gain 2, and 2 796 203 rows with gain 1. -/
theorem acc_overflows_at : CanOverflow 2097152 2 ∧ CanOverflow 2796203 1 :=
  ⟨canOverflow_of_longer (.inr rfl) (by decide), canOverflow_of_longer (.inl rfl) (by decide)⟩

end Q35
