module

public import Q35.Thm.LpuPhases

@[expose] public noncomputable section

/-!
# The schedule is free of conflicts

In a hemisphere, the parts of the schedule use each port one after the other; each of them uses no port twice in a
cycle: `schedule_free_of_conflicts`.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

/-! ## Drains -/

theorem drainSums_between (wf : p.WellFormed) : Between p.machine h p.afterJobs p.afterDrainSums (p.drainSums h) := by
  refine Between.emit (κ := Port) (port := fun _ port => port) (start := fun index => p.sumsDrain + index)
    (interval := 1) (residue := 0)
    (template := [(.accumulatorPort 0, 0), (.inwardStream 0, p.machine.drainLatency), (.accumulatorPort 1, 0),
      (.inwardStream 1, p.machine.drainLatency), (.alu 0, p.machine.drainLatency),
      (.outwardStream accStream, p.machine.drainLatency + p.machine.aluLatency + p.machine.transit),
      (.alu 1, p.machine.drainLatency + p.machine.aluLatency),
      (.outwardStream sumStream,
        p.machine.drainLatency + p.machine.aluLatency + p.machine.aluLatency + p.machine.transit),
      (.memoryQuad integers, p.machine.drainLatency + p.machine.aluLatency + p.machine.memoryLatency),
      (.memoryQuad rowSums, p.machine.drainLatency + 2 * p.machine.aluLatency + p.machine.memoryLatency)])
    ?_ ?_ ?_ ?_ ?_ ?_
  · intro index _
    simp [usedAt, shifted, uses, wf.planes, List.range_succ, Nat.add_assoc]
  · intro x y a _ b _ equal
    exact equal
  · apply apart_of_ports
    simp only [List.map_cons, List.map_nil]
    decide
  · intro x _
    omega
  · unfold List.Nodup
    rw [List.pairwise_map]
    exact List.pairwise_lt_range.imp fun less => by omega
  · intro index hx entry he
    have := List.mem_range.mp hx
    simp only [List.mem_cons, List.not_mem_nil, or_false] at he
    rcases he with rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl <;>
      simp only [Plan.afterJobs, Plan.afterDrainSums] <;> omega

theorem order_increases (p : Plan) (h turns parts : Nat) :
    (p.order h turns parts).Pairwise fun a b => a.place < b.place := by
  unfold Plan.order
  refine List.Pairwise.filter _ ?_
  rw [List.pairwise_map]
  exact List.pairwise_lt_range.imp fun less => less

theorem mem_order {turns parts : Nat} {spot : Spot} (there : spot ∈ p.order h turns parts) :
    spot.place < p.ownTiles h * p.tilePlaces turns parts ∧ spot = p.spot turns parts spot.place ∧ spot.row < p.m := by
  obtain ⟨there, row⟩ := List.mem_filter.mp there
  obtain ⟨place, hp, rfl⟩ := List.mem_map.mp there
  exact ⟨List.mem_range.mp hp, rfl, by simpa using row⟩

theorem tilePlaces_one : p.tilePlaces p.interleaved 1 = p.results := by
  simp [Plan.tilePlaces, Plan.results]

theorem place_lt (wf : p.WellFormed) {turns parts : Nat} {spot : Spot} (there : spot ∈ p.order h turns parts) :
    spot.place < p.columnTiles * p.tilePlaces turns parts :=
  Nat.lt_of_lt_of_le (mem_order there).1 (Nat.mul_le_mul_right _ (Plan.ownTiles_le wf h))

theorem usedAt_append {α : Type} (machine : Machine) (xs ys : List (α → List Instr)) (x : α) :
    usedAt machine (xs ++ ys) x = usedAt machine xs x ++ usedAt machine ys x := by simp [usedAt]

/-- What `planesSum` uses, but for a stream of its sum. -/
def planesTemplate (p : Plan) : List (Port × Nat) :=
  [(.accumulatorPort 0, 0), (.inwardStream 0, p.machine.drainLatency), (.accumulatorPort 1, 0),
    (.inwardStream 1, p.machine.drainLatency), (.alu 0, p.machine.drainLatency), (.alu 1, p.machine.drainLatency),
    (.alu 2, p.machine.drainLatency + p.machine.aluLatency)]

/-- A port's use at a hemisphere, so many cycles after a spot's own. -/
def useAt (h : Nat) (start : Nat) (spot : Spot) (entry : Port × Nat) : Resource × Nat :=
  (⟨h, entry.1⟩, start + spot.place + entry.2)

theorem planesSum_uses (wf : p.WellFormed) (start : Nat) (address : Spot → Nat) (stream : Option Nat) (spot : Spot) :
    usedAt p.machine (p.planesSum h start address stream) spot
      = (planesTemplate p).map (useAt h start spot) ++ match stream with
        | none => []
        | some stream => [useAt h start spot
          (.outwardStream stream,
            p.machine.drainLatency + p.machine.aluLatency + p.machine.aluLatency + p.machine.transit)] := by
  cases stream <;>
    simp [usedAt, planesTemplate, useAt, Plan.planesSum, wf.planes, List.range_succ, uses, Nat.add_assoc]

