module

public import Q35.Thm.LpuPlan

@[expose] public noncomputable section

/-!
# Families of instructions that do not use anything twice

The instructions of `emit families indices` are those of each index, in another order. What an index's instructions use
is one *template*, some cycles later and perhaps at other ports. If the template's entries are apart modulo an interval,
and all indices begin in step with it, at different cycles, then nothing is used twice: `nodup_emit`.
-/

namespace Q35.Lpu

variable {α β κ : Type}

theorem flatMap_congr {f g : α → List β} {xs : List α} (same : ∀ x ∈ xs, f x = g x) : xs.flatMap f = xs.flatMap g := by
  induction xs with
  | nil => rfl
  | cons x rest ih =>
    rw [List.flatMap_cons, List.flatMap_cons, same x List.mem_cons_self,
      ih fun y there => same y (List.mem_cons_of_mem _ there)]

theorem flatMap_append_perm (f g : α → List β) (xs : List α) :
    List.Perm (xs.flatMap f ++ xs.flatMap g) (xs.flatMap fun x => f x ++ g x) := by
  induction xs with
  | nil => simp
  | cons x rest ih =>
    simp only [List.flatMap_cons, List.append_assoc]
    refine List.Perm.append_left _ ?_
    have swap : List.Perm (rest.flatMap f ++ (g x ++ rest.flatMap g)) (g x ++ (rest.flatMap f ++ rest.flatMap g)) := by
      rw [← List.append_assoc, ← List.append_assoc]
      exact List.Perm.append_right _ List.perm_append_comm
    exact swap.trans (List.Perm.append_left _ ih)

/-- Family by family or index by index: the instructions are the same. -/
theorem emit_perm (families : List (α → List Instr)) (indices : List α) :
    List.Perm (emit families indices) (indices.flatMap fun x => families.flatMap (· x)) := by
  unfold emit
  induction families with
  | nil => simp
  | cons family rest ih =>
    simp only [List.flatMap_cons]
    exact (List.Perm.append_left _ ih).trans (flatMap_append_perm ..)

theorem mem_emit {families : List (α → List Instr)} {indices : List α} {instr : Instr} :
    instr ∈ emit families indices ↔ ∃ x ∈ indices, ∃ family ∈ families, instr ∈ family x := by
  rw [(emit_perm families indices).mem_iff]
  simp only [List.mem_flatMap]

/-- What the instructions of an index use. -/
def usedAt (machine : Machine) (families : List (α → List Instr)) (x : α) : List (Resource × Nat) :=
  families.flatMap fun family => (family x).flatMap (uses machine)

theorem uses_emit_perm (machine : Machine) (families : List (α → List Instr)) (indices : List α) :
    List.Perm ((emit families indices).flatMap (uses machine)) (indices.flatMap (usedAt machine families)) := by
  have := (emit_perm families indices).flatMap_right (uses machine)
  simpa only [List.flatMap_assoc] using this

/-- A template some cycles later, at an index's ports. -/
def shifted (port : α → κ → Resource) (start : α → Nat) (template : List (κ × Nat)) (x : α) : List (Resource × Nat) :=
  template.map fun entry => (port x entry.1, start x + entry.2)

