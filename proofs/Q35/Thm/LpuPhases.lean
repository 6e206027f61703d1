module

public import Q35.Thm.LpuEmit

@[expose] public noncomputable section

/-!
# What the parts of a schedule occupy, and between which cycles: all but the drains

The parts of a schedule use each port one after the other: the ones, the row sums, the jobs, the drains. The boundaries
between them are cycles that differ from port to port, as a word is on a stream some cycles after it was read.
-/

namespace Q35.Lpu

namespace Plan

variable (p : Plan)

/-- Cycles by which the use of a port is later than the reading of what is used. -/
def later : Port → Nat
  | .memoryQuad _ => 0
  | _ => p.machine.memoryLatency

/-- The cycles of each port from which on it is used for the row sums. -/
def afterOnes (port : Port) : Nat := p.onesCycles + p.later port

/-- The same for the jobs. -/
def afterSums (port : Port) : Nat := p.jobsBegin + p.later port

/-- The same for draining the row sums. -/
def afterJobs (_ : Port) : Nat := p.sumsDrain

/-- The same for adding the accumulators of a group. -/
def afterDrainSums : Port → Nat
  | .memoryQuad _ =>
    p.sumsDrain + p.m * p.groups + p.machine.drainLatency + 2 * p.machine.aluLatency + p.machine.memoryLatency
  | .alu _ => p.sumsDrain + p.m * p.groups + p.machine.drainLatency + p.machine.aluLatency
  | .inwardStream _ => p.sumsDrain + p.m * p.groups + p.machine.drainLatency
  | .outwardStream _ =>
    p.sumsDrain + p.m * p.groups + p.machine.drainLatency + 2 * p.machine.aluLatency + p.machine.transit
  | _ => p.sumsDrain + p.m * p.groups

/-- The same for scaling and summing the integers. -/
def afterCombine : Port → Nat
  | .memoryQuad _ => p.combine + p.columnTiles * p.combined + p.machine.drainLatency + 3 * p.machine.aluLatency
      + p.machine.memoryLatency
  | .alu _ => p.combine + p.columnTiles * p.combined + p.machine.drainLatency + 2 * p.machine.aluLatency
  | .inwardStream _ => p.combine + p.columnTiles * p.combined + p.machine.drainLatency
  | .outwardStream _ => p.combine + p.columnTiles * p.combined + p.machine.drainLatency + 3 * p.machine.aluLatency
      + p.machine.transit
  | _ => p.combine + p.columnTiles * p.combined

/-- A cycle after all others. -/
def afterAll (_ : Port) : Nat :=
  p.drain + p.columnTiles * p.results + p.machine.drainLatency + 6 * p.machine.aluLatency + p.machine.memoryLatency
    + p.machine.transit

end Plan

variable {p : Plan} {h : Nat}

/-! ## The ones -/

theorem installOnes_between :
    Between p.machine h (fun _ => 0) p.afterOnes (p.installOnes h) := by
  refine Between.emit (κ := Port) (port := fun _ port => port) (start := id) (interval := 1) (residue := 0)
    (template := (.memoryQuad activations, 0) :: (.outwardStream activationStream, p.machine.memoryLatency)
      :: (List.range p.machine.planes).flatMap fun plane => (List.range p.machine.installWords).map fun port =>
        (.installPort plane port, p.machine.memoryLatency)) ?_ ?_ ?_ ?_ ?_ ?_
  · intro x _
    simp [usedAt, shifted, Plan.readOnes, Plan.placeOnes, uses, List.map_flatMap, List.flatMap_assoc, List.flatMap_map,
      Function.comp_def, ← List.map_eq_flatMap]
  · intro x y a _ b _ equal
    exact equal
  · apply apart_of_ports
    simp only [List.map_cons, List.map_flatMap, List.map_map, Function.comp_def, List.nodup_cons]
    refine ⟨by simp, by simp, ?_⟩
    unfold List.Nodup
    rw [List.pairwise_flatMap]
    refine ⟨fun plane _ => ?_, ?_⟩
    · rw [List.pairwise_map]
      exact List.nodup_range.imp (by simp)
    · refine List.nodup_range.imp fun different u hu v hv => ?_
      obtain ⟨a, -, rfl⟩ := List.mem_map.mp hu
      obtain ⟨b, -, rfl⟩ := List.mem_map.mp hv
      simp [different]
  · intro x _
    omega
  · simpa using List.nodup_range
  · intro x hx entry he
    have := List.mem_range.mp hx
    simp only [List.mem_cons, List.mem_flatMap, List.mem_map] at he
    rcases he with rfl | rfl | ⟨_, _, _, _, rfl⟩ <;> simp only [Plan.afterOnes, Plan.later, id] <;> omega