theorem runningSum_uses (machine : Machine) (there : Spot → Nat) (alu : Nat) (operation : Operation)
    (first last : Spot → Bool) (stream : Nat) (spot : Spot) :
    usedAt machine (Plan.runningSum h there alu operation first last stream) spot
      = (⟨h, .alu alu⟩, there spot) :: if last spot then
        [(⟨h, .outwardStream stream⟩, there spot + machine.aluLatency + machine.transit)] else [] := by
  cases hf : first spot <;> cases hl : last spot <;> simp [usedAt, Plan.runningSum, uses, hf, hl]

theorem combine_between (wf : p.WellFormed) (several : 1 < p.segments) :
    Between p.machine h p.afterDrainSums p.afterCombine (p.combineAll h) := by
  refine Between.emit (κ := Port) (port := fun _ port => port) (start := fun spot => p.combine + spot.place)
    (interval := 1) (residue := 0)
    (template := planesTemplate p ++ [(.alu 3, p.machine.drainLatency + 2 * p.machine.aluLatency),
      (.outwardStream accStream,
        p.machine.drainLatency + 2 * p.machine.aluLatency + p.machine.aluLatency + p.machine.transit),
      (.memoryQuad integers,
        p.machine.drainLatency + 2 * p.machine.aluLatency + p.machine.aluLatency + p.machine.memoryLatency)])
    ?_ ?_ ?_ ?_ ?_ ?_
  · intro spot _
    simp only [usedAt_append, planesSum_uses wf, runningSum_uses, shifted, List.map_append, List.append_assoc]
    refine List.Sublist.append_left ?_ _
    by_cases last : spot.part = p.groupSegments spot.group - 1 <;> simp [usedAt, uses, last, Nat.add_assoc]
  · intro x y a _ b _ equal
    exact equal
  · apply apart_of_ports
    simp only [planesTemplate, List.map_cons, List.map_nil, List.cons_append, List.nil_append]
    decide
  · intro x _
    omega
  · unfold List.Nodup
    rw [List.pairwise_map]
    exact ((order_increases ..).filter _).imp fun less => by omega
  · intro spot hx entry he
    have := place_lt wf (List.mem_filter.mp hx).1
    have all : p.columnTiles * p.combined
        = p.columnTiles * p.tilePlaces p.machine.aluLatency p.segments := by
      simp only [Plan.combined, several, if_true, Plan.tilePlaces]
    simp only [planesTemplate, List.cons_append, List.nil_append, List.mem_cons, List.not_mem_nil, or_false] at he
    rcases he with rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl <;>
      simp only [Plan.afterDrainSums, Plan.afterCombine, all, Plan.combine] <;> omega

/-- The cycle from which on a result's uses are counted: what is read is read `memoryLatency` cycles before. -/
def resultStart (p : Plan) (spot : Spot) : Nat := p.drain - p.machine.memoryLatency + spot.place

theorem latency_le_drain : p.machine.memoryLatency ≤ p.drain := by
  simp only [Plan.drain]
  omega

/-- What `drainAll` uses from the product with the scale on. -/
def resultTemplate (p : Plan) : List (Port × Nat) :=
  let scaled := p.machine.drainLatency + 3 * p.machine.aluLatency
  let read := p.machine.memoryLatency
  [(.memoryQuad scales, scaled), (.inwardStream scaleStream, scaled + read), (.memoryQuad offsets, scaled),
    (.inwardStream offsetStream, scaled + read), (.memoryQuad rowSums, scaled),
    (.inwardStream rowSumStream, scaled + read), (.alu 4, scaled + read), (.alu 5, scaled + read),
    (.alu 6, scaled + read + p.machine.aluLatency), (.alu 7, scaled + read + 2 * p.machine.aluLatency),
    (.outwardStream outStream, scaled + read + 3 * p.machine.aluLatency + p.machine.transit),
    (.memoryQuad outputs, scaled + read + 3 * p.machine.aluLatency + p.machine.memoryLatency)]

/-- What `toFloats` uses where a group has one accumulator. -/
def oneTemplate (p : Plan) : List (Port × Nat) :=
  let read := p.machine.memoryLatency
  let latency := p.machine.aluLatency
  let drained := p.machine.drainLatency
  [(.accumulatorPort 0, read), (.inwardStream 0, read + drained), (.accumulatorPort 1, read),
    (.inwardStream 1, read + drained), (.alu 0, read + drained), (.alu 1, read + drained),
    (.alu 2, read + drained + latency),
    (.outwardStream accStream, read + drained + latency + latency + p.machine.transit),
    (.memoryQuad integers, read + drained + 2 * latency + p.machine.memoryLatency),
    (.alu 3, read + drained + 2 * latency)]

