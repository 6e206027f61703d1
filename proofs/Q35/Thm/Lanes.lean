module

public import Q35.Spec.Lanes

@[expose] public noncomputable section

/-!
# The groups of a column split its rows

`groupRows k groupSize` lists runs of consecutive rows that begin at row 0, end at row `k`, leave no row out and take
none twice; each is at most `groupLength` rows long and begins at a multiple of the group size.
-/

namespace Q35

theorem tabulate_length {α : Type} (f : Nat → α) (first count : Nat) : (tabulate f first count).length = count := by
  induction count generalizing first with
  | zero => rfl
  | succ count ih => simp [tabulate, ih]

theorem tabulate_getElem? {α : Type} (f : Nat → α) (first count i : Nat) :
    (tabulate f first count)[i]? = if i < count then some (f (first + i)) else none := by
  induction count generalizing first i with
  | zero => simp [tabulate]
  | succ count ih =>
    cases i with
    | zero => simp [tabulate]
    | succ i => simp [tabulate, ih, show first + 1 + i = first + (i + 1) by omega]

theorem mem_tabulate {α : Type} {f : Nat → α} {first count : Nat} {x : α} :
    x ∈ tabulate f first count ↔ ∃ i, i < count ∧ x = f (first + i) := by
  simp [List.mem_iff_getElem?, tabulate_getElem?, eq_comm]

/-- A longest group of a column has at least one row. -/
theorem groupLength_pos {k : Nat} (groupSize : Nat) (hk : 1 ≤ k) : 1 ≤ groupLength k groupSize := by
  unfold groupLength; split <;> omega

/-- A group is no longer than its column. -/
theorem groupLength_le (k groupSize : Nat) : groupLength k groupSize ≤ k := by
  unfold groupLength; split <;> omega

/-- A group is no longer than the group size that was asked for, unless that is 0. -/
theorem groupLength_le_groupSize (k : Nat) {groupSize : Nat} (h : 1 ≤ groupSize) :
    groupLength k groupSize ≤ groupSize := by
  unfold groupLength; split <;> omega

/-- `G` groups of the full length hold all rows, and `G - 1` do not. -/
theorem groupCount_bounds {k : Nat} (groupSize : Nat) (hk : 1 ≤ k) :
    (groupCount k groupSize - 1) * groupLength k groupSize < k ∧
      k ≤ groupCount k groupSize * groupLength k groupSize := by
  have hpos := groupLength_pos groupSize hk
  have h := Nat.div_add_mod (k + groupLength k groupSize - 1) (groupLength k groupSize)
  have hmod := Nat.mod_lt (k + groupLength k groupSize - 1) (y := groupLength k groupSize) (by omega)
  rw [show (k + groupLength k groupSize - 1) / groupLength k groupSize = groupCount k groupSize from rfl] at h
  rw [Nat.mul_comm] at h
  rw [Nat.sub_mul, Nat.one_mul]
  omega

/-- A column of at least one row has at least one group. -/
theorem groupCount_pos {k : Nat} (groupSize : Nat) (hk : 1 ≤ k) : 1 ≤ groupCount k groupSize := by
  have h := (groupCount_bounds groupSize hk).2
  rcases Nat.eq_zero_or_pos (groupCount k groupSize) with h0 | h0
  · rw [h0] at h; omega
  · exact h0

/-- Group size 0 makes one group of all rows. -/
theorem groupRows_zero {k : Nat} (hk : 1 ≤ k) : groupRows k 0 = [(0, k)] := by
  have hcount : groupCount k 0 = 1 := by
    simp only [groupCount, groupLength, if_true]
    exact Nat.div_eq_of_lt_le (by omega) (by omega)
  simp [groupRows, hcount, tabulate, groupRange, groupLength]

/-- There are `G` groups. -/
theorem groupRows_length (k groupSize : Nat) : (groupRows k groupSize).length = groupCount k groupSize :=
  tabulate_length ..

/-- Entry `g` of the groups is `groupRange k groupSize g`. -/
theorem groupRows_getElem? (k groupSize g : Nat) :
    (groupRows k groupSize)[g]? = if g < groupCount k groupSize then some (groupRange k groupSize g) else none := by
  simp [groupRows, tabulate_getElem?]

/-- The groups are exactly `groupRange k groupSize g` for `g < G`. -/
theorem mem_groupRows {k groupSize : Nat} {rows : Nat × Nat} :
    rows ∈ groupRows k groupSize ↔ ∃ g, g < groupCount k groupSize ∧ rows = groupRange k groupSize g := by
  simp [groupRows, mem_tabulate]

/-- The full groups before group `g` do not fill the column. -/
theorem mul_groupLength_lt {k groupSize g : Nat} (hk : 1 ≤ k) (hg : g < groupCount k groupSize) :
    g * groupLength k groupSize < k :=
  Nat.lt_of_le_of_lt (Nat.mul_le_mul_right _ (by omega : g ≤ groupCount k groupSize - 1))
    (groupCount_bounds groupSize hk).1

/-- The first group begins at row 0. -/
theorem groupRange_first (k groupSize : Nat) : (groupRange k groupSize 0).1 = 0 := by simp [groupRange]

/-- A group ends where the next one begins. -/
theorem groupRange_consecutive {k groupSize g : Nat} (hk : 1 ≤ k) (hg : g + 1 < groupCount k groupSize) :
    (groupRange k groupSize g).2 = (groupRange k groupSize (g + 1)).1 := by
  have h := mul_groupLength_lt hk hg
  simp only [groupRange]
  rw [Nat.succ_mul] at h ⊢
  omega

