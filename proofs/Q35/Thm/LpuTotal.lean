module

public import Q35.Thm.LpuConflicts

@[expose] public noncomputable section

/-!
# The schedule ends when its closed form says

No instruction is issued in cycle `total` or later, and the last result is written in the cycle before.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

/-! ## The places of results -/

theorem ceilDiv_eq {a b : Nat} (ha : 1 ≤ a) (hb : 0 < b) : ceilDiv a b = (a - 1) / b + 1 := by
  rw [ceilDiv, show a + b - 1 = a - 1 + b by omega, Nat.add_div_right _ hb]

/-- Bundles of rows that are summed in turn, times groups: one more than that of the last result. -/
theorem bundles_pos (wf : p.WellFormed) : 0 < ceilDiv p.m p.interleaved * p.groups :=
  Nat.mul_pos (ceilDiv_pos wf.m (Plan.interleaved_pos wf)) (Plan.groups_pos wf)

theorem results_eq (p : Plan) : p.results = ceilDiv p.m p.interleaved * p.groups * p.interleaved := by
  rw [Plan.results, Nat.mul_assoc, Nat.mul_comm p.interleaved, ← Nat.mul_assoc]

theorem lastResult_eq (wf : p.WellFormed) : p.lastResult
    = (ceilDiv p.m p.interleaved * p.groups - 1) * p.interleaved + (p.m - 1) % p.interleaved := by
  have : (ceilDiv p.m p.interleaved * p.groups - 1) * p.interleaved + p.interleaved = p.results := by
    have := bundles_pos wf
    rw [results_eq, ← Nat.succ_mul]
    congr 1
    omega
  simp only [Plan.lastResult]
  omega

theorem last_bundle (wf : p.WellFormed) :
    (ceilDiv p.m p.interleaved * p.groups - 1) / p.groups = (p.m - 1) / p.interleaved
      ∧ (ceilDiv p.m p.interleaved * p.groups - 1) % p.groups = p.groups - 1 := by
  have positive := Plan.groups_pos wf
  have split : ceilDiv p.m p.interleaved * p.groups - 1
      = p.groups * ((p.m - 1) / p.interleaved) + (p.groups - 1) := by
    rw [ceilDiv_eq wf.m (Plan.interleaved_pos wf), Nat.succ_mul, Nat.mul_comm]
    omega
  have small : p.groups - 1 < p.groups := by omega
  rw [split, Nat.mul_add_div positive, Nat.div_eq_of_lt small, Nat.mul_add_mod, Nat.mod_eq_of_lt small]
  exact ⟨rfl, rfl⟩

theorem results_pos (wf : p.WellFormed) : 0 < p.results := by
  rw [results_eq]
  exact Nat.mul_pos (bundles_pos wf) (Plan.interleaved_pos wf)

theorem lastResult_lt (wf : p.WellFormed) : p.lastResult < p.results := by
  have := Nat.mod_lt (p.m - 1) (Plan.interleaved_pos wf)
  have : p.interleaved ≤ p.results := by
    rw [results_eq]
    exact Nat.le_mul_of_pos_left _ (bundles_pos wf)
  simp only [Plan.lastResult]
  omega

theorem spot_row (p : Plan) (place : Nat) : (p.spot p.interleaved 1 place).row
    = place % p.results / p.interleaved / p.groups * p.interleaved + place % p.results % p.interleaved := by
  simp only [Plan.spot, tilePlaces_one, Nat.div_one]

/-- No result has a place after the last one's of its column tile. -/
theorem place_le (wf : p.WellFormed) {spot : Spot} (there : spot ∈ p.order h p.interleaved 1) :
    spot.place ≤ (p.columnTiles - 1) * p.results + p.lastResult := by
  obtain ⟨-, is, row⟩ := mem_order there
  have bound := place_lt wf there
  rw [tilePlaces_one] at bound
  rw [is, spot_row] at row
  have turns := Plan.interleaved_pos wf
  have all := results_pos wf
  generalize spot.place = place at *
  have tile : place / p.results ≤ p.columnTiles - 1 := by
    have := (Nat.div_lt_iff_lt_mul all).mpr bound
    omega
  have tile' := Nat.mul_le_mul_right p.results tile
  have whole := Nat.div_add_mod place p.results
  rw [Nat.mul_comm] at whole
  suffices place % p.results ≤ p.lastResult by omega
  have inside := Nat.mod_lt place all
  generalize place % p.results = within at *
  have parts := Nat.div_add_mod within p.interleaved
  have turn := Nat.mod_lt within turns
  rw [lastResult_eq wf]
  rw [results_eq, ← Nat.div_lt_iff_lt_mul turns] at inside
  rcases Nat.lt_or_ge (within / p.interleaved) (ceilDiv p.m p.interleaved * p.groups - 1) with less | more
  · have := Nat.mul_le_mul_right p.interleaved less
    rw [Nat.succ_mul] at this
    rw [Nat.mul_comm] at parts
    omega
  · have last : within / p.interleaved = ceilDiv p.m p.interleaved * p.groups - 1 := by omega
    rw [last, (last_bundle wf).1] at row
    have rows := Nat.div_add_mod (p.m - 1) p.interleaved
    rw [last, Nat.mul_comm] at parts
    rw [Nat.mul_comm] at rows
    omega