/-! ## Activations -/

/-- Sweeps of row tiles, one after the other. -/
def InTurn (p : Plan) (sweeps : List Sweep) : Prop :=
  (∀ sweep ∈ sweeps, sweep.tile < p.rowTiles) ∧ sweeps.Pairwise fun a b => a.start + p.slots ≤ b.start

theorem row_number_lt {row number : Nat} (hr : row < p.m) (hn : number < p.mostGroups) :
    row * p.mostGroups + number < p.slots := by
  have : (row + 1) * p.mostGroups ≤ p.m * p.mostGroups := Nat.mul_le_mul_right _ hr
  rw [Nat.succ_mul] at this
  unfold Plan.slots
  omega

theorem mem_vectors {sweeps : List Sweep} {sweep : Sweep} {row number : Nat} :
    (sweep, row, number) ∈ p.vectors sweeps ↔ sweep ∈ sweeps ∧ row < p.m ∧ number < p.groupsIn sweep.tile := by
  simp only [Plan.vectors, List.mem_flatMap, List.mem_map, List.mem_range, Prod.mk.injEq]
  constructor
  · rintro ⟨s, hs, r, hr, n, hn, rfl, rfl, rfl⟩
    exact ⟨hs, hr, hn⟩
  · rintro ⟨hs, hr, hn⟩
    exact ⟨_, hs, _, hr, _, hn, rfl, rfl, rfl⟩

