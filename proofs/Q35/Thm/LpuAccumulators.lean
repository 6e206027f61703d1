module

public import Q35.Thm.LpuProductsOnce

@[expose] public noncomputable section

/-!
# Each product goes into its group's accumulator

A product's accumulator is that of its column tile, row of activations, group and part of the group, on the plane of its
row of weights. Of all matmuls that add to an accumulator, the first one begins it, and no other does.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

/-- The part of a group's row tiles that a row tile is in. -/
def partOf (p : Plan) (group tile : Nat) : Nat := (tile - p.firstTile group) / p.segmentTiles

theorem group_tiles (wf : p.WellFormed) {tile group : Nat} (less : tile < p.rowTiles)
    (low : (p.tileGroups tile).1 ≤ group) (high : group < (p.tileGroups tile).2) :
    p.firstTile group ≤ tile ∧ group < p.groups
      ∧ tile ≤ (min ((group + 1) * groupLength p.k p.groupSize) p.k - 1) / p.tileRows := by
  have length := Plan.groupLength_pos' wf
  have rows := Plan.tileRows_pos wf
  have begun := lt_of_mul_lt_ceilDiv rows less
  have next : (tile + 1) * p.tileRows = tile * p.tileRows + p.tileRows := Nat.succ_mul ..
  have groupNext : (group + 1) * groupLength p.k p.groupSize
    = group * groupLength p.k p.groupSize + groupLength p.k p.groupSize := Nat.succ_mul ..
  have early : group * groupLength p.k p.groupSize ≤ min ((tile + 1) * p.tileRows) p.k - 1 := by
    have : group ≤ (min ((tile + 1) * p.tileRows) p.k - 1) / groupLength p.k p.groupSize := Nat.lt_succ_iff.mp high
    rwa [Nat.le_div_iff_mul_le length] at this
  have late : tile * p.tileRows < (group + 1) * groupLength p.k p.groupSize := by
    have : tile * p.tileRows / groupLength p.k p.groupSize < group + 1 := Nat.lt_succ_of_le low
    rwa [Nat.div_lt_iff_lt_mul length] at this
  refine ⟨?_, ?_, ?_⟩
  · rw [Plan.firstTile, ← Nat.lt_succ_iff, Nat.div_lt_iff_lt_mul rows, Nat.succ_mul]
    omega
  · rw [Plan.groups_eq]
    rcases Nat.lt_or_ge group (ceilDiv p.k (groupLength p.k p.groupSize)) with small | large
    · exact small
    · have := (ceilDiv_le_iff length).mp large
      omega
  · rw [Nat.le_div_iff_mul_le rows]
    omega

theorem partOf_lt (wf : p.WellFormed) {tile group : Nat} (less : tile < p.rowTiles)
    (low : (p.tileGroups tile).1 ≤ group) (high : group < (p.tileGroups tile).2) :
    partOf p group tile < p.segments := by
  obtain ⟨first, small, last⟩ := group_tiles wf less low high
  have most : p.groupSegments group ≤ p.segments := le_foldr_max p.groupSegments (List.mem_range.mpr small)
  refine Nat.lt_of_lt_of_le ?_ most
  exact div_lt_ceilDiv wf.segmentTiles (by omega)