/-- The last place is that of a result: the last row's and the last group's. -/
theorem last_spot (wf : p.WellFormed) :
    p.spot p.interleaved 1 ((p.columnTiles - 1) * p.results + p.lastResult) ∈ p.order 0 p.interleaved 1
      ∧ (p.spot p.interleaved 1 ((p.columnTiles - 1) * p.results + p.lastResult)).group = p.groups - 1 := by
  have turns := Plan.interleaved_pos wf
  have less := lastResult_lt wf
  have within : ((p.columnTiles - 1) * p.results + p.lastResult) % p.results = p.lastResult := by
    rw [Nat.add_comm, Nat.add_mul_mod_self_right, Nat.mod_eq_of_lt less]
  have turn := Nat.mod_lt (p.m - 1) turns
  have bundle : p.lastResult / p.interleaved = ceilDiv p.m p.interleaved * p.groups - 1 := by
    rw [lastResult_eq wf, Nat.add_comm, Nat.add_mul_div_right _ _ turns, Nat.div_eq_of_lt turn, Nat.zero_add]
  have inner : p.lastResult % p.interleaved = (p.m - 1) % p.interleaved := by
    rw [lastResult_eq wf, Nat.add_comm, Nat.add_mul_mod_self_right, Nat.mod_mod]
  constructor
  · refine List.mem_filter.mpr ⟨List.mem_map.mpr ⟨_, List.mem_range.mpr ?_, rfl⟩, ?_⟩
    · rw [Plan.ownTiles_zero wf, tilePlaces_one]
      have : p.columnTiles * p.results = (p.columnTiles - 1) * p.results + p.results := by
        rw [← Nat.succ_mul]
        congr 1
        have := Plan.columnTiles_pos wf
        omega
      omega
    · rw [spot_row, within, bundle, inner, (last_bundle wf).1, Nat.mul_comm, Nat.div_add_mod]
      have := wf.m
      simp only [decide_eq_true_eq]
      omega
  · simp only [Plan.spot, tilePlaces_one, within, Nat.div_one, bundle, (last_bundle wf).2]

/-! ## The end -/

/-- A port of a unit, rather than a stream, is used when the instruction is issued. -/
theorem cycle_used (machine : Machine) (instr : Instr) : ∃ use ∈ uses machine instr,
    use.2 = instr.cycle ∧ ∀ number, use.1.port ≠ .outwardStream number := by
  cases instr with
  | alu cycle hemisphere alu operation immediate a b stream =>
    cases stream <;> exact ⟨(⟨hemisphere, .alu alu⟩, cycle), by simp [uses, Instr.cycle]⟩
  | read cycle hemisphere quad => exact ⟨(⟨hemisphere, .memoryQuad quad⟩, cycle), by simp [uses, Instr.cycle]⟩
  | write cycle hemisphere quad => exact ⟨(⟨hemisphere, .memoryQuad quad⟩, cycle), by simp [uses, Instr.cycle]⟩
  | install cycle hemisphere plane port =>
    exact ⟨(⟨hemisphere, .installPort plane port⟩, cycle), by simp [uses, Instr.cycle]⟩
  | matmul cycle hemisphere plane => exact ⟨(⟨hemisphere, .matrixPlane plane⟩, cycle), by simp [uses, Instr.cycle]⟩
  | drain cycle hemisphere plane =>
    exact ⟨(⟨hemisphere, .accumulatorPort plane⟩, cycle), by simp [uses, Instr.cycle]⟩

/-- The cycle in which the last result is written is the one before `total`. -/
theorem total_eq (p : Plan) : p.total = p.drain + ((p.columnTiles - 1) * p.results + p.lastResult)
    + (p.machine.drainLatency + 6 * p.machine.aluLatency + p.machine.memoryLatency) + 1 := by
  simp only [Plan.total, epilogueStages]
  omega