/-- The last group ends at row `k`. -/
theorem groupRange_last {k groupSize : Nat} (hk : 1 ≤ k) :
    (groupRange k groupSize (groupCount k groupSize - 1)).2 = k := by
  have h := (groupCount_bounds groupSize hk).2
  have hpos := groupCount_pos groupSize hk
  simp only [groupRange, ← Nat.succ_mul]
  rw [show (groupCount k groupSize - 1).succ = groupCount k groupSize by omega]
  omega

/-- No group is empty. -/
theorem groupRange_nonempty {k groupSize g : Nat} (hk : 1 ≤ k) (hg : g < groupCount k groupSize) :
    (groupRange k groupSize g).1 < (groupRange k groupSize g).2 := by
  have h := mul_groupLength_lt hk hg
  have hpos := groupLength_pos groupSize hk
  simp only [groupRange]
  omega

/-- No group ends after row `k`. -/
theorem groupRange_le (k groupSize g : Nat) : (groupRange k groupSize g).2 ≤ k := Nat.min_le_right ..

/-- No group is longer than `groupLength`. -/
theorem groupRange_size_le (k groupSize g : Nat) :
    (groupRange k groupSize g).2 - (groupRange k groupSize g).1 ≤ groupLength k groupSize := by
  simp only [groupRange]
  omega

/-- Every group begins at a multiple of the group size. -/
theorem groupRange_begin {k groupSize g : Nat} (hk : 1 ≤ k) (hg : g < groupCount k groupSize) :
    (groupRange k groupSize g).1 = g * groupSize := by
  have h := mul_groupLength_lt hk hg
  simp only [groupRange]
  rcases Nat.eq_zero_or_pos g with h0 | h0
  · simp [h0]
  · -- A second group begins below row `k`, so that the group size is neither 0 nor above `k`.
    have hle : groupLength k groupSize < k :=
      Nat.lt_of_le_of_lt (Nat.le_mul_of_pos_left _ h0) h
    have heq : groupLength k groupSize = groupSize := by
      revert hle
      unfold groupLength
      split <;> omega
    rw [heq]

/-- Every group begins at an even row, in the wide lane, where the group size is a multiple of 16. -/
theorem groupRange_begin_even {k groupSize g : Nat} (hk : 1 ≤ k) (hg : g < groupCount k groupSize)
    (hsize : groupSize % groupMultiple = 0) : (groupRange k groupSize g).1 % 2 = 0 := by
  have h2 : groupSize % 2 = 0 := by unfold groupMultiple at hsize; omega
  rw [groupRange_begin hk hg, Nat.mul_mod, h2]
  simp

/-- Row `row` lies in group `row / groupLength` and in no other one. -/
theorem groupRange_mem_iff {k groupSize row g : Nat} (hrow : row < k) :
    ((groupRange k groupSize g).1 ≤ row ∧ row < (groupRange k groupSize g).2) ↔ g = row / groupLength k groupSize := by
  have hpos := groupLength_pos groupSize (by omega : 1 ≤ k)
  rw [eq_comm, Nat.div_eq_iff hpos]
  simp only [groupRange]
  omega

/-- What a proof about each group of a legal column needs: it is a run of at least one row of the column, at most
`groupLength` long, that begins at an even row. -/
theorem groupRows_bounds {k groupSize : Nat} {rows : Nat × Nat} (hk : 1 ≤ k)
    (hsize : groupSize % groupMultiple = 0) (h : rows ∈ groupRows k groupSize) :
    rows.1 < rows.2 ∧ rows.2 ≤ k ∧ rows.2 - rows.1 ≤ groupLength k groupSize ∧ rows.1 % 2 = 0 := by
  obtain ⟨g, hg, rfl⟩ := mem_groupRows.mp h
  exact ⟨groupRange_nonempty hk hg, groupRange_le .., groupRange_size_le .., groupRange_begin_even hk hg hsize⟩

/-- A run of groups holds the rows from the first one's begin on, in order. -/
theorem groupRange_flatten {α : Type} (values : List α) (groupSize first count : Nat) :
    ((tabulate (groupRange values.length groupSize) first count).map
      (fun rows => (values.drop rows.1).take (rows.2 - rows.1))).flatten =
      (values.drop (first * groupLength values.length groupSize)).take
        (count * groupLength values.length groupSize) := by
  induction count generalizing first with
  | zero => simp [tabulate]
  | succ count ih =>
    simp only [tabulate, List.map_cons, List.flatten_cons, ih, groupRange]
    generalize groupLength values.length groupSize = length
    -- The end of the list cuts the first group just as `take` does.
    have hcut : (values.drop (first * length)).take (min (first * length + length) values.length - first * length) =
        (values.drop (first * length)).take length := by
      rw [List.take_eq_take_iff, List.length_drop]
      omega
    rw [hcut, Nat.succ_mul first, ← List.drop_drop, Nat.succ_mul, Nat.add_comm (count * length), List.take_add]

/-- The groups partition a column: its values, group by group, are its values in order. -/
theorem groupRows_partition {α : Type} (values : List α) (groupSize : Nat) :
    ((groupRows values.length groupSize).map
      (fun rows => (values.drop rows.1).take (rows.2 - rows.1))).flatten = values := by
  rw [groupRows, groupRange_flatten, Nat.zero_mul, List.drop_zero]
  apply List.take_of_length_le
  rcases Nat.eq_zero_or_pos values.length with h | h
  · omega
  · exact (groupCount_bounds groupSize h).2

end Q35