/-- The tiles of a group are in a row. -/
theorem tile_between (wf : p.WellFormed) {tile tile' group : Nat} (less : tile < p.rowTiles)
    (low : (p.tileGroups tile).1 ≤ group) (high : group < (p.tileGroups tile).2) (first : p.firstTile group ≤ tile')
    (before : tile' ≤ tile) : (p.tileGroups tile').1 ≤ group ∧ group < (p.tileGroups tile').2 := by
  have length := Plan.groupLength_pos' wf
  have rows := Plan.tileRows_pos wf
  have begun := lt_of_mul_lt_ceilDiv rows (Nat.lt_of_le_of_lt before less)
  have start := lt_of_mul_lt_ceilDiv length (Plan.groups_eq ▸ (group_tiles wf less low high).2.1)
  constructor
  · exact Nat.le_trans (Nat.div_le_div_right (Nat.mul_le_mul_right _ before)) low
  · refine Nat.lt_succ_of_le ?_
    rw [Nat.le_div_iff_mul_le length]
    have : group * groupLength p.k p.groupSize / p.tileRows < tile' + 1 := Nat.lt_succ_of_le first
    rw [Nat.div_lt_iff_lt_mul rows] at this
    omega

theorem accumulator_inj {u u' m m' g g' s s' : Nat} (hm : m < p.m) (hm' : m' < p.m) (hg : g < p.groups)
    (hg' : g' < p.groups) (hs : s < p.segments) (hs' : s' < p.segments)
    (same : p.accumulator u m g s = p.accumulator u' m' g' s') : u = u' ∧ m = m' ∧ g = g' ∧ s = s' := by
  have digits : ∀ {a a' b b' n : Nat}, b < n → b' < n → a * n + b = a' * n + b' → a = a' ∧ b = b' := by
    intro a a' b b' n hb hb' equal
    have quotient : a = a' := by
      have left : (a * n + b) / n = a := by
        rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt hb, Nat.add_zero]
      have right : (a' * n + b') / n = a' := by
        rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt hb', Nat.add_zero]
      rw [← left, ← right, equal]
    subst quotient
    exact ⟨rfl, by omega⟩
  obtain ⟨outer, rfl⟩ := digits hs hs' same
  obtain ⟨inner, rfl⟩ := digits hg hg' outer
  obtain ⟨rfl, rfl⟩ := digits hm hm' inner
  exact ⟨rfl, rfl, rfl, rfl⟩

/-- A row tile's sweep past the ones, or past its weights for a column tile: how many tiles share an accumulator, which
buffer it is, and when it begins. -/
def SweepOf (p : Plan) (h u tile limit buffer start : Nat) : Prop :=
  u = p.columnTiles ∧ limit = p.rowTiles ∧ buffer = 0 ∧ start = p.onesMatmul + tile * p.slots
  ∨ u < p.ownTiles h ∧ limit = p.segmentTiles ∧ buffer = (u * p.rowTiles + tile + 1) % 2
    ∧ start = p.jobsBegin + (u * p.rowTiles + tile) * p.period + p.installed

/-- A matmul of a row tile's sweep, by its row of activations and its group. -/
def matmulOf (p : Plan) (h plane u tile row group limit buffer start : Nat) : Instr :=
  .matmul (start + row * p.mostGroups + (group - (p.tileGroups tile).1)) h plane buffer activationStream plane
    (p.accumulator u row group ((tile - p.firstTile group) / limit)) ((tile - p.firstTile group) % limit == 0)

theorem matmulOf_source (wf : p.WellFormed) {cycle plane buffer stream byte accumulator : Nat} {begins : Bool}
    (there : Instr.matmul cycle h plane buffer stream byte accumulator begins ∈ schedule p) :
    h < p.machine.hemispheres ∧ p.ownTiles h ≠ 0 ∧ plane < 2 ∧ ∃ u tile row group limit start, tile < p.rowTiles
      ∧ row < p.m ∧ (p.tileGroups tile).1 ≤ group ∧ group < (p.tileGroups tile).2
      ∧ SweepOf p h u tile limit buffer start
      ∧ Instr.matmul cycle h plane buffer stream byte accumulator begins
        = matmulOf p h plane u tile row group limit buffer start := by
  obtain ⟨less, own, small, sweeps, part, ⟨sweep, row, number⟩, hx, is⟩ := matmul_source wf there
  refine ⟨less, own, small, ?_⟩
  have equal := List.mem_singleton.mp is
  obtain ⟨hs, hr, hn⟩ := mem_vectors.mp hx
  have buffers : buffer = sweep.buffer := by
    injection equal
  subst buffers
  rw [equal]
  simp only [Plan.groupsIn] at hn
  rcases part with rfl | rfl
  · obtain ⟨tile, ht, rfl⟩ := List.mem_map.mp hs
    dsimp only at hn
    refine ⟨p.columnTiles, tile, row, (p.tileGroups tile).1 + number, p.rowTiles, p.onesMatmul + tile * p.slots,
      List.mem_range.mp ht, hr, by omega, by omega, .inl ⟨rfl, rfl, rfl, rfl⟩, ?_⟩
    simp only [matmulOf, Plan.vectorCycle, Nat.add_sub_cancel_left]
  · obtain ⟨job, hj, rfl⟩ := List.mem_map.mp hs
    have positive := Plan.rowTiles_pos wf
    have split : job / p.rowTiles * p.rowTiles + job % p.rowTiles = job := by
      rw [Nat.mul_comm]
      exact Nat.div_add_mod ..
    simp only [Plan.jobSweep] at hn
    refine ⟨job / p.rowTiles, job % p.rowTiles, row, (p.tileGroups (job % p.rowTiles)).1 + number, p.segmentTiles,
      p.jobsBegin + job * p.period + p.installed, Nat.mod_lt _ positive, hr, by omega, by omega, .inr ⟨?_, rfl, ?_, ?_⟩,
      ?_⟩
    · rw [Nat.div_lt_iff_lt_mul positive]
      exact List.mem_range.mp hj
    · rw [split]
      rfl
    · rw [split]
    · simp only [matmulOf, Plan.vectorCycle, Plan.jobSweep, Nat.add_sub_cancel_left]

theorem matmulOf_there (wf : p.WellFormed) (less : h < p.machine.hemispheres) (own : p.ownTiles h ≠ 0)
    {plane u tile row group limit buffer start : Nat} (small : plane < 2) (ht : tile < p.rowTiles) (hr : row < p.m)
    (low : (p.tileGroups tile).1 ≤ group) (high : group < (p.tileGroups tile).2)
    (sweep : SweepOf p h u tile limit buffer start) :
    matmulOf p h plane u tile row group limit buffer start ∈ schedule p := by
  have number : group - (p.tileGroups tile).1 < p.groupsIn tile := by
    simp only [Plan.groupsIn]
    omega
  have back : (p.tileGroups tile).1 + (group - (p.tileGroups tile).1) = group := by omega
  rcases sweep with ⟨rfl, rfl, rfl, rfl⟩ | ⟨hu, rfl, rfl, rfl⟩
  · refine vector_multiplied wf (.inl rfl) less own small (x := (⟨_, tile, p.columnTiles, 0, p.rowTiles⟩, row, _))
      (mem_vectors.mpr ⟨List.mem_map.mpr ⟨tile, List.mem_range.mpr ht, rfl⟩, hr, number⟩) ?_
    simp only [Plan.multiplyVector, matmulOf, Plan.vectorCycle, back, List.mem_singleton]
  · have job : (u * p.rowTiles + tile) % p.rowTiles = tile ∧ (u * p.rowTiles + tile) / p.rowTiles = u := by
      rw [Nat.mul_comm, Nat.mul_add_mod, Nat.mod_eq_of_lt ht, Nat.mul_add_div (by omega), Nat.div_eq_of_lt ht]
      exact ⟨rfl, rfl⟩
    have hj : u * p.rowTiles + tile < p.ownTiles h * p.rowTiles := by
      have : (u + 1) * p.rowTiles ≤ p.ownTiles h * p.rowTiles := Nat.mul_le_mul_right _ hu
      rw [Nat.succ_mul] at this
      omega
    refine vector_multiplied wf (.inr rfl) less own small
      (x := (p.jobSweep (u * p.rowTiles + tile), row, group - (p.tileGroups tile).1))
      (mem_vectors.mpr ⟨List.mem_map.mpr ⟨_, List.mem_range.mpr hj, rfl⟩, hr, ?_⟩) ?_
    · simp only [Plan.jobSweep, job.1]
      exact number
    · simp only [Plan.multiplyVector, matmulOf, Plan.vectorCycle, Plan.jobSweep, job, back, List.mem_singleton]

/-- A sweep of an earlier tile has ended when a later one's begins. -/
theorem sweep_before (wf : p.WellFormed) {u tile limit buffer start : Nat}
    (sweep : SweepOf p h u tile limit buffer start) (tile' : Nat) : ∃ buffer' start', SweepOf p h u tile' limit buffer' start'
      ∧ (tile' = tile → start' = start) ∧ (tile' < tile → start' + p.slots ≤ start) := by
  rcases sweep with ⟨rfl, rfl, rfl, rfl⟩ | ⟨hu, rfl, rfl, rfl⟩
  · refine ⟨_, _, .inl ⟨rfl, rfl, rfl, rfl⟩, fun same => by rw [same], fun less => ?_⟩
    have : (tile' + 1) * p.slots ≤ tile * p.slots := Nat.mul_le_mul_right _ less
    rw [Nat.succ_mul] at this
    omega
  · refine ⟨_, _, .inr ⟨hu, rfl, rfl, rfl⟩, fun same => by rw [same], fun less => ?_⟩
    have : (u * p.rowTiles + tile' + 1) * p.period ≤ (u * p.rowTiles + tile) * p.period :=
      Nat.mul_le_mul_right _ (by omega)
    rw [Nat.succ_mul] at this
    have := Plan.slots_le_period wf
    omega

/-- There are accumulators for all parts of a group. -/
theorem part_lt (wf : p.WellFormed) {u tile limit buffer start group : Nat}
    (sweep : SweepOf p h u tile limit buffer start) (ht : tile < p.rowTiles) (low : (p.tileGroups tile).1 ≤ group)
    (high : group < (p.tileGroups tile).2) : (tile - p.firstTile group) / limit < p.segments := by
  have := partOf_lt wf ht low high
  rcases sweep with ⟨-, rfl, -⟩ | ⟨-, rfl, -⟩
  · rw [Nat.div_eq_of_lt (by omega)]
    omega
  · exact this

/-- The first tile of a tile's part of a group. -/
theorem first_tile {from_ tile : Nat} (limit : Nat) (known : from_ ≤ tile) : ∃ first, from_ ≤ first ∧ first ≤ tile
    ∧ (first - from_) / limit = (tile - from_) / limit ∧ (first - from_) % limit = 0 := by
  have back := Nat.div_mul_le_self (tile - from_) limit
  refine ⟨from_ + (tile - from_) / limit * limit, Nat.le_add_right _ _, by omega, ?_, ?_⟩
  · rw [Nat.add_sub_cancel_left]
    rcases Nat.eq_zero_or_pos limit with rfl | positive
    · simp
    · rw [Nat.mul_div_cancel _ positive]
  · rw [Nat.add_sub_cancel_left, Nat.mul_mod_left]

theorem part_of_first {a b limit : Nat} (same : a / limit = b / limit) (zero : a % limit = 0) :
    a ≤ b ∧ (b % limit = 0 → b = a) := by
  have splitA := Nat.div_add_mod a limit
  have splitB := Nat.div_add_mod b limit
  rw [zero, same] at splitA
  omega

theorem begun_first {from_ first tile start start' slots offset number number' : Nat} {zero : Prop}
    (known : from_ ≤ first) (known' : from_ ≤ tile)
    (order : first - from_ ≤ tile - from_ ∧ (zero → tile - from_ = first - from_))
    (same : tile = first → start' = start ∧ number' = number ∧ zero) (before : first < tile → start + slots ≤ start')
    (few : offset + number < slots) : start + offset + number ≤ start' + offset + number'
      ∧ (zero ↔ start' + offset + number' = start + offset + number) := by
  rcases Nat.eq_or_lt_of_le (show first ≤ tile by omega) with equal | less
  · obtain ⟨rfl, rfl, hz⟩ := same equal.symm
    exact ⟨Nat.le_refl _, fun _ => rfl, fun _ => hz⟩
  · have := before less
    exact ⟨by omega, fun hz => absurd (order.2 hz) (by omega), fun equal => by omega⟩

/-- Sweeps for the same accumulators are of one kind. -/
theorem sweep_same (wf : p.WellFormed) {u tile tile' limit limit' buffer buffer' start start' : Nat}
    (one : SweepOf p h u tile limit buffer start) (other : SweepOf p h u tile' limit' buffer' start') :
    limit' = limit ∧ 0 < limit ∧ (tile' = tile → start' = start) ∧ (tile < tile' → start + p.slots ≤ start') := by
  have few := Plan.ownTiles_le wf h
  have positive := Plan.rowTiles_pos wf
  obtain ⟨_, between, sweep, same, before⟩ := sweep_before wf other tile
  have starts : between = start ∧ limit' = limit := by
    rcases one with ⟨isU, rfl, -, rfl⟩ | ⟨isU, rfl, -, rfl⟩ <;>
      rcases sweep with ⟨isU', rfl, -, rfl⟩ | ⟨isU', rfl, -, rfl⟩
    · exact ⟨rfl, rfl⟩
    · omega
    · omega
    · exact ⟨rfl, rfl⟩
  obtain ⟨rfl, rfl⟩ := starts
  refine ⟨rfl, ?_, fun equal => (same equal.symm).symm, before⟩
  have := wf.segmentTiles
  rcases one with ⟨-, rfl, -⟩ | ⟨-, rfl, -⟩ <;> omega

end Q35.Lpu

namespace Q35

open Lpu

/-- **Each product goes into its group's accumulator**, on the plane of its row of weights. -/
theorem product_accumulator {p : Plan} (wf : p.WellFormed) {instr : Instr} {row lane m k n : Nat}
    (there : instr ∈ schedule p) (forms : p.Forms instr row lane m k n) :
    ∃ cycle h columnTile buffer begins, n = p.weightColumn h columnTile lane ∧ instr = .matmul cycle h (k % 2) buffer
      activationStream (k % 2) (p.accumulator columnTile m (k / groupLength p.k p.groupSize)
        (partOf p (k / groupLength p.k p.groupSize) (k / p.tileRows))) begins := by
  obtain ⟨h, job, plane, number, -, small, hr, -, is, rowOf, columnOf, inGroup⟩ := forms_source wf there forms
  have group := ((inGroup_iff wf).mp inGroup).1
  have tileRows : p.tileRows = 2 * p.machine.rows := rfl
  have even : job % p.rowTiles * p.tileRows = 2 * (job % p.rowTiles * p.machine.rows) := by
    rw [tileRows, ← Nat.mul_assoc, Nat.mul_comm _ 2, Nat.mul_assoc]
  have parity : k % 2 = plane := by
    simp only [Plan.weightRow] at rowOf
    omega
  have tile : k / p.tileRows = job % p.rowTiles := by
    rw [rowOf, Plan.weightRow, Nat.add_assoc, Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt (by omega),
      Nat.add_zero]
  refine ⟨p.vectorCycle (p.jobSweep job, m, number), h, job / p.rowTiles, (job + 1) % 2,
    (job % p.rowTiles - p.firstTile ((p.tileGroups (job % p.rowTiles)).1 + number)) % p.segmentTiles == 0, columnOf,
    (List.mem_singleton.mp is).trans ?_⟩
  rw [parity, tile, group, partOf]
  rfl

/-- **Of all matmuls that add to an accumulator, exactly the first begins it**, so that it holds their sum. -/
theorem accumulator_begun_first {p : Plan} (wf : p.WellFormed) {h plane accumulator : Nat}
    {cycle buffer stream byte : Nat} {begins : Bool}
    (there : Instr.matmul cycle h plane buffer stream byte accumulator begins ∈ schedule p) :
    ∃ first buffer', Instr.matmul first h plane buffer' stream byte accumulator true ∈ schedule p
      ∧ ∀ cycle' buffer'' stream' byte' begins',
        Instr.matmul cycle' h plane buffer'' stream' byte' accumulator begins' ∈ schedule p →
          first ≤ cycle' ∧ (begins' = true ↔ cycle' = first) := by
  obtain ⟨less, own, small, u, tile, row, group, limit, start, ht, hr, low, high, sweep, is⟩ := matmulOf_source wf there
  obtain ⟨-, positive, -⟩ := sweep_same wf sweep sweep
  have known := group_tiles wf ht low high
  -- The tile that begins it.
  obtain ⟨first, low₁, high₁, quotient, rest⟩ := first_tile limit known.1
  have inFirst := tile_between wf ht low high low₁ high₁
  obtain ⟨buffer', start', sweep', -⟩ := sweep_before wf sweep first
  have begun := matmulOf_there wf less own small (Nat.lt_of_le_of_lt high₁ ht) hr inFirst.1 inFirst.2 sweep'
  simp only [matmulOf, Instr.matmul.injEq, true_and] at is
  obtain ⟨-, rfl, rfl, rfl, -⟩ := is
  simp only [matmulOf, quotient, rest, BEq.rfl] at begun
  refine ⟨_, _, begun, ?_⟩
  intro cycle' buffer'' stream' byte' begins' other
  obtain ⟨-, -, -, u', tile', row', group', limit', start'', ht', hr', low'', high'', sweep'', is'⟩ :=
    matmulOf_source wf other
  simp only [matmulOf, Instr.matmul.injEq, true_and] at is'
  obtain ⟨rfl, -, -, same, rfl⟩ := is'
  obtain ⟨rfl, rfl, rfl, parts⟩ := accumulator_inj hr hr' known.2.1 (group_tiles wf ht' low'' high'').2.1
    (part_lt wf sweep ht low high) (part_lt wf sweep'' ht' low'' high'') same
  obtain ⟨rfl, -, equal, before⟩ := sweep_same wf sweep' sweep''
  have number := Nat.lt_of_lt_of_le (Nat.sub_lt_sub_right inFirst.1 inFirst.2)
    (Plan.groupsIn_le (Nat.lt_of_le_of_lt high₁ ht))
  rw [beq_iff_eq]
  exact begun_first low₁ (group_tiles wf ht' low'' high'').1 (part_of_first (quotient.trans parts) rest)
    (fun same => ⟨equal same, by rw [same], by rw [same, rest]⟩) before (row_number_lt hr number)

end Q35
