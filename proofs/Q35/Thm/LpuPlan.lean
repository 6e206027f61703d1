module

public import Q35.Spec.LpuWellFormed

@[expose] public noncomputable section

/-!
# Facts about a plan's quantities

Bounds, divisibility and positivity, each of which a theorem about the schedule needs.
-/

namespace Q35.Lpu

/-! ## Quotients that are rounded up -/

theorem ceilDiv_le_iff {a b c : Nat} (hb : 0 < b) : ceilDiv a b ≤ c ↔ a ≤ c * b := by
  rw [ceilDiv, ← Nat.lt_succ_iff, Nat.div_lt_iff_lt_mul hb, Nat.succ_mul]
  omega

theorem le_ceilDiv_mul (a : Nat) {b : Nat} (hb : 0 < b) : a ≤ ceilDiv a b * b :=
  (ceilDiv_le_iff hb).mp (Nat.le_refl _)

theorem ceilDiv_pos {a b : Nat} (ha : 0 < a) (hb : 0 < b) : 0 < ceilDiv a b := by
  have := le_ceilDiv_mul a hb
  rcases Nat.eq_zero_or_pos (ceilDiv a b) with zero | positive
  · rw [zero] at this
    omega
  · exact positive

theorem ceilDiv_mono {a a' b : Nat} (hb : 0 < b) (h : a ≤ a') : ceilDiv a b ≤ ceilDiv a' b :=
  (ceilDiv_le_iff hb).mpr (Nat.le_trans h (le_ceilDiv_mul a' hb))

theorem ceilDiv_ceilDiv (a : Nat) {b c : Nat} (hb : 0 < b) (hc : 0 < c) :
    ceilDiv (ceilDiv a b) c = ceilDiv a (b * c) := by
  have same : ∀ d, ceilDiv (ceilDiv a b) c ≤ d ↔ ceilDiv a (b * c) ≤ d := fun d => by
    rw [ceilDiv_le_iff hc, ceilDiv_le_iff hb, ceilDiv_le_iff (Nat.mul_pos hb hc), Nat.mul_comm b c, Nat.mul_assoc]
  exact Nat.le_antisymm ((same _).mpr (Nat.le_refl _)) ((same _).mp (Nat.le_refl _))

theorem lt_of_mul_lt_ceilDiv {a b i : Nat} (hb : 0 < b) (h : i < ceilDiv a b) : i * b < a := by
  rcases Nat.lt_or_ge (i * b) a with less | more
  · exact less
  · have := (ceilDiv_le_iff hb).mpr more
    omega

theorem div_lt_ceilDiv {a b i : Nat} (hb : 0 < b) (h : i < a) : i / b < ceilDiv a b := by
  rw [Nat.div_lt_iff_lt_mul hb]
  exact Nat.lt_of_lt_of_le h (le_ceilDiv_mul a hb)

/-! ## Maxima -/

theorem le_foldr_max {α : Type} (f : α → Nat) {xs : List α} {x : α} (h : x ∈ xs) :
    f x ≤ xs.foldr (fun y most => max (f y) most) 0 := by
  induction xs with
  | nil => simp at h
  | cons y rest ih =>
    rcases List.mem_cons.mp h with rfl | h
    · simp only [List.foldr_cons]
      omega
    · have := ih h
      simp only [List.foldr_cons]
      omega

theorem exists_foldr_max {α : Type} (f : α → Nat) {xs : List α} (h : xs ≠ []) :
    ∃ x ∈ xs, f x = xs.foldr (fun y most => max (f y) most) 0 := by
  induction xs with
  | nil => exact absurd rfl h
  | cons y rest ih =>
    simp only [List.foldr_cons]
    by_cases empty : rest = []
    · subst empty
      exact ⟨y, List.mem_cons_self, by simp⟩
    · obtain ⟨x, there, equal⟩ := ih empty
      rcases Nat.le_total (f y) (f x) with less | more
      · exact ⟨x, List.mem_cons_of_mem _ there, by omega⟩
      · exact ⟨y, List.mem_cons_self, by omega⟩

theorem foldr_min_le {α : Type} (f : α → Nat) (start : Nat) (xs : List α) :
    xs.foldr (fun y least => min (f y) least) start ≤ start
      ∧ ∀ x ∈ xs, xs.foldr (fun y least => min (f y) least) start ≤ f x := by
  induction xs with
  | nil => simp
  | cons y rest ih =>
    simp only [List.foldr_cons, List.forall_mem_cons]
    exact ⟨by omega, by omega, fun x there => by have := ih.2 x there; omega⟩

namespace Table

theorem firstPlacement_le {table : Table} {placement : Placement} (h : placement ∈ table.placements) :
    table.firstPlacement ≤ placement.cycle := by
  unfold firstPlacement
  cases equal : table.placements with
  | nil => rw [equal] at h; simp at h
  | cons first rest =>
    rw [equal] at h
    have := foldr_min_le (·.cycle) first.cycle rest
    rcases List.mem_cons.mp h with rfl | h
    · exact this.1
    · exact this.2 _ h

theorem le_lastPlacement {table : Table} {placement : Placement} (h : placement ∈ table.placements) :
    placement.cycle ≤ table.lastPlacement := le_foldr_max (·.cycle) h

variable {table : Table} {machine : Machine} {periodBytes : Nat}

theorem exists_placement (wf : table.WellFormed machine periodBytes) {plane row : Nat} (hplane : plane < 2)
    (hrow : row < 8) : ∃ placement ∈ table.placements, placement.plane = plane ∧ placement.row = row := by
  have one := wf.covers plane (List.mem_range.mpr hplane) row (List.mem_range.mpr hrow)
  match equal : table.placements.filter (fun placement => placement.plane == plane && placement.row == row) with
  | [] => rw [equal] at one; simp at one
  | placement :: _ =>
    have there : placement ∈ table.placements.filter
        (fun placement => placement.plane == plane && placement.row == row) := by
      rw [equal]
      exact List.mem_cons_self
    exact ⟨placement, by simpa using List.mem_filter.mp there⟩

theorem latency_le_last (wf : table.WellFormed machine periodBytes) : machine.memoryLatency ≤ table.lastPlacement := by
  obtain ⟨placement, there, -⟩ := exists_placement wf (plane := 0) (row := 0) (by decide) (by decide)
  exact Nat.le_trans (wf.placements placement there).1 (le_lastPlacement there)

end Table

/-! ## Plans -/

namespace Plan

variable {p : Plan}

theorem tileRows_pos (wf : p.WellFormed) : 0 < p.tileRows := by
  have := wf.rows
  unfold tileRows
  omega

theorem groupLength_pos' (wf : p.WellFormed) : 0 < groupLength p.k p.groupSize := by
  have := wf.k
  unfold groupLength
  split <;> omega

theorem groups_eq : p.groups = ceilDiv p.k (groupLength p.k p.groupSize) := rfl

theorem groups_pos (wf : p.WellFormed) : 0 < p.groups := by
  rw [groups_eq]
  exact ceilDiv_pos wf.k (groupLength_pos' wf)

theorem rowTiles_pos (wf : p.WellFormed) : 0 < p.rowTiles := ceilDiv_pos wf.k (tileRows_pos wf)

theorem columnTiles_pos (wf : p.WellFormed) : 0 < p.columnTiles :=
  ceilDiv_pos wf.n (Nat.mul_pos wf.lanes wf.hemispheres)

theorem ownTiles_zero (wf : p.WellFormed) : p.ownTiles 0 = p.columnTiles := by
  rw [ownTiles, Nat.sub_zero, ceilDiv_ceilDiv _ wf.lanes wf.hemispheres, columnTiles]

theorem ownTiles_le (wf : p.WellFormed) (h : Nat) : p.ownTiles h ≤ p.columnTiles := by
  rw [← ownTiles_zero wf]
  exact ceilDiv_mono wf.hemispheres (by omega)

theorem blocks_pos (wf : p.WellFormed) : 0 < p.blocks := by
  have := wf.rows
  simp only [blocks, tileRows, blockRows, wordBytes, periodRows]
  omega

/-- A plane's rows are those of its blocks. -/
theorem rows_eq (wf : p.WellFormed) : p.machine.rows = p.blocks * 32 := by
  have := wf.rows
  simp only [blocks, tileRows, blockRows, wordBytes, periodRows]
  omega

theorem groupsIn_pos (wf : p.WellFormed) {tile : Nat} (h : tile < p.rowTiles) : 0 < p.groupsIn tile := by
  have begun := lt_of_mul_lt_ceilDiv (tileRows_pos wf) h
  have more : tile * p.tileRows < (tile + 1) * p.tileRows := by
    rw [Nat.succ_mul]
    have := tileRows_pos wf
    omega
  have := Nat.div_le_div_right (c := groupLength p.k p.groupSize)
    (show tile * p.tileRows ≤ min ((tile + 1) * p.tileRows) p.k - 1 by omega)
  simp only [groupsIn, tileGroups]
  omega

theorem groupsIn_le {tile : Nat} (h : tile < p.rowTiles) : p.groupsIn tile ≤ p.mostGroups :=
  le_foldr_max p.groupsIn (List.mem_range.mpr h)

theorem mostGroups_pos (wf : p.WellFormed) : 0 < p.mostGroups :=
  Nat.lt_of_lt_of_le (groupsIn_pos wf (rowTiles_pos wf)) (groupsIn_le (rowTiles_pos wf))

theorem slots_pos (wf : p.WellFormed) : 0 < p.slots := Nat.mul_pos wf.m (mostGroups_pos wf)

theorem interval_dvd_period (p : Plan) : p.table.interval ∣ p.period := ⟨_, Nat.mul_comm _ _⟩

theorem le_period (wf : p.WellFormed) : max (p.blocks * p.table.interval)
    (p.slots + (p.table.lastPlacement + 1 - p.table.firstPlacement - p.table.interval)) ≤ p.period :=
  le_ceilDiv_mul _ wf.table.interval

theorem blocks_le_period (wf : p.WellFormed) : p.blocks * p.table.interval ≤ p.period := by
  have := le_period wf
  omega

theorem slots_le_period (wf : p.WellFormed) : p.slots ≤ p.period := by
  have := le_period wf
  omega

/-- Two jobs take no less time than the installs and the activation vectors of one. -/
theorem installed_le_periods (wf : p.WellFormed) :
    p.installed + p.slots ≤ 2 * p.period + p.table.firstPlacement := by
  have most := le_period wf
  have first : p.table.firstPlacement ≤ p.table.lastPlacement := by
    obtain ⟨placement, there, -⟩ := Table.exists_placement wf.table (plane := 0) (row := 0) (by decide) (by decide)
    exact Nat.le_trans (Table.firstPlacement_le there) (Table.le_lastPlacement there)
  have split : p.blocks * p.table.interval = (p.blocks - 1) * p.table.interval + p.table.interval := by
    rw [← Nat.succ_mul]
    congr 1
    have := blocks_pos wf
    omega
  simp only [installed]
  omega

theorem latency_lt_installed (wf : p.WellFormed) : p.machine.memoryLatency < p.installed := by
  have := Table.latency_le_last wf.table
  simp only [installed]
  omega

theorem interleaved_pos (wf : p.WellFormed) : 0 < p.interleaved := by
  have := wf.aluLatency
  unfold interleaved
  split <;> omega

end Plan

end Q35.Lpu
