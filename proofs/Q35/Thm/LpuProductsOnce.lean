module

public import Q35.Thm.LpuProducts
public import Q35.Thm.LpuTotal

@[expose] public noncomputable section

/-!
# Each product is formed once, by one instruction

From the row and the column of a product follow its job, its plane, its row there and its lane; from the row of
activations and the group, the activation vector: `schedule_forms_each_product_once`.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

/-! ## Addresses, rows and columns -/

theorem activationAddress_inj {tile tile' row row' number number' : Nat} (hr : row < p.m) (hr' : row' < p.m)
    (hn : number < p.mostGroups) (hn' : number' < p.mostGroups)
    (same : p.activationAddress tile row number = p.activationAddress tile' row' number') :
    tile = tile' ∧ row = row' ∧ number = number' := by
  have small := row_number_lt hr hn
  have small' := row_number_lt hr' hn'
  simp only [Plan.activationAddress] at same
  have tiles : tile = tile' := by
    have left : (tile * p.slots + (row * p.mostGroups + number)) / p.slots = tile := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt small, Nat.add_zero]
    have right : (tile' * p.slots + (row' * p.mostGroups + number')) / p.slots = tile' := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt small', Nat.add_zero]
    rw [← left, ← right]
    congr 1
    omega
  subst tiles
  have rows : row = row' := by
    have left : (row * p.mostGroups + number) / p.mostGroups = row := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt hn, Nat.add_zero]
    have right : (row' * p.mostGroups + number') / p.mostGroups = row' := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt hn', Nat.add_zero]
    rw [← left, ← right]
    congr 1
    omega
  subst rows
  exact ⟨rfl, rfl, by omega⟩

theorem weightRow_inj {tile tile' plane plane' row row' : Nat} (hp : plane < 2) (hp' : plane' < 2)
    (hr : row < p.machine.rows) (hr' : row' < p.machine.rows)
    (same : p.weightRow tile plane row = p.weightRow tile' plane' row') :
    tile = tile' ∧ plane = plane' ∧ row = row' := by
  simp only [Plan.weightRow, Plan.tileRows] at same
  have tiles : tile = tile' := by
    have left : (tile * (2 * p.machine.rows) + (2 * row + plane)) / (2 * p.machine.rows) = tile := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt (by omega), Nat.add_zero]
    have right : (tile' * (2 * p.machine.rows) + (2 * row' + plane')) / (2 * p.machine.rows) = tile' := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt (by omega), Nat.add_zero]
    rw [← left, ← right]
    congr 1
    omega
  subst tiles
  omega

theorem weightColumn_inj {a b u u' lane lane' : Nat} (ha : a < p.machine.hemispheres) (hb : b < p.machine.hemispheres)
    (hl : lane < p.machine.lanes) (hl' : lane' < p.machine.lanes)
    (same : p.weightColumn a u lane = p.weightColumn b u' lane') : a = b ∧ u = u' ∧ lane = lane' := by
  simp only [Plan.weightColumn] at same
  have tiles : u * p.machine.hemispheres + a = u' * p.machine.hemispheres + b := by
    have left : ((u * p.machine.hemispheres + a) * p.machine.lanes + lane) / p.machine.lanes
        = u * p.machine.hemispheres + a := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt hl, Nat.add_zero]
    have right : ((u' * p.machine.hemispheres + b) * p.machine.lanes + lane') / p.machine.lanes
        = u' * p.machine.hemispheres + b := by
      rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt hl', Nat.add_zero]
    rw [← left, ← right]
    congr 1
  rw [tiles] at same
  have left : (u * p.machine.hemispheres + a) / p.machine.hemispheres = u := by
    rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt ha, Nat.add_zero]
  have right : (u' * p.machine.hemispheres + b) / p.machine.hemispheres = u' := by
    rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt hb, Nat.add_zero]
  have us : u = u' := by rw [← left, ← right, tiles]
  subst us
  exact ⟨by omega, rfl, by omega⟩

theorem inGroup_iff (wf : p.WellFormed) {group k : Nat} :
    p.InGroup group k ↔ k / groupLength p.k p.groupSize = group ∧ k < p.k := by
  have positive := Plan.groupLength_pos' wf
  simp only [Plan.InGroup, groupRange]
  rw [Nat.div_eq_iff positive]
  omega