theorem vectorCycle_increases {sweeps : List Sweep} (turn : InTurn p sweeps) :
    (p.vectors sweeps).Pairwise fun a b => p.vectorCycle a < p.vectorCycle b := by
  unfold Plan.vectors
  rw [List.pairwise_flatMap]
  constructor
  · intro sweep hs
    have few := Plan.groupsIn_le (turn.1 sweep hs)
    rw [List.pairwise_flatMap]
    constructor
    · intro row _
      rw [List.pairwise_map]
      refine List.pairwise_lt_range.imp fun less => ?_
      simp only [Plan.vectorCycle]
      omega
    · refine List.pairwise_lt_range.imp fun {row row'} less u hu v hv => ?_
      simp only [List.mem_map, List.mem_range] at hu hv
      obtain ⟨number, hn, rfl⟩ := hu
      obtain ⟨number', hn', rfl⟩ := hv
      have : (row + 1) * p.mostGroups ≤ row' * p.mostGroups := Nat.mul_le_mul_right _ less
      rw [Nat.succ_mul] at this
      simp only [Plan.vectorCycle]
      omega
  · refine List.Pairwise.imp_of_mem ?_ turn.2
    intro a b ha hb after u hu v hv
    simp only [List.mem_flatMap, List.mem_map, List.mem_range] at hu hv
    obtain ⟨row, hr, number, hn, rfl⟩ := hu
    obtain ⟨row', hr', number', hn', rfl⟩ := hv
    have := row_number_lt hr (Nat.lt_of_lt_of_le hn (Plan.groupsIn_le (turn.1 a ha)))
    simp only [Plan.vectorCycle]
    omega

theorem stream_between (wf : p.WellFormed) {low high : Port → Nat} {sweeps : List Sweep} (turn : InTurn p sweeps)
    (latency : ∀ sweep ∈ sweeps, p.machine.memoryLatency ≤ sweep.start)
    (within : ∀ sweep ∈ sweeps, ∀ port,
      low port ≤ sweep.start - p.machine.memoryLatency + p.later port
        ∧ sweep.start - p.machine.memoryLatency + p.later port + p.slots ≤ high port) :
    Between p.machine h low high (p.stream h sweeps) := by
  refine Between.emit (κ := Port) (port := fun _ port => port)
    (start := fun x => p.vectorCycle x - p.machine.memoryLatency) (interval := 1) (residue := 0)
    (template := [(.memoryQuad activations, 0), (.outwardStream activationStream, p.machine.memoryLatency),
      (.matrixPlane 0, p.machine.memoryLatency), (.matrixPlane 1, p.machine.memoryLatency)]) ?_ ?_ ?_ ?_ ?_ ?_
  · rintro ⟨sweep, row, number⟩ hx
    have := latency sweep (mem_vectors.mp hx).1
    have back : p.vectorCycle (sweep, row, number) - p.machine.memoryLatency + p.machine.memoryLatency
        = p.vectorCycle (sweep, row, number) := by
      simp only [Plan.vectorCycle]
      omega
    simp [usedAt, shifted, Plan.readVector, Plan.multiplyVector, uses, wf.planes, List.range_succ, back]
  · intro x y a _ b _ equal
    exact equal
  · apply apart_of_ports
    simp
  · intro x _
    omega
  · unfold List.Nodup
    rw [List.pairwise_map]
    refine List.Pairwise.imp_of_mem ?_ (vectorCycle_increases turn)
    rintro ⟨sweep, row, number⟩ ⟨sweep', row', number'⟩ hx hy less
    have := latency sweep (mem_vectors.mp hx).1
    simp only [Plan.vectorCycle] at less ⊢
    omega
  · rintro ⟨sweep, row, number⟩ hx entry he
    obtain ⟨hs, hr, hn⟩ := mem_vectors.mp hx
    have first := latency sweep hs
    have less := row_number_lt hr (Nat.lt_of_lt_of_le hn (Plan.groupsIn_le (turn.1 sweep hs)))
    have bounds := within sweep hs entry.1
    simp only [List.mem_cons, List.not_mem_nil, or_false] at he
    rcases he with rfl | rfl | rfl | rfl <;> simp only [Plan.later, Plan.vectorCycle] at bounds ⊢ <;> omega

theorem sumSweeps_inTurn : InTurn p p.sumSweeps := by
  constructor
  · intro sweep hs
    obtain ⟨tile, ht, rfl⟩ := List.mem_map.mp hs
    exact List.mem_range.mp ht
  · unfold Plan.sumSweeps
    rw [List.pairwise_map]
    refine List.pairwise_lt_range.imp fun {tile tile'} less => ?_
    have : (tile + 1) * p.slots ≤ tile' * p.slots := Nat.mul_le_mul_right _ less
    rw [Nat.succ_mul] at this
    simp only
    omega

theorem sums_between (wf : p.WellFormed) :
    Between p.machine h p.afterOnes p.afterSums (p.stream h p.sumSweeps) := by
  have all : ∀ sweep ∈ p.sumSweeps, p.onesMatmul ≤ sweep.start
      ∧ sweep.start + p.slots ≤ p.jobsBegin + p.machine.memoryLatency := by
    intro sweep hs
    obtain ⟨tile, ht, rfl⟩ := List.mem_map.mp hs
    have : (tile + 1) * p.slots ≤ p.rowTiles * p.slots := Nat.mul_le_mul_right _ (List.mem_range.mp ht)
    rw [Nat.succ_mul] at this
    simp only [Plan.onesMatmul, Plan.jobsBegin]
    omega
  refine stream_between wf sumSweeps_inTurn (fun sweep hs => ?_) (fun sweep hs port => ?_)
  · have := all sweep hs
    simp only [Plan.onesMatmul] at this
    omega
  · have := all sweep hs
    simp only [Plan.onesMatmul] at this
    simp only [Plan.afterOnes, Plan.afterSums]
    omega

/-! ## Jobs -/

theorem jobs_le (wf : p.WellFormed) {job : Nat} (hj : job < p.ownTiles h * p.rowTiles) : job + 1 ≤ p.jobs := by
  have := Nat.mul_le_mul_right p.rowTiles (Plan.ownTiles_le wf h)
  unfold Plan.jobs
  rw [Nat.mul_comm p.rowTiles]
  omega

/-- A job's activation vectors are streamed before the sums are drained. -/
theorem job_ends (wf : p.WellFormed) {job : Nat} (hj : job < p.ownTiles h * p.rowTiles) :
    p.jobsBegin + job * p.period + p.installed + p.slots ≤ p.matmulsEnd := by
  have := jobs_le wf hj
  have : job * p.period ≤ (p.jobs - 1) * p.period := Nat.mul_le_mul_right _ (by omega)
  simp only [Plan.matmulsEnd]
  omega

theorem jobSweeps_inTurn (wf : p.WellFormed) : InTurn p (p.jobSweeps h) := by
  constructor
  · intro sweep hs
    obtain ⟨job, -, rfl⟩ := List.mem_map.mp hs
    exact Nat.mod_lt _ (Plan.rowTiles_pos wf)
  · unfold Plan.jobSweeps
    rw [List.pairwise_map]
    refine List.pairwise_lt_range.imp fun {job job'} less => ?_
    have : (job + 1) * p.period ≤ job' * p.period := Nat.mul_le_mul_right _ less
    rw [Nat.succ_mul] at this
    have := Plan.slots_le_period wf
    simp only [Plan.jobSweep]
    omega

theorem jobStream_between (wf : p.WellFormed) :
    Between p.machine h p.afterSums p.afterJobs (p.stream h (p.jobSweeps h)) := by
  have early := Plan.latency_lt_installed wf
  refine stream_between wf (jobSweeps_inTurn wf) (fun sweep hs => ?_) (fun sweep hs port => ?_)
  · obtain ⟨job, -, rfl⟩ := List.mem_map.mp hs
    simp only [Plan.jobSweep]
    omega
  · obtain ⟨job, hj, rfl⟩ := List.mem_map.mp hs
    have := job_ends wf (List.mem_range.mp hj)
    have late : p.later port ≤ p.machine.memoryLatency := by
      unfold Plan.later
      split <;> omega
    simp only [Plan.jobSweep, Plan.afterSums, Plan.afterJobs, Plan.sumsDrain]
    omega

theorem mem_jobBlocks {job block : Nat} :
    (job, block) ∈ p.jobBlocks h ↔ job < p.ownTiles h * p.rowTiles ∧ block < p.blocks := by
  simp only [Plan.jobBlocks, List.mem_flatMap, List.mem_map, List.mem_range, Prod.mk.injEq]
  constructor
  · rintro ⟨j, hj, b, hb, rfl, rfl⟩
    exact ⟨hj, hb⟩
  · rintro ⟨hj, hb⟩
    exact ⟨_, hj, _, hb, rfl, rfl⟩

theorem block_within {block : Nat} (hb : block < p.blocks) :
    block * p.table.interval + p.table.interval ≤ p.blocks * p.table.interval := by
  rw [← Nat.succ_mul]
  exact Nat.mul_le_mul_right _ hb

theorem blockBegin_increases (wf : p.WellFormed) :
    (p.jobBlocks h).Pairwise fun a b => p.blockBegin a < p.blockBegin b := by
  have positive := wf.table.interval
  unfold Plan.jobBlocks
  rw [List.pairwise_flatMap]
  constructor
  · intro job _
    rw [List.pairwise_map]
    refine List.pairwise_lt_range.imp fun {block block'} less => ?_
    have : (block + 1) * p.table.interval ≤ block' * p.table.interval := Nat.mul_le_mul_right _ less
    rw [Nat.succ_mul] at this
    simp only [Plan.blockBegin]
    omega
  · refine List.pairwise_lt_range.imp fun {job job'} less u hu v hv => ?_
    simp only [List.mem_map, List.mem_range] at hu hv
    obtain ⟨block, hb, rfl⟩ := hu
    obtain ⟨block', -, rfl⟩ := hv
    have : (job + 1) * p.period ≤ job' * p.period := Nat.mul_le_mul_right _ less
    rw [Nat.succ_mul] at this
    have := Plan.blocks_le_period wf
    have := block_within hb
    simp only [Plan.blockBegin]
    omega

/-- The port of a block's use: the quad that a byte's number stands for. -/
def blockPort (p : Plan) (x : Nat × Nat) : Port → Port
  | .memoryQuad byte => .memoryQuad (p.weightPlace (x.1 * p.blocks + x.2) byte).1
  | port => port

theorem weightPlace_eq {block byte : Nat} :
    (p.weightPlace block byte).1 = block % (weightQuads / p.periodBytes) * p.periodBytes + byte := rfl

theorem weightPlace_lt (wf : p.WellFormed) {block byte : Nat} (hb : byte < p.periodBytes) :
    (p.weightPlace block byte).1 < weightQuads := by
  rw [weightPlace_eq]
  have sets : 0 < weightQuads / p.periodBytes := Nat.div_pos wf.periodBytes.2 wf.periodBytes.1
  have : (block % (weightQuads / p.periodBytes) + 1) * p.periodBytes ≤ weightQuads / p.periodBytes * p.periodBytes :=
    Nat.mul_le_mul_right _ (Nat.mod_lt _ sets)
  rw [Nat.succ_mul] at this
  have := Nat.div_mul_le_self weightQuads p.periodBytes
  omega

theorem weightPlace_byte {a b byte byte' : Nat} (hb : byte < p.periodBytes)
    (hb' : byte' < p.periodBytes) (same : (p.weightPlace a byte).1 = (p.weightPlace b byte').1) : byte = byte' := by
  rw [weightPlace_eq, weightPlace_eq] at same
  have := congrArg (· % p.periodBytes) same
  simpa only [Nat.mul_add_mod_self_right, Nat.mod_eq_of_lt hb, Nat.mod_eq_of_lt hb'] using this

/-- What a table's entry uses, and when. -/
theorem table_uses (wf : p.WellFormed) : ∀ use ∈ p.table.uses p.machine,
    (∃ byte, use.1 = .memoryQuad byte ∧ byte < p.periodBytes ∧ use.2 ≤ p.table.lastPlacement)
    ∨ p.machine.memoryLatency ≤ use.2 ∧ use.2 ≤ p.table.lastPlacement ∧ ((∃ number, use.1 = .alu number)
      ∨ (∃ number, use.1 = .inwardStream number)
      ∨ (∃ number, use.1 = .outwardStream number ∧ number < activationStream)
      ∨ ∃ plane port, use.1 = .installPort plane port) := by
  intro use there
  simp only [Table.uses, List.mem_append, List.mem_flatMap, List.mem_map] at there
  rcases there with (⟨fetch, hf, there⟩ | ⟨step, hs, there⟩) | ⟨placement, hp, rfl⟩
  · have bounds := wf.table.fetches fetch hf
    simp only [List.mem_cons, List.not_mem_nil, or_false] at there
    rcases there with rfl | rfl
    · exact .inl ⟨fetch.byte, rfl, bounds.1, by dsimp only; omega⟩
    · refine .inr ⟨by dsimp only; omega, by dsimp only; omega, ?_⟩
      cases out : fetch.outward
      · exact .inr (.inl ⟨fetch.stream, by simp⟩)
      · exact .inr (.inr (.inl ⟨fetch.stream, by simp, bounds.2.2 out⟩))
  · have bounds := wf.table.steps step hs
    rcases List.mem_cons.mp there with rfl | there
    · exact .inr ⟨by dsimp only; omega, by dsimp only; omega, .inl ⟨_, rfl⟩⟩
    · cases out : step.outward with
      | none => simp [out] at there
      | some stream =>
        simp only [out, List.mem_cons, List.not_mem_nil, or_false] at there
        subst there
        have : stream < activationStream := by simpa [out] using bounds.2.2
        exact .inr ⟨by dsimp only; omega, by dsimp only; omega, .inr (.inr (.inl ⟨_, rfl, this⟩))⟩
  · have bounds := wf.table.placements placement hp
    have := Table.le_lastPlacement hp
    exact .inr ⟨by dsimp only; omega, by dsimp only; omega, .inr (.inr (.inr ⟨_, _, rfl⟩))⟩

theorem unpack_uses (x : Nat × Nat) :
    usedAt p.machine (p.table.fetches.map (p.fetchByte h) ++ p.table.steps.map (p.unpackStep h)
        ++ p.table.placements.map (p.placeWord h)) x
      = shifted (fun x key => ⟨h, blockPort p x key⟩) p.blockBegin (p.table.uses p.machine) x := by
  simp only [usedAt, shifted, Table.uses, List.flatMap_append, List.map_append, List.flatMap_map, List.map_flatMap,
    List.map_map]
  congr 1
  congr 1
  · refine flatMap_congr fun fetch _ => ?_
    simp only [Plan.fetchByte, uses, List.flatMap_cons, List.flatMap_nil, List.append_nil, List.map_cons, List.map_nil,
      blockPort]
    cases fetch.outward <;> simp [Nat.add_assoc]
  · refine flatMap_congr fun step _ => ?_
    simp only [Plan.unpackStep]
    cases step.outward <;> simp [uses, blockPort, Nat.add_assoc]
  · rw [List.map_eq_flatMap]
    refine flatMap_congr fun placement _ => ?_
    simp [Plan.placeWord, uses, blockPort]

theorem unpack_between (wf : p.WellFormed) : Between p.machine h p.afterSums p.afterJobs (p.unpack h) := by
  refine Between.emit (κ := Port) (port := blockPort p) (start := p.blockBegin) (interval := p.table.interval)
    (residue := p.jobsBegin % p.table.interval) (template := p.table.uses p.machine) ?_ ?_ wf.table.once ?_ ?_ ?_
  · intro x _
    rw [unpack_uses]
    exact List.Sublist.refl _
  · intro x y a ha b hb equal
    rcases table_uses wf a ha with ⟨byte, isA, less, -⟩ | ⟨-, -, ⟨_, isA⟩ | ⟨_, isA⟩ | ⟨_, isA, -⟩ | ⟨_, _, isA⟩⟩ <;>
      rcases table_uses wf b hb with
        ⟨byte', isB, less', -⟩ | ⟨-, -, ⟨_, isB⟩ | ⟨_, isB⟩ | ⟨_, isB, -⟩ | ⟨_, _, isB⟩⟩ <;>
      rw [isA, isB] at equal ⊢ <;> simp only [blockPort, reduceCtorEq, Port.memoryQuad.injEq] at equal ⊢ <;>
      first | exact weightPlace_byte less less' equal | exact equal
  · rintro ⟨job, block⟩ _
    obtain ⟨c, hc⟩ := Plan.interval_dvd_period p
    simp only [Plan.blockBegin, hc]
    rw [Nat.add_mul_mod_self_right, ← Nat.mul_assoc, Nat.mul_comm job, Nat.mul_assoc, Nat.add_mul_mod_self_left]
  · unfold List.Nodup
    rw [List.pairwise_map]
    exact (blockBegin_increases wf).imp fun less => by omega
  · rintro ⟨job, block⟩ hx entry he
    obtain ⟨hj, hb⟩ := mem_jobBlocks.mp hx
    have ends := job_ends wf hj
    have := block_within hb
    have split : p.blocks * p.table.interval = (p.blocks - 1) * p.table.interval + p.table.interval := by
      rw [← Nat.succ_mul]
      congr 1
      omega
    simp only [Plan.installed] at ends
    rcases table_uses wf entry he with
      ⟨byte, is, less, last⟩ | ⟨first, last, ⟨_, is⟩ | ⟨_, is⟩ | ⟨_, is, -⟩ | ⟨_, _, is⟩⟩ <;>
      rw [is] <;> simp only [blockPort, Plan.afterSums, Plan.afterJobs, Plan.later, Plan.blockBegin, Plan.sumsDrain] <;>
      omega

theorem uses_stream_port (wf : p.WellFormed) {sweeps : List Sweep} :
    ∀ use ∈ (p.stream h sweeps).flatMap (uses p.machine), use.1.port = .memoryQuad activations
      ∨ use.1.port = .outwardStream activationStream ∨ ∃ plane, use.1.port = .matrixPlane plane := by
  intro use there
  obtain ⟨instr, hi, there⟩ := List.mem_flatMap.mp there
  obtain ⟨⟨sweep, row, number⟩, -, family, hf, hi⟩ := mem_emit.mp hi
  simp only [wf.planes, List.range_succ, List.range_zero, List.nil_append, List.cons_append, List.map_cons,
    List.map_nil, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with rfl | rfl | rfl <;>
    simp only [Plan.readVector, Plan.multiplyVector, List.mem_cons, List.not_mem_nil, or_false] at hi <;> subst hi <;>
    simp only [uses, List.mem_cons, List.not_mem_nil, or_false] at there
  · rcases there with rfl | rfl <;> simp
  · subst there
    simp
  · subst there
    simp

theorem jobs_between (wf : p.WellFormed) :
    Between p.machine h p.afterSums p.afterJobs (p.unpack h ++ p.stream h (p.jobSweeps h)) := by
  refine (unpack_between wf).beside (jobStream_between wf) fun u hu v hv equal => ?_
  rw [Plan.unpack, (uses_emit_perm ..).mem_iff] at hu
  obtain ⟨x, -, hu⟩ := List.mem_flatMap.mp hu
  rw [unpack_uses] at hu
  obtain ⟨entry, he, rfl⟩ := List.mem_map.mp hu
  rcases table_uses wf entry he with
    ⟨byte, is, less, -⟩ | ⟨-, -, ⟨_, is⟩ | ⟨_, is⟩ | ⟨_, is, less⟩ | ⟨_, _, is⟩⟩ <;>
    rcases uses_stream_port wf v hv with port | port | ⟨plane, port⟩ <;> rw [port] at equal <;>
    simp only [is, blockPort, reduceCtorEq, Port.memoryQuad.injEq, Port.outwardStream.injEq] at equal
  · have := weightPlace_lt wf (block := x.1 * p.blocks + x.2) less
    simp only [activations] at equal
    omega
  · omega

end Q35.Lpu
