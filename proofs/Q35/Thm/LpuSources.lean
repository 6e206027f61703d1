module

public import Q35.Spec.LpuProducts
public import Q35.Thm.LpuConflicts

@[expose] public noncomputable section

/-!
# Where an instruction of the schedule is from

Instructions that have a use in common are one. A matmul is one of a sweep, and what is installed are ones or words of a
block.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

/-- Instructions of a list without conflicts that use the same at the same cycle are one. -/
theorem eq_of_shared {α β : Type} {f : α → List β} {xs : List α} (once : (xs.flatMap f).Nodup) {a b : α}
    (ha : a ∈ xs) (hb : b ∈ xs) {use : β} (inA : use ∈ f a) (inB : use ∈ f b) : a = b := by
  induction xs with
  | nil => simp at ha
  | cons x rest ih =>
    rw [List.flatMap_cons, List.nodup_append] at once
    obtain ⟨-, later, apart⟩ := once
    rcases List.mem_cons.mp ha with rfl | restA <;> rcases List.mem_cons.mp hb with rfl | restB
    · rfl
    · exact absurd rfl (apart use inA use (List.mem_flatMap.mpr ⟨b, restB, inB⟩))
    · exact absurd rfl (apart use inB use (List.mem_flatMap.mpr ⟨a, restA, inA⟩))
    · exact ih later restA restB

theorem mem_schedule {instr : Instr} : instr ∈ schedule p ↔ ∃ h < p.machine.hemispheres, instr ∈ p.hemisphere h := by
  simp only [schedule, List.mem_flatMap, List.mem_range]

/-- The parts of a hemisphere's schedule. -/
theorem mem_hemisphere {instr : Instr} : instr ∈ p.hemisphere h ↔ p.ownTiles h ≠ 0 ∧
    (instr ∈ p.installOnes h ∨ instr ∈ p.stream h p.sumSweeps ∨ instr ∈ p.unpack h
      ∨ instr ∈ p.stream h (p.jobSweeps h) ∨ instr ∈ p.drainSums h
      ∨ (instr ∈ if 1 < p.segments then p.combineAll h else []) ∨ instr ∈ p.drainAll h) := by
  by_cases own : p.ownTiles h = 0
  · simp [Plan.hemisphere, own]
  · simp only [Plan.hemisphere, own, if_false, List.mem_append, ne_eq, not_false_eq_true, true_and, or_assoc]

/-- Neither a matmul nor an install. -/
def Other : Instr → Prop
  | .matmul .. | .install .. => False
  | _ => True

