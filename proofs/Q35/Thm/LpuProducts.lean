module

public import Q35.Thm.LpuSources

@[expose] public noncomputable section

/-!
# Each product is formed once

While a job's activations are streamed, its weights stand in the buffer that they are streamed past, and no others: so
each activation meets each weight of its row once.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

/-! ## What stands in a buffer -/

/-- The placement of a row is one. -/
theorem placement_unique (wf : p.WellFormed) {a b : Placement} (ha : a ∈ p.table.placements)
    (hb : b ∈ p.table.placements) (plane : a.plane = b.plane) (row : a.row = b.row) : a = b := by
  have bounds := wf.table.placements a ha
  have one := wf.table.covers a.plane (List.mem_range.mpr bounds.2.1) a.row (List.mem_range.mpr bounds.2.2)
  have inA : a ∈ p.table.placements.filter (fun c => c.plane == a.plane && c.row == a.row) := by
    simp [List.mem_filter, ha]
  have inB : b ∈ p.table.placements.filter (fun c => c.plane == a.plane && c.row == a.row) := by
    simp [List.mem_filter, hb, plane, row]
  match equal : p.table.placements.filter (fun c => c.plane == a.plane && c.row == a.row) with
  | [] => rw [equal] at one; simp at one
  | [c] =>
    rw [equal] at inA inB
    rw [List.mem_singleton.mp inA, List.mem_singleton.mp inB]
  | _ :: _ :: _ => rw [equal] at one; simp at one

/-- A job's installs come before its activation vectors, and not before those of the job before the last. -/
theorem placed_before (wf : p.WellFormed) {job block : Nat} {placement : Placement} (hb : block < p.blocks)
    (hp : placement ∈ p.table.placements) :
    p.blockBegin (job, block) + placement.cycle < p.jobsBegin + job * p.period + p.installed
      ∧ p.jobsBegin + job * p.period + p.table.firstPlacement ≤ p.blockBegin (job, block) + placement.cycle := by
  have last := Table.le_lastPlacement hp
  have first := Table.firstPlacement_le hp
  have := block_within hb
  have split : p.blocks * p.table.interval = (p.blocks - 1) * p.table.interval + p.table.interval := by
    rw [← Nat.succ_mul]
    congr 1
    omega
  have := wf.table.interval
  simp only [Plan.blockBegin, Plan.installed]
  omega