theorem mod_eq_of_add {a b s t n : Nat} (same : s % n = t % n) (h : s + a = t + b) : a % n = b % n := by
  have left : ((s : Int) + a) % n = ((t : Int) + b) % n := by
    have : (s : Int) + a = t + b := by omega
    rw [this]
  have step : (s : Int) % n = (t : Int) % n := by omega
  have := Int.sub_emod ((s : Int) + a) s n
  rw [left, step, ← Int.sub_emod] at this
  have cut : (s : Int) + a - s = a := by omega
  have cut' : (t : Int) + b - t = b := by omega
  rw [cut, cut'] at this
  omega

/-- Entries of a template that have a port and a residue in common are one. -/
theorem eq_of_apart {template : List (κ × Nat)} {interval : Nat}
    (apart : template.Pairwise fun a b => a.1 = b.1 → a.2 % interval ≠ b.2 % interval) {a b : κ × Nat}
    (ha : a ∈ template) (hb : b ∈ template) (port : a.1 = b.1) (residue : a.2 % interval = b.2 % interval) : a = b := by
  induction template with
  | nil => simp at ha
  | cons c rest ih =>
    obtain ⟨first, others⟩ := List.pairwise_cons.mp apart
    rcases List.mem_cons.mp ha with rfl | inA <;> rcases List.mem_cons.mp hb with rfl | inB
    · rfl
    · exact absurd residue (first b inB port)
    · exact absurd residue.symm (first a inA port.symm)
    · exact ih others inA inB

theorem nodup_emit {machine : Machine} {families : List (α → List Instr)} {indices : List α}
    {template : List (κ × Nat)} {port : α → κ → Resource} {start : α → Nat} {interval residue : Nat}
    (same : ∀ x ∈ indices, (usedAt machine families x).Sublist (shifted port start template x))
    (ports : ∀ x y, ∀ a ∈ template, ∀ b ∈ template, port x a.1 = port y b.1 → a.1 = b.1)
    (apart : template.Pairwise fun a b => a.1 = b.1 → a.2 % interval ≠ b.2 % interval)
    (step : ∀ x ∈ indices, start x % interval = residue) (distinct : (indices.map start).Nodup) :
    ((emit families indices).flatMap (uses machine)).Nodup := by
  rw [(uses_emit_perm machine families indices).nodup_iff]
  unfold List.Nodup
  rw [List.pairwise_flatMap]
  constructor
  · intro x there
    refine List.Pairwise.sublist (same x there) ?_
    unfold shifted
    rw [List.pairwise_map]
    refine List.Pairwise.imp_of_mem ?_ apart
    intro a b ha hb different equal
    have port := ports x x a ha b hb (congrArg Prod.fst equal)
    have cycle : start x + a.2 = start x + b.2 := congrArg Prod.snd equal
    exact different port (by rw [show a.2 = b.2 by omega])
  · have starts : indices.Pairwise fun x y => start x ≠ start y := List.pairwise_map.mp distinct
    refine List.Pairwise.imp_of_mem ?_ starts
    intro x y hx hy different u hu v hv equal
    obtain ⟨a, ha, rfl⟩ := List.mem_map.mp ((same x hx).subset hu)
    obtain ⟨b, hb, rfl⟩ := List.mem_map.mp ((same y hy).subset hv)
    have port := ports x y a ha b hb (congrArg Prod.fst equal)
    have cycle : start x + a.2 = start y + b.2 := congrArg Prod.snd equal
    have residue := mod_eq_of_add (by rw [step x hx, step y hy]) cycle
    obtain rfl := eq_of_apart apart ha hb port residue
    exact different (by omega)

/-- The cycles of each port from `low` on and before `high`, in one hemisphere, each used once at most. -/
structure Between (machine : Machine) (h : Nat) (low high : Port → Nat) (instrs : List Instr) : Prop where
  once : (instrs.flatMap (uses machine)).Nodup
  within : ∀ use ∈ instrs.flatMap (uses machine),
    use.1.hemisphere = h ∧ low use.1.port ≤ use.2 ∧ use.2 < high use.1.port

/-- Instructions that use other ports do not mind each other. -/
theorem Between.beside {machine : Machine} {h : Nat} {low high : Port → Nat} {xs ys : List Instr}
    (hx : Between machine h low high xs) (hy : Between machine h low high ys)
    (other : ∀ u ∈ xs.flatMap (uses machine), ∀ v ∈ ys.flatMap (uses machine), u.1.port ≠ v.1.port) :
    Between machine h low high (xs ++ ys) where
  once := by
    rw [List.flatMap_append]
    refine List.nodup_append.mpr ⟨hx.once, hy.once, fun u hu v hv equal => other u hu v hv (by rw [equal])⟩
  within := by
    intro use there
    rw [List.flatMap_append, List.mem_append] at there
    rcases there with there | there
    · exact hx.within use there
    · exact hy.within use there

/-- Nor do those that use a port earlier. -/
theorem Between.append {machine : Machine} {h : Nat} {low middle high : Port → Nat} {xs ys : List Instr}
    (hx : Between machine h low middle xs) (hy : Between machine h middle high ys) (up : ∀ port, low port ≤ middle port)
    (up' : ∀ port, middle port ≤ high port) : Between machine h low high (xs ++ ys) where
  once := by
    rw [List.flatMap_append]
    refine List.nodup_append.mpr ⟨hx.once, hy.once, fun u hu v hv equal => ?_⟩
    have before := (hx.within u hu).2.2
    have after := (hy.within v hv).2.1
    rw [equal] at before
    omega
  within := by
    intro use there
    have := up use.1.port
    have := up' use.1.port
    rw [List.flatMap_append, List.mem_append] at there
    rcases there with there | there
    · have := hx.within use there
      exact ⟨this.1, by omega, by omega⟩
    · have := hy.within use there
      exact ⟨this.1, by omega, by omega⟩

theorem Between.nil {machine : Machine} {h : Nat} {low high : Port → Nat} : Between machine h low high [] where
  once := by simp
  within := by simp

/-- Families between two cycles, where a template's entries are. -/
theorem Between.emit {machine : Machine} {h : Nat} {low high : Port → Nat} {families : List (α → List Instr)}
    {indices : List α} {template : List (κ × Nat)} {port : α → κ → Port} {start : α → Nat} {interval residue : Nat}
    (same : ∀ x ∈ indices,
      (usedAt machine families x).Sublist (shifted (fun x key => ⟨h, port x key⟩) start template x))
    (ports : ∀ x y, ∀ a ∈ template, ∀ b ∈ template, port x a.1 = port y b.1 → a.1 = b.1)
    (apart : template.Pairwise fun a b => a.1 = b.1 → a.2 % interval ≠ b.2 % interval)
    (step : ∀ x ∈ indices, start x % interval = residue) (distinct : (indices.map start).Nodup)
    (within : ∀ x ∈ indices, ∀ entry ∈ template,
      low (port x entry.1) ≤ start x + entry.2 ∧ start x + entry.2 < high (port x entry.1)) :
    Between machine h low high (Lpu.emit families indices) where
  once := nodup_emit same (fun x y a ha b hb equal => ports x y a ha b hb (congrArg Resource.port equal)) apart step
    distinct
  within := by
    intro use there
    rw [(uses_emit_perm machine families indices).mem_iff] at there
    obtain ⟨x, hx, there⟩ := List.mem_flatMap.mp there
    obtain ⟨entry, he, rfl⟩ := List.mem_map.mp ((same x hx).subset there)
    exact ⟨rfl, within x hx entry he⟩

/-- Where each port is used once in a template, any cycles will do. -/
theorem apart_of_ports {template : List (κ × Nat)} (h : (template.map Prod.fst).Nodup) :
    template.Pairwise fun a b => a.1 = b.1 → a.2 % 1 ≠ b.2 % 1 :=
  (List.pairwise_map.mp h).imp fun different same => absurd same different

end Q35.Lpu
