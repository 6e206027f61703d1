module

public import Q35.Thm.LpuSources
public import Q35.Thm.LpuSpots

@[expose] public noncomputable section

/-!
# Every operand is there when it is taken

What an instruction takes from a stream or from an ALU, another one has put there, for the very cycle in which it is
taken: `operands_present`. As nothing is used twice, that one is the only one.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

/-- All that an instruction takes has been put there by instructions of a schedule's part, or of what is around it. -/
def Supplied (p : Plan) (given : List (Resource × Nat)) (instr : Instr) : Prop :=
  ∀ taken ∈ takes p.machine instr, ∃ cycle, (taken.1, cycle) ∈ given ∧ cycle + taken.2.1 = taken.2.2

/-- What the instructions of an index use is used by all together. -/
theorem used_of_usedAt {α : Type} {machine : Machine} {families : List (α → List Instr)} {indices : List α} {x : α}
    (hx : x ∈ indices) {use : Resource × Nat} (there : use ∈ usedAt machine families x) :
    use ∈ (emit families indices).flatMap (uses machine) := by
  rw [(uses_emit_perm machine families indices).mem_iff]
  exact List.mem_flatMap.mpr ⟨x, hx, there⟩

theorem Supplied.mono {given more : List (Resource × Nat)} {instr : Instr} (supplied : Supplied p given instr)
    (subset : ∀ use ∈ given, use ∈ more) : Supplied p more instr := by
  intro taken there
  obtain ⟨cycle, used, when⟩ := supplied taken there
  exact ⟨cycle, subset _ used, when⟩

/-! ## The ones, activations and weights -/