/-- The place of a word's row in a block tells its block, its row and its byte. -/
theorem row_parts {block block' row row' byte byte' : Nat} (hr : row < 8) (hr' : row' < 8) (hy : byte < wordBytes)
    (hy' : byte' < wordBytes) (same : block * 32 + row + 8 * byte = block' * 32 + row' + 8 * byte') :
    block = block' ∧ row = row' ∧ byte = byte' := by
  unfold wordBytes at hy hy'
  omega

theorem installsRow_placeWord {plane buffer row byte job block : Nat} {placement : Placement} {instr : Instr}
    (there : instr ∈ p.placeWord h placement (job, block)) (installs : Plan.InstallsRow h plane buffer row byte instr) :
    instr.cycle = p.blockBegin (job, block) + placement.cycle ∧ placement.plane = plane ∧ (job + 1) % 2 = buffer
      ∧ byte < wordBytes ∧ row = block * 32 + placement.row + 8 * byte := by
  obtain rfl := List.mem_singleton.mp there
  simp only [Plan.InstallsRow, true_and] at installs
  exact ⟨rfl, installs⟩

/-- Which block, row and byte of a plane's placement a row of a buffer is. -/
theorem placement_of_row (wf : p.WellFormed) {plane row : Nat} (small : plane < 2) (hr : row < p.machine.rows) :
    ∃ block < p.blocks, ∃ placement ∈ p.table.placements, ∃ byte < wordBytes,
      placement.plane = plane ∧ row = block * 32 + placement.row + 8 * byte := by
  obtain ⟨placement, hp, plane', row'⟩ := Table.exists_placement wf.table small (show row % 8 < 8 by omega)
  have rows := Plan.rows_eq wf
  refine ⟨row / 32, by omega, placement, hp, row % 32 / 8, by unfold wordBytes; omega, plane', ?_⟩
  omega

/-- What stands in the buffer of a job while its activation vectors come: its weights. -/
theorem stands_of_job (wf : p.WellFormed) (less : h < p.machine.hemispheres) (own : p.ownTiles h ≠ 0)
    {job plane row cycle : Nat} (hj : job < p.ownTiles h * p.rowTiles) (small : plane < 2) (hr : row < p.machine.rows)
    (after : p.jobsBegin + job * p.period + p.installed ≤ cycle)
    (before : cycle < p.jobsBegin + job * p.period + p.installed + p.slots) (lane k n : Nat) :
    p.Stands h plane ((job + 1) % 2) row cycle lane k n
      ↔ k = p.weightRow (job % p.rowTiles) plane row ∧ n = p.weightColumn h (job / p.rowTiles) lane := by
  obtain ⟨block, hb, placement, hp, byte, hy, is, place⟩ := placement_of_row wf small hr
  have latest := placed_before wf (job := job) hb hp
  have rowOf : job % p.rowTiles * p.tileRows + block * blockRows + byte * periodRows + 2 * placement.row
      + placement.plane = p.weightRow (job % p.rowTiles) plane row := by
    simp only [Plan.weightRow, is, place, blockRows, periodRows, wordBytes]
    omega
  -- A row of the buffer that is installed by another job is installed by one earlier, or by one too late.
  have others : ∀ job' block' placement' byte', block' < p.blocks → placement' ∈ p.table.placements →
      placement'.plane = plane → (job' + 1) % 2 = (job + 1) % 2 → byte' < wordBytes →
      row = block' * 32 + placement'.row + 8 * byte' → block' = block ∧ placement' = placement ∧ byte' = byte
        ∧ (job' = job ∨ p.blockBegin (job', block') + placement'.cycle < p.blockBegin (job, block) + placement.cycle
          ∨ cycle ≤ p.blockBegin (job', block') + placement'.cycle) := by
    intro job' block' placement' byte' hb' hp' is' buffer hy' place'
    obtain ⟨rfl, row', rfl⟩ := row_parts (wf.table.placements placement' hp').2.2 (wf.table.placements placement hp).2.2
      hy' hy (place'.symm.trans place)
    obtain rfl := placement_unique wf hp' hp (by omega) row'
    refine ⟨rfl, rfl, rfl, ?_⟩
    rcases Nat.lt_trichotomy job' job with earlier | same | later
    · have : (job' + 1) * p.period ≤ job * p.period := Nat.mul_le_mul_right _ earlier
      have positive := Nat.lt_of_lt_of_le (Plan.slots_pos wf) (Plan.slots_le_period wf)
      rw [Nat.succ_mul] at this
      simp only [Plan.blockBegin]
      omega
    · exact .inl same
    · have : (job + 2) * p.period ≤ job' * p.period := Nat.mul_le_mul_right _ (by omega)
      rw [Nat.add_mul] at this
      have := Plan.installed_le_periods wf
      have := (placed_before wf (job := job') hb' hp').2
      omega
  constructor
  · rintro ⟨job', block', placement', byte', instr, hj', hb', hp', hi, installs, early, last, rfl, rfl⟩
    obtain ⟨cycle', is', buffer, hy', place'⟩ := installsRow_placeWord hi installs
    obtain ⟨rfl, rfl, rfl, which⟩ := others job' block' placement' byte' hb' hp' is' buffer hy' place'
    have same : job' = job := by
      rcases which with same | earlier | later
      · exact same
      · -- The job's own install came after it.
        have there := word_placed less own (mem_jobBlocks.mpr ⟨hj, hb⟩) hp (instr := .install
          (p.blockBegin (job, block') + placement'.cycle) h placement'.plane placement'.port ((job + 1) % 2)
          (block' * 32 + placement'.row) placement'.stream) (List.mem_singleton.mpr rfl)
        rcases last _ there byte' ⟨rfl, is, rfl, hy, place⟩ with equal | less | more
        · have := congrArg Instr.cycle equal
          simp only [Instr.cycle] at this
          simp only [Instr.cycle] at cycle'
          omega
        · simp only [Instr.cycle] at less
          simp only [Instr.cycle] at cycle'
          omega
        · simp only [Instr.cycle] at more
          omega
      · omega
    subst same
    exact ⟨rowOf, rfl⟩
  · rintro ⟨rfl, rfl⟩
    refine ⟨job, block, placement, byte, .install (p.blockBegin (job, block) + placement.cycle) h placement.plane
      placement.port ((job + 1) % 2) (block * 32 + placement.row) placement.stream, hj, hb, hp,
      List.mem_singleton.mpr rfl, ⟨rfl, is, rfl, hy, place⟩, by simp only [Instr.cycle]; omega, ?_, rowOf.symm, rfl⟩
    intro other there byte' installs
    cases other with
    | install cycle' h' plane' port buffer row' stream =>
      obtain ⟨rfl, rfl, rfl, hy', place'⟩ := installs
      simp only [Instr.cycle]
      rcases install_source wf there with ones | ⟨⟨job', block'⟩, hx, placement', hp', hi⟩
      · have := (wf.table.placements placement hp).1
        have : p.onesCycles ≤ p.jobsBegin := by
          simp only [Plan.jobsBegin]
          omega
        simp only [Plan.blockBegin]
        omega
      · have equal := List.mem_singleton.mp hi
        simp only [Instr.install.injEq, true_and] at equal
        obtain ⟨rfl, rfl, rfl, buffer, rfl, rfl⟩ := equal
        obtain ⟨rfl, rfl, rfl, which⟩ :=
          others job' block' placement' byte' (mem_jobBlocks.mp hx).2 hp' rfl buffer.symm hy' place'
        rcases which with rfl | which
        · exact .inl rfl
        · exact .inr which
    | _ => exact installs.elim

/-- While the ones are in the buffer, no weight stands there. -/
theorem not_stands_before (wf : p.WellFormed) {plane buffer row cycle lane k n : Nat}
    (before : cycle < p.jobsBegin + p.machine.memoryLatency) : ¬p.Stands h plane buffer row cycle lane k n := by
  rintro ⟨job, block, placement, byte, instr, -, -, hp, hi, installs, early, -⟩
  have := (wf.table.placements placement hp).1
  rw [(installsRow_placeWord hi installs).1] at early
  simp only [Plan.blockBegin] at early
  omega

end Q35.Lpu
