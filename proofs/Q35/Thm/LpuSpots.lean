module

public import Q35.Thm.LpuConflicts

@[expose] public noncomputable section

/-!
# The order in which accumulators are drained

What is summed over the parts of a group, or over groups, comes in turn: the part or the group before has its place as
many places before as rows take turns.
-/

namespace Q35.Lpu

variable {p : Plan} {h : Nat}

theorem div_mod_sub {a b n : Nat} (h : b ≤ a % n) : (a - b) / n = a / n ∧ (a - b) % n = a % n - b := by
  rcases Nat.eq_zero_or_pos n with rfl | positive
  · simp
  · have small := Nat.mod_lt a positive
    have split : a - b = n * (a / n) + (a % n - b) := by
      have := Nat.div_add_mod a n
      omega
    have less : a % n - b < n := by omega
    rw [split, Nat.mul_add_div positive, Nat.mul_add_mod, Nat.div_eq_of_lt less, Nat.mod_eq_of_lt less]
    exact ⟨Nat.add_zero _, rfl⟩

/-- The place before, in the same turn. -/
theorem within_before {turns parts place : Nat} (ht : 0 < turns)
    (later : place % p.tilePlaces turns parts / turns ≠ 0) :
    turns ≤ place ∧ (place - turns) / p.tilePlaces turns parts = place / p.tilePlaces turns parts
      ∧ (place - turns) % p.tilePlaces turns parts / turns = place % p.tilePlaces turns parts / turns - 1
      ∧ (place - turns) % p.tilePlaces turns parts % turns = place % p.tilePlaces turns parts % turns := by
  have enough : turns ≤ place % p.tilePlaces turns parts := by
    rcases Nat.lt_or_ge (place % p.tilePlaces turns parts) turns with less | more
    · exact absurd (Nat.div_eq_of_lt less) later
    · exact more
  have less := Nat.mod_le place (p.tilePlaces turns parts)
  obtain ⟨quotient, rest⟩ := div_mod_sub enough
  refine ⟨by omega, quotient, ?_, ?_⟩
  · rw [rest]
    have := Nat.add_div_right (place % p.tilePlaces turns parts - turns) ht
    rw [Nat.sub_add_cancel enough] at this
    rw [this, Nat.add_sub_cancel]
  · rw [rest]
    have := Nat.add_mod_right (place % p.tilePlaces turns parts - turns) turns
    rwa [Nat.sub_add_cancel enough, eq_comm] at this

/-- The part before has its place `turns` places before. -/
theorem part_before {turns parts place : Nat} (ht : 0 < turns) (later : (p.spot turns parts place).part ≠ 0) :
    turns ≤ place ∧ (p.spot turns parts (place - turns)).row = (p.spot turns parts place).row
      ∧ (p.spot turns parts (place - turns)).group = (p.spot turns parts place).group
      ∧ (p.spot turns parts (place - turns)).part = (p.spot turns parts place).part - 1 := by
  simp only [Plan.spot] at later ⊢
  have some : place % p.tilePlaces turns parts / turns ≠ 0 := fun zero => later (by rw [zero, Nat.zero_mod])
  obtain ⟨enough, -, quotient, turn⟩ := within_before ht some
  obtain ⟨same, rest⟩ := div_mod_sub (a := place % p.tilePlaces turns parts / turns) (b := 1) (n := parts) (by omega)
  rw [quotient, turn, same, rest]
  exact ⟨enough, rfl, rfl, rfl⟩

/-- So has the group before, where groups have one part. -/
theorem group_before {turns place : Nat} (ht : 0 < turns) (later : (p.spot turns 1 place).group ≠ 0) :
    turns ≤ place ∧ (p.spot turns 1 (place - turns)).row = (p.spot turns 1 place).row := by
  simp only [Plan.spot, Nat.div_one] at later ⊢
  have some : place % p.tilePlaces turns 1 / turns ≠ 0 := fun zero => later (by rw [zero, Nat.zero_mod])
  obtain ⟨enough, -, quotient, turn⟩ := within_before ht some
  obtain ⟨same, -⟩ := div_mod_sub (a := place % p.tilePlaces turns 1 / turns) (b := 1) (n := p.groups) (by omega)
  rw [quotient, turn, same]
  exact ⟨enough, rfl⟩

theorem mem_order_before {turns parts : Nat} {spot : Spot} (there : spot ∈ p.order h turns parts)
    (row : (p.spot turns parts (spot.place - turns)).row = spot.row) :
    p.spot turns parts (spot.place - turns) ∈ p.order h turns parts := by
  obtain ⟨less, -, small⟩ := mem_order there
  refine List.mem_filter.mpr ⟨List.mem_map.mpr ⟨_, List.mem_range.mpr ?_, rfl⟩, ?_⟩
  · omega
  · rw [row]
    exact decide_eq_true small

end Q35.Lpu