theorem planesSum_other {start : Nat} {address : Spot → Nat} {stream : Option Nat} :
    ∀ family ∈ p.planesSum h start address stream, ∀ spot, ∀ instr ∈ family spot, Other instr := by
  intro family hf spot instr hi
  simp only [Plan.planesSum, List.mem_append, List.mem_map, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with (⟨plane, -, rfl⟩ | ⟨plane, -, rfl⟩) | rfl <;> obtain rfl := List.mem_singleton.mp hi <;> trivial

theorem runningSum_other {there : Spot → Nat} {alu : Nat} {operation : Operation} {first last : Spot → Bool}
    {stream : Nat} : ∀ family ∈ Plan.runningSum h there alu operation first last stream, ∀ spot,
      ∀ instr ∈ family spot, Other instr := by
  intro family hf spot instr hi
  simp only [Plan.runningSum, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with rfl | rfl <;> dsimp only at hi <;> split at hi <;>
    first | simp at hi; done | (obtain rfl := List.mem_singleton.mp hi; trivial)

theorem drainSums_other {instr : Instr} (there : instr ∈ p.drainSums h) : Other instr := by
  obtain ⟨index, -, family, hf, hi⟩ := mem_emit.mp there
  simp only [List.mem_append, List.mem_map, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with ⟨plane, -, rfl⟩ | rfl | rfl | rfl | rfl <;> obtain rfl := List.mem_singleton.mp hi <;> trivial

theorem combineAll_other {instr : Instr} (there : instr ∈ p.combineAll h) : Other instr := by
  obtain ⟨spot, -, family, hf, hi⟩ := mem_emit.mp there
  simp only [List.mem_append, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with (hf | hf) | rfl
  · exact planesSum_other family hf spot instr hi
  · exact runningSum_other family hf spot instr hi
  · dsimp only at hi
    split at hi
    · obtain rfl := List.mem_singleton.mp hi
      trivial
    · simp at hi

theorem toFloats_other {when : Spot → Nat} :
    ∀ family ∈ p.toFloats h when, ∀ spot, ∀ instr ∈ family spot, Other instr := by
  intro family hf spot instr hi
  unfold Plan.toFloats at hf
  split at hf
  · simp only [List.mem_cons, List.not_mem_nil, or_false] at hf
    rcases hf with rfl | rfl <;> obtain rfl := List.mem_singleton.mp hi <;> trivial
  · simp only [List.mem_append, List.mem_cons, List.not_mem_nil, or_false] at hf
    rcases hf with hf | rfl | rfl
    · exact planesSum_other family hf spot instr hi
    · obtain rfl := List.mem_singleton.mp hi
      trivial
    · obtain rfl := List.mem_singleton.mp hi
      trivial

theorem drainAll_other {instr : Instr} (there : instr ∈ p.drainAll h) : Other instr := by
  obtain ⟨spot, -, family, hf, hi⟩ := mem_emit.mp there
  simp only [Plan.scaleAndSum, List.mem_append, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with ((hf | rfl | rfl | rfl | rfl | rfl | rfl) | hf) | rfl
  · exact toFloats_other family hf spot instr hi
  any_goals
    obtain rfl := List.mem_singleton.mp hi
    trivial
  · exact runningSum_other family hf spot instr hi
  · dsimp only at hi
    split at hi
    · obtain rfl := List.mem_singleton.mp hi
      trivial
    · simp at hi

/-- A matmul is one of a sweep's, past the ones or past a job's weights, on either plane. -/
theorem matmul_source (wf : p.WellFormed) {cycle plane buffer stream byte accumulator : Nat} {begins : Bool}
    (there : Instr.matmul cycle h plane buffer stream byte accumulator begins ∈ schedule p) :
    h < p.machine.hemispheres ∧ p.ownTiles h ≠ 0 ∧ plane < 2 ∧ ∃ sweeps, (sweeps = p.sumSweeps ∨ sweeps = p.jobSweeps h)
      ∧ ∃ x ∈ p.vectors sweeps,
        Instr.matmul cycle h plane buffer stream byte accumulator begins ∈ p.multiplyVector h plane x := by
  obtain ⟨h', less, there⟩ := mem_schedule.mp there
  have same : h = h' := ((hemisphere_between wf).within (⟨h, .matrixPlane plane⟩, cycle)
    (List.mem_flatMap.mpr ⟨_, there, by simp [uses]⟩)).1
  subst same
  obtain ⟨own, there⟩ := mem_hemisphere.mp there
  have fromSweeps : ∀ sweeps, Instr.matmul cycle h plane buffer stream byte accumulator begins ∈ p.stream h sweeps →
      plane < 2 ∧ ∃ x ∈ p.vectors sweeps,
        Instr.matmul cycle h plane buffer stream byte accumulator begins ∈ p.multiplyVector h plane x := by
    intro sweeps there
    obtain ⟨x, hx, family, hf, hi⟩ := mem_emit.mp there
    rcases List.mem_cons.mp hf with rfl | hf
    · exact absurd (List.mem_singleton.mp hi) (by simp)
    · obtain ⟨plane', hp, rfl⟩ := List.mem_map.mp hf
      have equal := List.mem_singleton.mp hi
      have : plane = plane' := by
        injection equal
      subst this
      rw [wf.planes] at hp
      exact ⟨List.mem_range.mp hp, x, hx, hi⟩
  rcases there with there | there | there | there | there | there | there
  · obtain ⟨x, -, family, hf, hi⟩ := mem_emit.mp there
    simp only [List.mem_cons, List.not_mem_nil, or_false] at hf
    rcases hf with rfl | rfl
    · exact absurd (List.mem_singleton.mp hi) (by simp)
    · simp [Plan.placeOnes] at hi
  · obtain ⟨small, x, hx, hi⟩ := fromSweeps _ there
    exact ⟨less, own, small, _, .inl rfl, x, hx, hi⟩
  · obtain ⟨x, -, family, hf, hi⟩ := mem_emit.mp there
    simp only [List.mem_append, List.mem_map] at hf
    rcases hf with (⟨_, -, rfl⟩ | ⟨_, -, rfl⟩) | ⟨_, -, rfl⟩ <;> exact absurd (List.mem_singleton.mp hi) (by simp)
  · obtain ⟨small, x, hx, hi⟩ := fromSweeps _ there
    exact ⟨less, own, small, _, .inr rfl, x, hx, hi⟩
  · exact (drainSums_other there).elim
  · split at there
    · exact (combineAll_other there).elim
    · simp at there
  · exact (drainAll_other there).elim

/-- What is installed are ones, before any job begins, or a word of a block. -/
theorem install_source (wf : p.WellFormed) {cycle plane port buffer row stream : Nat}
    (there : Instr.install cycle h plane port buffer row stream ∈ schedule p) :
    cycle < p.onesCycles + p.machine.memoryLatency ∨ ∃ x ∈ p.jobBlocks h, ∃ placement ∈ p.table.placements,
      Instr.install cycle h plane port buffer row stream ∈ p.placeWord h placement x := by
  obtain ⟨h', less, there⟩ := mem_schedule.mp there
  have same : h = h' := ((hemisphere_between wf).within (⟨h, .installPort plane port⟩, cycle)
    (List.mem_flatMap.mpr ⟨_, there, by simp [uses]⟩)).1
  subst same
  obtain ⟨own, there⟩ := mem_hemisphere.mp there
  have noSweep : ∀ sweeps, Instr.install cycle h plane port buffer row stream ∉ p.stream h sweeps := by
    intro sweeps there
    obtain ⟨x, hx, family, hf, hi⟩ := mem_emit.mp there
    rcases List.mem_cons.mp hf with rfl | hf
    · exact absurd (List.mem_singleton.mp hi) (by simp)
    · obtain ⟨plane', hp, rfl⟩ := List.mem_map.mp hf
      exact absurd (List.mem_singleton.mp hi) (by simp)
  rcases there with there | there | there | there | there | there | there
  · have := ((installOnes_between (p := p) (h := h)).within (⟨h, .installPort plane port⟩, cycle)
      (List.mem_flatMap.mpr ⟨_, there, by simp [uses]⟩)).2.2
    exact .inl (by simpa only [Plan.afterOnes, Plan.later] using this)
  · exact absurd there (noSweep _)
  · obtain ⟨x, hx, family, hf, hi⟩ := mem_emit.mp there
    simp only [List.mem_append, List.mem_map] at hf
    rcases hf with (⟨_, -, rfl⟩ | ⟨_, -, rfl⟩) | ⟨placement, hp, rfl⟩
    · exact absurd (List.mem_singleton.mp hi) (by simp)
    · exact absurd (List.mem_singleton.mp hi) (by simp)
    · exact .inr ⟨x, hx, placement, hp, hi⟩
  · exact absurd there (noSweep _)
  · exact (drainSums_other there).elim
  · split at there
    · exact (combineAll_other there).elim
    · simp at there
  · exact (drainAll_other there).elim

/-- A matmul's activation vector is read for it. -/
theorem vector_read {sweeps : List Sweep} (part : sweeps = p.sumSweeps ∨ sweeps = p.jobSweeps h)
    (less : h < p.machine.hemispheres) (own : p.ownTiles h ≠ 0) {x : Sweep × Nat × Nat} (hx : x ∈ p.vectors sweeps)
    {instr : Instr} (there : instr ∈ p.readVector h x) : instr ∈ schedule p := by
  refine mem_schedule.mpr ⟨h, less, mem_hemisphere.mpr ⟨own, ?_⟩⟩
  have : instr ∈ p.stream h sweeps := mem_emit.mpr ⟨x, hx, _, List.mem_cons_self, there⟩
  rcases part with rfl | rfl
  · exact .inr (.inl this)
  · exact .inr (.inr (.inr (.inl this)))

/-- A sweep's matmuls are there. -/
theorem vector_multiplied (wf : p.WellFormed) {sweeps : List Sweep}
    (part : sweeps = p.sumSweeps ∨ sweeps = p.jobSweeps h) (less : h < p.machine.hemispheres) (own : p.ownTiles h ≠ 0)
    {plane : Nat} (small : plane < 2) {x : Sweep × Nat × Nat} (hx : x ∈ p.vectors sweeps) {instr : Instr}
    (there : instr ∈ p.multiplyVector h plane x) : instr ∈ schedule p := by
  refine mem_schedule.mpr ⟨h, less, mem_hemisphere.mpr ⟨own, ?_⟩⟩
  have : instr ∈ p.stream h sweeps := mem_emit.mpr ⟨x, hx, _,
    List.mem_cons_of_mem _ (List.mem_map.mpr ⟨plane, List.mem_range.mpr (by rw [wf.planes]; exact small), rfl⟩), there⟩
  rcases part with rfl | rfl
  · exact .inr (.inl this)
  · exact .inr (.inr (.inr (.inl this)))

/-- A block's words are installed. -/
theorem word_placed (less : h < p.machine.hemispheres) (own : p.ownTiles h ≠ 0) {x : Nat × Nat}
    (hx : x ∈ p.jobBlocks h) {placement : Placement} (hp : placement ∈ p.table.placements) {instr : Instr}
    (there : instr ∈ p.placeWord h placement x) : instr ∈ schedule p := by
  refine mem_schedule.mpr ⟨h, less, mem_hemisphere.mpr ⟨own, .inr (.inr (.inl ?_))⟩⟩
  exact mem_emit.mpr ⟨x, hx, _, List.mem_append_right _ (List.mem_map.mpr ⟨placement, hp, rfl⟩), there⟩

end Q35.Lpu