/-- What `toFloats` uses where some group has several accumulators. -/
def severalTemplate (p : Plan) : List (Port × Nat) :=
  let there := p.machine.drainLatency + 2 * p.machine.aluLatency
  [(.memoryQuad integers, there), (.inwardStream 0, there + p.machine.memoryLatency),
    (.alu 3, p.machine.memoryLatency + there)]

theorem toFloats_uses (wf : p.WellFormed) {there : Spot → Nat} (spot : Spot)
    (when : there spot = p.drain + spot.place + p.machine.drainLatency + 2 * p.machine.aluLatency) :
    usedAt p.machine (p.toFloats h there) spot = shifted (fun _ port => ⟨h, port⟩) (resultStart p)
      (if 1 < p.segments then severalTemplate p else oneTemplate p) spot := by
  have early : p.drain = p.drain - p.machine.memoryLatency + p.machine.memoryLatency := by
    have := latency_le_drain (p := p)
    omega
  by_cases several : 1 < p.segments
  · simp only [Plan.toFloats, several, if_true, usedAt, shifted, severalTemplate, resultStart, uses, when,
      List.flatMap_cons, List.flatMap_nil, List.map_cons, List.map_nil, List.cons_append, List.nil_append,
      Bool.false_eq_true, if_false, List.cons.injEq, Prod.mk.injEq, and_true, true_and]
    omega
  · simp only [Plan.toFloats, several, if_false, usedAt_append, planesSum_uses wf]
    simp only [usedAt, shifted, planesTemplate, oneTemplate, resultStart, uses, useAt, when, List.flatMap_cons,
      List.flatMap_nil, List.map_cons, List.map_nil, List.cons_append, List.nil_append, List.cons.injEq,
      Prod.mk.injEq, and_true, true_and]
    omega

theorem sublist_of_eq {α : Type} {xs ys : List α} (equal : xs = ys) : xs.Sublist ys := equal ▸ List.Sublist.refl _

/-- What `drainAll` uses for a result. -/
def drainTemplate (p : Plan) : List (Port × Nat) :=
  (if 1 < p.segments then severalTemplate p else oneTemplate p) ++ resultTemplate p

theorem scaleAndSum_uses (wf : p.WellFormed) (spot : Spot) : (usedAt p.machine (p.scaleAndSum h) spot).Sublist
    (shifted (fun _ port => ⟨h, port⟩) (resultStart p) (drainTemplate p) spot) := by
  have early := latency_le_drain (p := p)
  unfold drainTemplate Plan.scaleAndSum
  simp only [usedAt_append]
  rw [toFloats_uses wf spot rfl, runningSum_uses]
  simp only [shifted, List.map_append, List.append_assoc]
  refine List.Sublist.append_left ?_ _
  by_cases last : spot.group = p.groups - 1
  · refine sublist_of_eq ?_
    simp only [usedAt, uses, resultTemplate, resultStart, last, BEq.rfl, if_true, List.flatMap_cons, List.flatMap_nil,
      List.map_cons, List.map_nil, List.cons_append, List.nil_append, List.append_nil, Bool.false_eq_true, if_false,
      List.cons.injEq, Prod.mk.injEq, and_true, true_and]
    omega
  · refine List.Sublist.trans (sublist_of_eq ?_) (List.take_sublist 10 _)
    simp only [usedAt, uses, resultTemplate, resultStart, beq_eq_false_iff_ne.mpr last, List.flatMap_cons,
      List.flatMap_nil, List.map_cons, List.map_nil, List.cons_append, List.nil_append, List.append_nil,
      Bool.false_eq_true, if_false, List.take_succ_cons, List.take_zero, List.cons.injEq, Prod.mk.injEq, and_true,
      true_and]
    omega

theorem drainAll_between (wf : p.WellFormed) : Between p.machine h p.afterCombine p.afterAll (p.drainAll h) := by
  have early := latency_le_drain (p := p)
  refine Between.emit (κ := Port) (port := fun _ port => port) (start := resultStart p)
    (interval := 1) (residue := 0)
    (template := drainTemplate p)
    (fun spot _ => scaleAndSum_uses wf spot) ?_ ?_ ?_ ?_ ?_
  · intro x y a _ b _ equal
    exact equal
  · apply apart_of_ports
    unfold drainTemplate
    split <;>
      simp only [severalTemplate, oneTemplate, resultTemplate, List.map_cons, List.map_nil, List.cons_append,
        List.nil_append] <;>
      decide
  · intro x _
    omega
  · unfold List.Nodup
    rw [List.pairwise_map]
    exact (order_increases ..).imp fun less => by
      simp only [resultStart]
      omega
  · intro spot hx entry he
    have := place_lt wf hx
    rw [tilePlaces_one] at this
    have ends : p.drain = p.combine + p.columnTiles * p.combined
        + (combineStages * p.machine.aluLatency + 2 * p.machine.memoryLatency) := rfl
    simp only [combineStages] at ends
    unfold drainTemplate at he
    split at he <;>
      simp only [severalTemplate, oneTemplate, resultTemplate, List.cons_append, List.nil_append, List.mem_cons,
        List.not_mem_nil, or_false] at he
    · rcases he with rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl <;>
        simp only [Plan.afterCombine, Plan.afterAll, resultStart] <;> omega
    · rcases he with rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl | rfl
          | rfl | rfl | rfl | rfl | rfl | rfl <;>
        simp only [Plan.afterCombine, Plan.afterAll, resultStart] <;> omega