/-! ## The matmul of a product -/

/-- A matmul of a sweep past weights comes while they stand in their buffer. -/
theorem vectorCycle_within {job row number : Nat} (wf : p.WellFormed)
    (hx : (p.jobSweep job, row, number) ∈ p.vectors (p.jobSweeps h)) :
    p.jobsBegin + job * p.period + p.installed ≤ p.vectorCycle (p.jobSweep job, row, number)
      ∧ p.vectorCycle (p.jobSweep job, row, number) < p.jobsBegin + job * p.period + p.installed + p.slots := by
  obtain ⟨hs, hr, hn⟩ := mem_vectors.mp hx
  have := row_number_lt hr (Nat.lt_of_lt_of_le hn (Plan.groupsIn_le ((jobSweeps_inTurn (h := h) wf).1 _ hs)))
  simp only [Plan.vectorCycle, Plan.jobSweep]
  omega

/-- A matmul that forms a product is of the product's job, row of activations and group. -/
theorem forms_source (wf : p.WellFormed) {instr : Instr} {row lane m k n : Nat} (there : instr ∈ schedule p)
    (forms : p.Forms instr row lane m k n) :
    ∃ h job plane number, h < p.machine.hemispheres ∧ plane < 2 ∧ row < p.machine.rows ∧ lane < p.machine.lanes
      ∧ instr ∈ p.multiplyVector h plane (p.jobSweep job, m, number)
      ∧ k = p.weightRow (job % p.rowTiles) plane row ∧ n = p.weightColumn h (job / p.rowTiles) lane
      ∧ p.InGroup ((p.tileGroups (job % p.rowTiles)).1 + number) k := by
  cases instr with
  | matmul cycle h plane buffer stream byte accumulator begins =>
    obtain ⟨hr, hl, ⟨issued, address, read, when, tile, number, -, hm, hn, rfl, rfl, inGroup⟩, stands⟩ := forms
    obtain ⟨less, own, small, sweeps, part, ⟨sweep, m', number'⟩, hx, is⟩ := matmul_source wf there
    have equal := List.mem_singleton.mp is
    simp only [Instr.matmul.injEq, true_and] at equal
    obtain ⟨rfl, rfl, rfl, rfl, -, -⟩ := equal
    obtain ⟨hs, hm', hn'⟩ := mem_vectors.mp hx
    -- The word that it takes was read for it.
    have own' := vector_read part less own hx (List.mem_singleton.mpr rfl)
    have shared := eq_of_shared (schedule_free_of_conflicts wf) read own'
      (use := (⟨h, .memoryQuad activations⟩, issued)) (by simp [uses]) (by simp [uses, ← when])
    simp only [Instr.read.injEq, true_and, and_true] at shared
    have turn : InTurn p sweeps := by
      rcases part with rfl | rfl
      · exact sumSweeps_inTurn
      · exact jobSweeps_inTurn wf
    have tileLess := turn.1 sweep hs
    rcases part with rfl | rfl
    · -- Past the ones: no weight stands there.
      obtain ⟨tile', ht', rfl⟩ := List.mem_map.mp hs
      have := row_number_lt hm' (Nat.lt_of_lt_of_le hn' (Plan.groupsIn_le tileLess))
      have : (tile' + 1) * p.slots ≤ p.rowTiles * p.slots := Nat.mul_le_mul_right _ (List.mem_range.mp ht')
      rw [Nat.succ_mul] at this
      refine absurd stands (not_stands_before wf ?_)
      simp only [Plan.vectorCycle, Plan.onesMatmul, Plan.jobsBegin]
      omega
    · obtain ⟨job, hj, rfl⟩ := List.mem_map.mp hs
      obtain ⟨after, before⟩ := vectorCycle_within wf hx
      obtain ⟨rowOf, columnOf⟩ :=
        (stands_of_job wf less own (List.mem_range.mp hj) small hr after before lane _ n).mp stands
      obtain ⟨rfl, -, -⟩ := weightRow_inj small small hr hr rowOf
      obtain ⟨-, rfl, rfl⟩ := activationAddress_inj hm hm' (Nat.lt_of_lt_of_le hn (Plan.groupsIn_le tileLess))
        (Nat.lt_of_lt_of_le hn' (Plan.groupsIn_le tileLess)) shared.2
      exact ⟨h, job, _, number, less, small, hr, hl, is, rfl, columnOf, inGroup⟩
  | _ => exact forms.elim

/-- The matmul of a product is there. -/
theorem forms_exists (wf : p.WellFormed) {m k n : Nat} (hm : m < p.m) (hk : k < p.k) (hn : n < p.n) :
    ∃ instr row lane, instr ∈ schedule p ∧ p.Forms instr row lane m k n := by
  have rows := wf.rows
  have length := Plan.groupLength_pos' wf
  have tileLess : k / p.tileRows < p.rowTiles := div_lt_ceilDiv (Plan.tileRows_pos wf) hk
  have hemi : n / p.machine.lanes % p.machine.hemispheres < p.machine.hemispheres := Nat.mod_lt _ wf.hemispheres
  -- The column's tile is one of its hemisphere's.
  have wide : n / p.machine.lanes < ceilDiv p.n p.machine.lanes := div_lt_ceilDiv wf.lanes hn
  have whole := Nat.div_add_mod (n / p.machine.lanes) p.machine.hemispheres
  have tileOf : n / p.machine.lanes / p.machine.hemispheres
      < p.ownTiles (n / p.machine.lanes % p.machine.hemispheres) := by
    have := div_lt_ceilDiv (a := ceilDiv p.n p.machine.lanes - n / p.machine.lanes % p.machine.hemispheres)
      (i := p.machine.hemispheres * (n / p.machine.lanes / p.machine.hemispheres)) wf.hemispheres (by omega)
    rwa [Nat.mul_div_cancel_left _ wf.hemispheres] at this
  generalize n / p.machine.lanes % p.machine.hemispheres = h at *
  generalize column : n / p.machine.lanes / p.machine.hemispheres = u at *
  have own : p.ownTiles h ≠ 0 := by omega
  have hj : u * p.rowTiles + k / p.tileRows < p.ownTiles h * p.rowTiles := by
    have : (u + 1) * p.rowTiles ≤ p.ownTiles h * p.rowTiles := Nat.mul_le_mul_right _ tileOf
    rw [Nat.succ_mul] at this
    omega
  have jobTile : (u * p.rowTiles + k / p.tileRows) % p.rowTiles = k / p.tileRows := by
    rw [Nat.mul_comm, Nat.mul_add_mod, Nat.mod_eq_of_lt tileLess]
  have jobColumn : (u * p.rowTiles + k / p.tileRows) / p.rowTiles = u := by
    rw [Nat.mul_comm, Nat.mul_add_div (by omega), Nat.div_eq_of_lt tileLess, Nat.add_zero]
  generalize u * p.rowTiles + k / p.tileRows = job at *
  -- The row's place in its tile, and the group's number there.
  have inTile := Nat.div_add_mod k p.tileRows
  have inside := Nat.mod_lt k (Plan.tileRows_pos wf)
  have tileRows : p.tileRows = 2 * p.machine.rows := rfl
  have rowOf : k = p.weightRow (k / p.tileRows) (k % p.tileRows % 2) (k % p.tileRows / 2) := by
    rw [Nat.mul_comm] at inTile
    simp only [Plan.weightRow]
    omega
  have low : (p.tileGroups (k / p.tileRows)).1 ≤ k / groupLength p.k p.groupSize := by
    refine Nat.div_le_div_right ?_
    rw [Nat.mul_comm] at inTile
    omega
  have high : k / groupLength p.k p.groupSize < (p.tileGroups (k / p.tileRows)).2 := by
    refine Nat.lt_succ_of_le (Nat.div_le_div_right ?_)
    have : (k / p.tileRows + 1) * p.tileRows = k / p.tileRows * p.tileRows + p.tileRows := Nat.succ_mul ..
    rw [Nat.mul_comm] at inTile
    omega
  have number : k / groupLength p.k p.groupSize - (p.tileGroups (k / p.tileRows)).1 < p.groupsIn (k / p.tileRows) := by
    simp only [Plan.groupsIn]
    omega
  have inGroup : p.InGroup ((p.tileGroups (k / p.tileRows)).1
      + (k / groupLength p.k p.groupSize - (p.tileGroups (k / p.tileRows)).1)) k :=
    (inGroup_iff wf).mpr ⟨by omega, hk⟩
  generalize k / groupLength p.k p.groupSize - (p.tileGroups (k / p.tileRows)).1 = number' at *
  have hx : (p.jobSweep job, m, number') ∈ p.vectors (p.jobSweeps h) := by
    refine mem_vectors.mpr ⟨List.mem_map.mpr ⟨job, List.mem_range.mpr hj, rfl⟩, hm, ?_⟩
    simp only [Plan.jobSweep, jobTile]
    exact number
  obtain ⟨after, before⟩ := vectorCycle_within wf hx
  have small : k % p.tileRows % 2 < 2 := Nat.mod_lt _ (by decide)
  have less : k % p.tileRows / 2 < p.machine.rows := by omega
  refine ⟨_, k % p.tileRows / 2, n % p.machine.lanes,
    vector_multiplied wf (.inr rfl) hemi own small hx (List.mem_singleton.mpr rfl), less, Nat.mod_lt _ wf.lanes,
    ⟨_, _, vector_read (.inr rfl) hemi own hx (List.mem_singleton.mpr rfl), ?_,
      k / p.tileRows, number', tileLess, hm, number, ?_, rowOf, inGroup⟩, ?_⟩
  · have := Plan.latency_lt_installed wf
    omega
  · simp only [Plan.jobSweep, jobTile]
  · refine (stands_of_job wf hemi own hj small less after before _ k n).mpr ⟨by rw [jobTile]; exact rowOf, ?_⟩
    rw [jobColumn, Plan.weightColumn, Nat.mul_comm u, whole, Nat.mul_comm, Nat.div_add_mod]

end Q35.Lpu

namespace Q35

open Lpu

/-- No instruction of a schedule is there twice. -/
theorem schedule_nodup {p : Plan} (wf : p.WellFormed) : (schedule p).Nodup := by
  have once := schedule_free_of_conflicts wf
  unfold List.Nodup at once ⊢
  rw [List.pairwise_flatMap] at once
  refine once.2.imp fun {a b} apart equal => ?_
  subst equal
  obtain ⟨use, there, -⟩ := cycle_used p.machine a
  exact apart use there use there rfl

/-- **Each product is formed once**: for every row of activations, row of weights and column, there is one instruction,
once in the schedule, that multiplies this activation by this weight, in one row and one lane. -/
theorem schedule_forms_each_product_once {p : Plan} (wf : p.WellFormed) {m k n : Nat} (hm : m < p.m) (hk : k < p.k)
    (hn : n < p.n) : ∃ instr row lane, (schedule p).count instr = 1 ∧ p.Forms instr row lane m k n
      ∧ ∀ instr' row' lane', instr' ∈ schedule p → p.Forms instr' row' lane' m k n →
        instr' = instr ∧ row' = row ∧ lane' = lane := by
  obtain ⟨instr, row, lane, there, forms⟩ := forms_exists wf hm hk hn
  refine ⟨instr, row, lane, ?_, forms, ?_⟩
  · rw [(schedule_nodup wf).count, if_pos there]
  · intro instr' row' lane' there' forms'
    obtain ⟨h, job, plane, number, less, small, hr, hl, is, rowOf, columnOf, inGroup⟩ := forms_source wf there forms
    obtain ⟨h', job', plane', number', less', small', hr', hl', is', rowOf', columnOf', inGroup'⟩ :=
      forms_source wf there' forms'
    obtain ⟨tile, rfl, rfl⟩ := weightRow_inj small' small hr' hr (rowOf'.symm.trans rowOf)
    obtain ⟨rfl, column, rfl⟩ := weightColumn_inj less' less hl' hl (columnOf'.symm.trans columnOf)
    have jobs : job' = job := by
      rw [← Nat.div_add_mod job' p.rowTiles, ← Nat.div_add_mod job p.rowTiles, tile, column]
    subst jobs
    rw [inGroup_iff wf] at inGroup inGroup'
    have numbers : number' = number := by omega
    subst numbers
    exact ⟨(List.mem_singleton.mp is').trans (List.mem_singleton.mp is).symm, rfl, rfl⟩

end Q35