theorem installOnes_supplied {instr : Instr} (there : instr ∈ p.installOnes h) :
    Supplied p ((p.installOnes h).flatMap (uses p.machine)) instr := by
  obtain ⟨x, hx, family, hf, hi⟩ := mem_emit.mp there
  simp only [List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with rfl | rfl
  · obtain rfl := List.mem_singleton.mp hi
    intro taken none
    simp [takes] at none
  · simp only [Plan.placeOnes, List.mem_flatMap, List.mem_map] at hi
    obtain ⟨plane, -, port, -, rfl⟩ := hi
    intro taken one
    simp only [takes, List.mem_singleton] at one
    subst one
    exact ⟨x + p.machine.memoryLatency, used_of_usedAt hx (by simp [usedAt, Plan.readOnes, uses]), rfl⟩

theorem stream_supplied {sweeps : List Sweep}
    (latency : ∀ sweep ∈ sweeps, p.machine.memoryLatency ≤ sweep.start) {instr : Instr}
    (there : instr ∈ p.stream h sweeps) : Supplied p ((p.stream h sweeps).flatMap (uses p.machine)) instr := by
  obtain ⟨⟨sweep, row, number⟩, hx, family, hf, hi⟩ := mem_emit.mp there
  have early := latency sweep (mem_vectors.mp hx).1
  rcases List.mem_cons.mp hf with rfl | hf
  · obtain rfl := List.mem_singleton.mp hi
    intro taken none
    simp [takes] at none
  · obtain ⟨plane, -, rfl⟩ := List.mem_map.mp hf
    obtain rfl := List.mem_singleton.mp hi
    intro taken one
    simp only [takes, List.mem_singleton] at one
    subst one
    refine ⟨p.vectorCycle (sweep, row, number) - p.machine.memoryLatency + p.machine.memoryLatency,
      used_of_usedAt hx ?_, ?_⟩
    · simp [usedAt, Plan.readVector, uses]
    · simp only [Plan.vectorCycle]
      omega

theorem mem_of_usesAt {table : Table} {machine : Machine} {port : Port} {cycle : Nat}
    (h : table.usesAt machine port cycle = true) : (port, cycle) ∈ table.uses machine := by
  obtain ⟨use, there, equal⟩ := List.any_eq_true.mp h
  split at equal
  · next same =>
    have : use = (port, cycle) := Prod.ext (of_decide_eq_true equal) (Nat.eq_of_beq_eq_true same)
    exact this ▸ there
  · simp at equal

theorem block_given (x : Nat × Nat) {port : Port} {cycle : Nat} (there : (port, cycle) ∈ p.table.uses p.machine)
    (hx : x ∈ p.jobBlocks h) : (⟨h, blockPort p x port⟩, p.blockBegin x + cycle)
      ∈ (p.unpack h).flatMap (uses p.machine) := by
  refine used_of_usedAt hx ?_
  rw [unpack_uses]
  exact List.mem_map.mpr ⟨_, there, rfl⟩

theorem operand_given {x : Nat × Nat} (hx : x ∈ p.jobBlocks h) {cycle : Nat} {source : Source}
    (has : p.table.hasOperand p.machine cycle source = true) :
    ∀ taken ∈ operand p.machine (p.blockBegin x + cycle) h source,
      ∃ cycle, (taken.1, cycle) ∈ (p.unpack h).flatMap (uses p.machine) ∧ cycle + taken.2.1 = taken.2.2 := by
  intro taken there
  cases source with
  | nothing => simp [operand] at there
  | stream number =>
    obtain rfl := List.mem_singleton.mp there
    exact ⟨_, block_given x (mem_of_usesAt has) hx, rfl⟩
  | alu number =>
    obtain rfl := List.mem_singleton.mp there
    simp only [Table.hasOperand, Bool.and_eq_true] at has
    have late := Nat.le_of_ble_eq_true has.1
    refine ⟨_, block_given x (mem_of_usesAt has.2) hx, ?_⟩
    dsimp only
    omega

theorem unpack_supplied (wf : p.WellFormed) {instr : Instr} (there : instr ∈ p.unpack h) :
    Supplied p ((p.unpack h).flatMap (uses p.machine)) instr := by
  obtain ⟨x, hx, family, hf, hi⟩ := mem_emit.mp there
  simp only [List.mem_append, List.mem_map] at hf
  rcases hf with (⟨fetch, -, rfl⟩ | ⟨step, hs, rfl⟩) | ⟨placement, hp, rfl⟩ <;>
    obtain rfl := List.mem_singleton.mp hi
  · intro taken none
    simp [takes] at none
  · intro taken some
    rcases List.mem_append.mp some with a | b
    · exact operand_given hx (wf.table.operands step hs).1 taken a
    · exact operand_given hx (wf.table.operands step hs).2 taken b
  · intro taken one
    obtain rfl := List.mem_singleton.mp one
    exact ⟨_, block_given x (mem_of_usesAt (wf.table.words placement hp)) hx, rfl⟩

/-! ## Row sums -/

theorem drainSums_supplied (wf : p.WellFormed) {instr : Instr} (there : instr ∈ p.drainSums h) :
    Supplied p ((p.drainSums h).flatMap (uses p.machine)) instr := by
  obtain ⟨index, hx, family, hf, hi⟩ := mem_emit.mp there
  simp only [List.mem_append, List.mem_map, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with ⟨plane, -, rfl⟩ | rfl | rfl | rfl | rfl <;> obtain rfl := List.mem_singleton.mp hi <;>
    intro taken one <;>
    simp only [takes, operand, List.mem_append, List.mem_singleton, List.not_mem_nil, or_false] at one
  · rcases one with rfl | rfl
    · exact ⟨p.sumsDrain + index + p.machine.drainLatency,
        used_of_usedAt hx (by simp [usedAt, wf.planes, List.range_succ, uses]), rfl⟩
    · exact ⟨p.sumsDrain + index + p.machine.drainLatency,
        used_of_usedAt hx (by simp [usedAt, wf.planes, List.range_succ, uses]), rfl⟩
  · subst one
    exact ⟨p.sumsDrain + index + p.machine.drainLatency,
      used_of_usedAt hx (by simp [usedAt, wf.planes, List.range_succ, uses]), rfl⟩
  · subst one
    exact ⟨p.sumsDrain + index + p.machine.drainLatency + p.machine.aluLatency + p.machine.transit,
      used_of_usedAt hx (by simp [usedAt, wf.planes, List.range_succ, uses]), by dsimp only; omega⟩
  · subst one
    exact ⟨p.sumsDrain + index + p.machine.drainLatency + p.machine.aluLatency + p.machine.aluLatency
        + p.machine.transit,
      used_of_usedAt hx (by simp [usedAt, wf.planes, List.range_succ, uses]), by dsimp only; omega⟩

/-! ## The accumulators of a group, and the results -/

theorem planesSum_supplied (wf : p.WellFormed) {start : Nat} {address : Spot → Nat} {stream : Option Nat} {spot : Spot}
    {given : List (Resource × Nat)}
    (subset : ∀ use ∈ usedAt p.machine (p.planesSum h start address stream) spot, use ∈ given) :
    ∀ family ∈ p.planesSum h start address stream, ∀ instr ∈ family spot, Supplied p given instr := by
  intro family hf instr hi
  rw [planesSum_uses wf] at subset
  have all : ∀ entry ∈ planesTemplate p, useAt h start spot entry ∈ given := fun entry there =>
    subset _ (List.mem_append_left _ (List.mem_map.mpr ⟨entry, there, rfl⟩))
  simp only [planesTemplate, List.forall_mem_cons, List.not_mem_nil, false_implies, implies_true, and_true] at all
  obtain ⟨-, in0, -, in1, alu0, alu1, -⟩ := all
  simp only [Plan.planesSum, wf.planes, List.range_succ, List.range_zero, List.nil_append, List.cons_append,
    List.map_cons, List.map_nil, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with rfl | rfl | rfl | rfl | rfl <;> obtain rfl := List.mem_singleton.mp hi <;> intro taken one <;>
    simp only [takes, operand, List.append_nil, List.cons_append, List.nil_append, List.mem_cons, List.not_mem_nil,
      or_false] at one
  · subst one
    exact ⟨_, in0, rfl⟩
  · subst one
    exact ⟨_, in1, rfl⟩
  · rcases one with rfl | rfl
    · exact ⟨_, alu0, rfl⟩
    · exact ⟨_, alu1, rfl⟩

theorem runningSum_supplied {there : Spot → Nat} {alu : Nat} {operation : Operation} {first last : Spot → Bool}
    {stream : Nat} {spot : Spot} {given : List (Resource × Nat)}
    (before : ∃ cycle, (⟨h, .alu (alu - 1)⟩, cycle) ∈ given ∧ cycle + p.machine.aluLatency = there spot)
    (own : first spot = false → ∃ cycle, (⟨h, .alu alu⟩, cycle) ∈ given ∧ cycle + p.machine.aluLatency = there spot) :
    ∀ family ∈ Plan.runningSum h there alu operation first last stream, ∀ instr ∈ family spot,
      Supplied p given instr := by
  intro family hf instr hi
  simp only [Plan.runningSum, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with rfl | rfl <;> dsimp only at hi <;> cases isFirst : first spot <;>
    simp only [isFirst, if_true, if_false, Bool.false_eq_true, List.not_mem_nil, List.mem_singleton] at hi <;>
    subst hi <;> intro taken one <;>
    simp only [takes, operand, List.append_nil, List.cons_append, List.nil_append, List.mem_cons, List.not_mem_nil,
      or_false] at one
  · subst one
    exact before
  · rcases one with rfl | rfl
    · exact before
    · exact own isFirst

theorem combineAll_supplied (wf : p.WellFormed) {instr : Instr} (there : instr ∈ p.combineAll h) :
    Supplied p ((p.combineAll h).flatMap (uses p.machine)) instr := by
  obtain ⟨spot, hs, family, hf, hi⟩ := mem_emit.mp there
  obtain ⟨ordered, few⟩ := List.mem_filter.mp hs
  have known := mem_order ordered
  -- What an ALU gives for a spot.
  have given : ∀ other ∈ p.combineSpots h, ∀ use ∈ usedAt p.machine (p.planesSum h p.combine
      (fun spot => p.accumulator spot.tile spot.row spot.group spot.part) none) other,
      use ∈ (p.combineAll h).flatMap (uses p.machine) := fun other ho use hu =>
    used_of_usedAt ho (by rw [usedAt_append, usedAt_append]; exact List.mem_append_left _ (List.mem_append_left _ hu))
  have running : ∀ other ∈ p.combineSpots h, (⟨h, .alu 3⟩, p.combine + other.place + p.machine.drainLatency
      + 2 * p.machine.aluLatency) ∈ (p.combineAll h).flatMap (uses p.machine) := fun other ho =>
    used_of_usedAt ho (by
      rw [usedAt_append, usedAt_append, runningSum_uses]
      exact List.mem_append_left _ (List.mem_append_right _ List.mem_cons_self))
  have sum : (⟨h, .alu 2⟩, p.combine + spot.place + (p.machine.drainLatency + p.machine.aluLatency))
      ∈ (p.combineAll h).flatMap (uses p.machine) := given spot hs _ (by
    rw [planesSum_uses wf]
    exact List.mem_append_left _ (List.mem_map.mpr ⟨(.alu 2, _), by simp [planesTemplate], rfl⟩))
  simp only [List.mem_append, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with (hf | hf) | rfl
  · exact planesSum_supplied wf (given spot hs) family hf instr hi
  · refine runningSum_supplied ⟨_, sum, by omega⟩ (fun later => ?_) family hf instr hi
    have part : (p.spot p.machine.aluLatency p.segments spot.place).part ≠ 0 := by
      rw [← known.2.1]
      simpa using later
    obtain ⟨enough, row, group, before⟩ := part_before wf.aluLatency part
    rw [← known.2.1] at row group before
    have previous : p.spot p.machine.aluLatency p.segments (spot.place - p.machine.aluLatency) ∈ p.combineSpots h := by
      refine List.mem_filter.mpr ⟨mem_order_before ordered row, ?_⟩
      rw [before, group]
      have := of_decide_eq_true few
      exact decide_eq_true (by omega)
    refine ⟨_, running _ previous, ?_⟩
    simp only [Plan.spot]
    omega
  · dsimp only at hi
    split at hi
    · next last =>
      obtain rfl := List.mem_singleton.mp hi
      intro taken one
      obtain rfl := List.mem_singleton.mp one
      refine ⟨p.combine + spot.place + p.machine.drainLatency + 2 * p.machine.aluLatency + p.machine.aluLatency
        + p.machine.transit, used_of_usedAt hs ?_, by dsimp only; omega⟩
      rw [usedAt_append, usedAt_append, runningSum_uses, if_pos last]
      exact List.mem_append_left _ (List.mem_append_right _ (List.mem_cons_of_mem _ List.mem_cons_self))
    · simp at hi

theorem toFloats_supplied (wf : p.WellFormed) {there : Spot → Nat} {spot : Spot} {given : List (Resource × Nat)}
    (when : there spot = p.drain + spot.place + p.machine.drainLatency + 2 * p.machine.aluLatency)
    (subset : ∀ use ∈ usedAt p.machine (p.toFloats h there) spot, use ∈ given) :
    ∀ family ∈ p.toFloats h there, ∀ instr ∈ family spot, Supplied p given instr := by
  intro family hf instr hi
  have early := latency_le_drain (p := p)
  unfold Plan.toFloats at hf subset
  split at hf
  · next several =>
    rw [if_pos several] at subset
    simp only [List.mem_cons, List.not_mem_nil, or_false] at hf
    rcases hf with rfl | rfl <;> obtain rfl := List.mem_singleton.mp hi <;> intro taken one
    · simp [takes] at one
    · obtain rfl := List.mem_singleton.mp one
      refine ⟨there spot - p.machine.memoryLatency + p.machine.memoryLatency,
        subset _ (by simp [usedAt, uses]), by dsimp only; omega⟩
  · next several =>
    rw [if_neg several] at subset
    have sub : ∀ use ∈ usedAt p.machine (p.planesSum h p.drain
        (fun spot => p.accumulator spot.tile spot.row spot.group 0) (some accStream)) spot, use ∈ given :=
      fun use hu => subset use (by rw [usedAt_append]; exact List.mem_append_left _ hu)
    simp only [List.mem_append, List.mem_cons, List.not_mem_nil, or_false] at hf
    rcases hf with hf | rfl | rfl
    · exact planesSum_supplied wf sub family hf instr hi
    · obtain rfl := List.mem_singleton.mp hi
      intro taken one
      obtain rfl := List.mem_singleton.mp one
      refine ⟨_, sub _ (by
        rw [planesSum_uses wf]
        exact List.mem_append_right _ List.mem_cons_self), ?_⟩
      dsimp only
      omega
    · obtain rfl := List.mem_singleton.mp hi
      intro taken one
      obtain rfl := List.mem_singleton.mp one
      refine ⟨_, sub _ (by
        rw [planesSum_uses wf]
        exact List.mem_append_left _ (List.mem_map.mpr
          ⟨(.alu 2, p.machine.drainLatency + p.machine.aluLatency), by simp [planesTemplate], rfl⟩)), ?_⟩
      dsimp only
      omega

theorem toFloats_gives (there : Spot → Nat) (spot : Spot) :
    (⟨h, .alu 3⟩, there spot) ∈ usedAt p.machine (p.toFloats h there) spot := by
  unfold Plan.toFloats
  split
  · simp [usedAt, uses]
  · rw [usedAt_append]
    exact List.mem_append_right _ (by simp [usedAt, uses])

/-- When a result is scaled. -/
def scaledAt (p : Plan) (spot : Spot) : Nat :=
  p.drain + spot.place + p.machine.drainLatency + 2 * p.machine.aluLatency + p.machine.aluLatency

/-- What a result's instructions use: all that others take. -/
theorem scaleAndSum_gives (spot : Spot) (hs : spot ∈ p.order h p.interleaved 1) :
    (∀ use ∈ usedAt p.machine (p.toFloats h fun spot : Spot =>
        p.drain + spot.place + p.machine.drainLatency + 2 * p.machine.aluLatency) spot,
      use ∈ (p.drainAll h).flatMap (uses p.machine))
    ∧ (∀ number ∈ [scaleStream, offsetStream, rowSumStream], (⟨h, .inwardStream number⟩, scaledAt p spot)
      ∈ (p.drainAll h).flatMap (uses p.machine))
    ∧ (∀ number ∈ [4, 5], (⟨h, .alu number⟩, scaledAt p spot) ∈ (p.drainAll h).flatMap (uses p.machine))
    ∧ (⟨h, .alu 6⟩, scaledAt p spot + p.machine.aluLatency) ∈ (p.drainAll h).flatMap (uses p.machine)
    ∧ (⟨h, .alu 7⟩, scaledAt p spot + 2 * p.machine.aluLatency) ∈ (p.drainAll h).flatMap (uses p.machine)
    ∧ ((spot.group == p.groups - 1) = true → (⟨h, .outwardStream outStream⟩,
        scaledAt p spot + 2 * p.machine.aluLatency + p.machine.aluLatency + p.machine.transit)
      ∈ (p.drainAll h).flatMap (uses p.machine)) := by
  have early := latency_le_drain (p := p)
  have back : scaledAt p spot - p.machine.memoryLatency + p.machine.memoryLatency = scaledAt p spot := by
    simp only [scaledAt]
    omega
  have all : ∀ use ∈ usedAt p.machine (p.scaleAndSum h) spot, use ∈ (p.drainAll h).flatMap (uses p.machine) :=
    fun use hu => used_of_usedAt hs hu
  simp only [Plan.scaleAndSum, usedAt_append, runningSum_uses, List.mem_append] at all
  have middle := fun use hu => all use (.inl (.inl (.inr hu)))
  refine ⟨fun use hu => all use (.inl (.inl (.inl hu))), ?_, ?_, ?_, ?_, ?_⟩
  · intro number there
    simp only [List.mem_cons, List.not_mem_nil, or_false] at there
    rcases there with rfl | rfl | rfl <;> rw [← back] <;> exact middle _ (by simp [usedAt, uses, scaledAt])
  · intro number there
    simp only [List.mem_cons, List.not_mem_nil, or_false] at there
    rcases there with rfl | rfl <;> exact middle _ (by simp [usedAt, uses, scaledAt])
  · exact middle _ (by simp [usedAt, uses, scaledAt])
  · exact all _ (.inl (.inr List.mem_cons_self))
  · intro last
    exact all _ (.inl (.inr (by rw [if_pos last]; exact List.mem_cons_of_mem _ List.mem_cons_self)))

theorem drainAll_supplied (wf : p.WellFormed) {instr : Instr} (there : instr ∈ p.drainAll h) :
    Supplied p ((p.drainAll h).flatMap (uses p.machine)) instr := by
  obtain ⟨spot, hs, family, hf, hi⟩ := mem_emit.mp there
  obtain ⟨floats, inward, scaled, sum, -, out⟩ := scaleAndSum_gives spot hs
  have known := mem_order hs
  simp only [List.forall_mem_cons, List.not_mem_nil, false_implies, implies_true, and_true] at inward scaled
  simp only [Plan.scaleAndSum, List.mem_append, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with ((hf | rfl | rfl | rfl | rfl | rfl | rfl) | hf) | rfl
  · exact toFloats_supplied wf rfl floats family hf instr hi
  · obtain rfl := List.mem_singleton.mp hi
    intro taken none
    simp [takes] at none
  · obtain rfl := List.mem_singleton.mp hi
    intro taken none
    simp [takes] at none
  · obtain rfl := List.mem_singleton.mp hi
    intro taken none
    simp [takes] at none
  · obtain rfl := List.mem_singleton.mp hi
    intro taken one
    simp only [takes, operand, List.cons_append, List.nil_append, List.mem_cons, List.not_mem_nil, or_false] at one
    rcases one with rfl | rfl
    · exact ⟨_, floats _ (toFloats_gives _ spot), rfl⟩
    · exact ⟨_, inward.1, rfl⟩
  · obtain rfl := List.mem_singleton.mp hi
    intro taken one
    simp only [takes, operand, List.cons_append, List.nil_append, List.mem_cons, List.not_mem_nil, or_false] at one
    rcases one with rfl | rfl
    · exact ⟨_, inward.2.2, rfl⟩
    · exact ⟨_, inward.2.1, rfl⟩
  · obtain rfl := List.mem_singleton.mp hi
    intro taken one
    simp only [takes, operand, List.cons_append, List.nil_append, List.mem_cons, List.not_mem_nil, or_false] at one
    rcases one with rfl | rfl
    · exact ⟨_, scaled.1, rfl⟩
    · exact ⟨_, scaled.2, rfl⟩
  · refine runningSum_supplied ⟨_, sum, by simp only [scaledAt]; omega⟩ (fun later => ?_) family hf instr hi
    have group : (p.spot p.interleaved 1 spot.place).group ≠ 0 := by
      rw [← known.2.1]
      simpa using later
    obtain ⟨enough, row⟩ := group_before (Plan.interleaved_pos wf) group
    rw [← known.2.1] at row
    -- There are several groups, so that a sum over them waits for the one before.
    have turns : p.interleaved = p.machine.aluLatency := by
      have several : p.groups ≠ 1 := fun one => group (by simp only [Plan.spot, one, Nat.mod_one])
      simp only [Plan.interleaved, several, if_false]
    obtain ⟨-, -, -, -, own, -⟩ := scaleAndSum_gives _ (mem_order_before hs row)
    refine ⟨_, own, ?_⟩
    rw [turns] at enough
    simp only [scaledAt, Plan.spot, turns]
    omega
  · dsimp only at hi
    split at hi
    · next last =>
      obtain rfl := List.mem_singleton.mp hi
      intro taken one
      obtain rfl := List.mem_singleton.mp one
      refine ⟨_, out last, ?_⟩
      simp only [scaledAt]
      omega
    · simp at hi

/-! ## All together -/

theorem hemisphere_supplied (wf : p.WellFormed) {instr : Instr} (there : instr ∈ p.hemisphere h) :
    Supplied p ((p.hemisphere h).flatMap (uses p.machine)) instr := by
  obtain ⟨own, parts⟩ := mem_hemisphere.mp there
  have wider : ∀ {part : List Instr}, (∀ other ∈ part, other ∈ p.hemisphere h) →
      Supplied p (part.flatMap (uses p.machine)) instr → Supplied p ((p.hemisphere h).flatMap (uses p.machine)) instr :=
    fun subset supplied => supplied.mono fun use hu => by
      obtain ⟨other, ho, hu⟩ := List.mem_flatMap.mp hu
      exact List.mem_flatMap.mpr ⟨other, subset other ho, hu⟩
  rcases parts with part | part | part | part | part | part | part
  · exact wider (fun other ho => mem_hemisphere.mpr ⟨own, .inl ho⟩) (installOnes_supplied part)
  · refine wider (fun other ho => mem_hemisphere.mpr ⟨own, .inr (.inl ho)⟩) (stream_supplied (fun sweep hs => ?_) part)
    obtain ⟨tile, -, rfl⟩ := List.mem_map.mp hs
    simp only [Plan.onesMatmul]
    omega
  · exact wider (fun other ho => mem_hemisphere.mpr ⟨own, .inr (.inr (.inl ho))⟩) (unpack_supplied wf part)
  · refine wider (fun other ho => mem_hemisphere.mpr ⟨own, .inr (.inr (.inr (.inl ho)))⟩)
      (stream_supplied (fun sweep hs => ?_) part)
    obtain ⟨job, -, rfl⟩ := List.mem_map.mp hs
    have := Plan.latency_lt_installed wf
    simp only [Plan.jobSweep]
    omega
  · exact wider (fun other ho => mem_hemisphere.mpr ⟨own, .inr (.inr (.inr (.inr (.inl ho))))⟩)
      (drainSums_supplied wf part)
  · refine wider (fun other ho => mem_hemisphere.mpr ⟨own, .inr (.inr (.inr (.inr (.inr (.inl ho)))))⟩) ?_
    split at part
    · next several =>
      rw [if_pos several]
      exact combineAll_supplied wf part
    · simp at part
  · exact wider (fun other ho => mem_hemisphere.mpr ⟨own, .inr (.inr (.inr (.inr (.inr (.inr ho)))))⟩)
      (drainAll_supplied wf part)

end Q35.Lpu

namespace Q35

open Lpu

/-- **Every operand is there**: whatever an instruction takes from a stream or from an ALU, an instruction of the
schedule has put there, for the very cycle in which it is taken. -/
theorem operands_present {p : Plan} (wf : p.WellFormed) : ∀ instr ∈ schedule p, ∀ taken ∈ takes p.machine instr,
    ∃ cycle, (taken.1, cycle) ∈ (schedule p).flatMap (uses p.machine) ∧ cycle + taken.2.1 = taken.2.2 := by
  intro instr there
  obtain ⟨h, less, there⟩ := mem_schedule.mp there
  refine (hemisphere_supplied wf there).mono fun use hu => ?_
  obtain ⟨other, ho, hu⟩ := List.mem_flatMap.mp hu
  exact List.mem_flatMap.mpr ⟨other, mem_schedule.mpr ⟨h, less, ho⟩, hu⟩

end Q35