/-! ## All together -/

/-- All but the results. -/
theorem before_between (wf : p.WellFormed) : Between p.machine h (fun _ => 0) p.afterCombine
    (p.installOnes h ++ p.stream h p.sumSweeps ++ (p.unpack h ++ p.stream h (p.jobSweeps h)) ++ p.drainSums h
      ++ if 1 < p.segments then p.combineAll h else []) := by
  have begun : p.machine.memoryLatency + p.jobsBegin ≤ p.matmulsEnd := by
    have := Plan.latency_lt_installed wf
    simp only [Plan.matmulsEnd]
    omega
  have ones : p.onesCycles ≤ p.jobsBegin := by
    simp only [Plan.jobsBegin]
    omega
  have combine : p.combine = p.sumsDrain + p.m * p.groups + p.machine.aluLatency := rfl
  have sums : p.sumsDrain = p.matmulsEnd + p.machine.matrixLatency := rfl
  have first := (installOnes_between (h := h)).append (sums_between wf) (fun _ => Nat.zero_le _)
    (fun port => by simp only [Plan.afterOnes, Plan.afterSums]; omega)
  have second := first.append (jobs_between wf) (fun _ => Nat.zero_le _)
    (fun port => by cases port <;> simp only [Plan.afterSums, Plan.afterJobs, Plan.later] <;> omega)
  have third := second.append (drainSums_between wf) (fun _ => Nat.zero_le _)
    (fun port => by cases port <;> simp only [Plan.afterJobs, Plan.afterDrainSums] <;> omega)
  have between : Between p.machine h p.afterDrainSums p.afterCombine
      (if 1 < p.segments then p.combineAll h else []) := by
    split
    · next several => exact combine_between wf several
    · exact Between.nil
  exact third.append between (fun _ => Nat.zero_le _)
    (fun port => by cases port <;> simp only [Plan.afterDrainSums, Plan.afterCombine] <;> omega)

/-- The instructions of a hemisphere that has column tiles: all but the results, and these. -/
theorem hemisphere_eq (own : p.ownTiles h ≠ 0) : p.hemisphere h
    = (p.installOnes h ++ p.stream h p.sumSweeps ++ (p.unpack h ++ p.stream h (p.jobSweeps h)) ++ p.drainSums h
      ++ if 1 < p.segments then p.combineAll h else []) ++ p.drainAll h := by
  simp only [Plan.hemisphere, own, if_false, List.append_assoc]

theorem hemisphere_between (wf : p.WellFormed) : Between p.machine h (fun _ => 0) p.afterAll (p.hemisphere h) := by
  by_cases own : p.ownTiles h = 0
  · simp only [Plan.hemisphere, own, if_true]
    exact Between.nil
  have ends : p.drain = p.combine + p.columnTiles * p.combined
      + (combineStages * p.machine.aluLatency + 2 * p.machine.memoryLatency) := rfl
  simp only [combineStages] at ends
  rw [hemisphere_eq own]
  exact (before_between wf).append (drainAll_between wf) (fun _ => Nat.zero_le _)
    (fun port => by cases port <;> simp only [Plan.afterCombine, Plan.afterAll] <;> omega)

end Q35.Lpu

namespace Q35

open Lpu

/-- **No conflicts**: for every plan that is well-formed, no memory quad, ALU, install port, matrix plane, accumulator
port or stream is used twice in a cycle, by two instructions or by one. -/
theorem schedule_free_of_conflicts {p : Plan} (wf : p.WellFormed) :
    ((schedule p).flatMap (uses p.machine)).Nodup := by
  rw [schedule, List.flatMap_assoc]
  unfold List.Nodup
  rw [List.pairwise_flatMap]
  refine ⟨fun h _ => (hemisphere_between wf).once, ?_⟩
  refine List.nodup_range.imp fun different u hu v hv equal => different ?_
  rw [← ((hemisphere_between wf).within u hu).1, ← ((hemisphere_between wf).within v hv).1, equal]

end Q35