theorem drainTemplate_le {entry : Port × Nat} (he : entry ∈ drainTemplate p)
    (unit : ∀ number, entry.1 ≠ .outwardStream number) :
    entry.2
      ≤ p.machine.memoryLatency + p.machine.drainLatency + 6 * p.machine.aluLatency + p.machine.memoryLatency := by
  unfold drainTemplate at he
  split at he <;>
    simp only [severalTemplate, oneTemplate, resultTemplate, List.cons_append, List.nil_append, List.mem_cons,
      List.not_mem_nil, or_false] at he
  · rcases he with rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl <;>
      first | exact absurd rfl (unit _) | (dsimp only; omega)
  · rcases he with rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl
        | rfl | rfl | rfl | rfl | rfl | rfl <;>
      first | exact absurd rfl (unit _) | (dsimp only; omega)

theorem cycle_lt_total (wf : p.WellFormed) {instr : Instr} (there : instr ∈ p.hemisphere h) :
    instr.cycle + 1 ≤ p.total := by
  have own : p.ownTiles h ≠ 0 := fun none => by simp [Plan.hemisphere, none] at there
  have total := total_eq p
  have ends : p.drain = p.combine + p.columnTiles * p.combined
      + (combineStages * p.machine.aluLatency + 2 * p.machine.memoryLatency) := rfl
  simp only [combineStages] at ends
  obtain ⟨use, hu, cycle, unit⟩ := cycle_used p.machine instr
  rw [hemisphere_eq own, List.mem_append] at there
  rcases there with there | there
  · have before := ((before_between wf).within use (List.mem_flatMap.mpr ⟨instr, there, hu⟩)).2.2
    cases port : use.1.port with
    | outwardStream number => exact absurd port (unit number)
    | _ =>
      simp only [port, Plan.afterCombine] at before
      omega
  · have used : use ∈ (p.drainAll h).flatMap (uses p.machine) := List.mem_flatMap.mpr ⟨instr, there, hu⟩
    rw [Plan.drainAll, (uses_emit_perm ..).mem_iff] at used
    obtain ⟨spot, hs, used⟩ := List.mem_flatMap.mp used
    obtain ⟨entry, he, rfl⟩ := List.mem_map.mp ((scaleAndSum_uses wf spot).subset used)
    have place := place_le wf hs
    have late := drainTemplate_le he unit
    have := latency_le_drain (p := p)
    simp only [resultStart] at cycle
    omega

theorem last_write (wf : p.WellFormed) : ∃ address,
    Instr.write (p.total - 1) 0 outputs address outStream ∈ p.hemisphere 0 := by
  obtain ⟨there, group⟩ := last_spot wf
  have place : (p.spot p.interleaved 1 ((p.columnTiles - 1) * p.results + p.lastResult)).place
    = (p.columnTiles - 1) * p.results + p.lastResult := rfl
  generalize p.spot p.interleaved 1 ((p.columnTiles - 1) * p.results + p.lastResult) = spot at *
  have own : p.ownTiles 0 ≠ 0 := by
    have := Plan.columnTiles_pos wf
    rw [Plan.ownTiles_zero wf]
    omega
  have total := total_eq p
  refine ⟨spot.tile * p.m + spot.row, ?_⟩
  rw [hemisphere_eq own, List.mem_append]
  refine .inr (mem_emit.mpr ⟨_, there, _, List.mem_append_right _ List.mem_cons_self, ?_⟩)
  simp only [group, BEq.rfl, if_true]
  refine List.mem_singleton.mpr ?_
  congr 1
  omega

end Q35.Lpu

namespace Q35

open Lpu

/-- **The closed form of the time**: no instruction of the schedule is issued in cycle `total` or later, and the last
one, which writes a result to memory, is issued in the cycle before. -/
theorem schedule_total {p : Plan} (wf : p.WellFormed) :
    (∀ instr ∈ schedule p, instr.cycle + 1 ≤ p.total)
      ∧ ∃ cycle quad address stream, Instr.write cycle 0 quad address stream ∈ schedule p ∧ cycle + 1 = p.total := by
  constructor
  · intro instr there
    obtain ⟨h, -, there⟩ := List.mem_flatMap.mp there
    exact cycle_lt_total wf there
  · obtain ⟨address, there⟩ := last_write wf
    refine ⟨_, _, _, _, List.mem_flatMap.mpr ⟨0, List.mem_range.mpr wf.hemispheres, there⟩, ?_⟩
    have := total_eq p
    omega

end Q35
