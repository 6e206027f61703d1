module

public import Q35.Spec.LpuProducts
public import Q35.Spec.Matmul
public import Q35.Thm.LpuPlan

@[expose] public noncomputable section

/-!
# Tiled is untiled

The rows of a group are cut into row tiles, each tile into even and odd rows, and activations are zero where a tile's
rows are of another group. What all that adds up to is the group's accumulator: `tiled_eq_untiled`.
-/

namespace Q35.Lpu

/-! ## Sums -/

theorem sumOf_congr {f g : Nat → Int} {n : Nat} (same : ∀ i < n, f i = g i) : sumOf f n = sumOf g n := by
  induction n with
  | zero => rfl
  | succ n ih => rw [sumOf, sumOf, ih fun i less => same i (by omega), same n (by omega)]

theorem sumOf_zero {f : Nat → Int} {n : Nat} (zero : ∀ i < n, f i = 0) : sumOf f n = 0 := by
  induction n with
  | zero => rfl
  | succ n ih => rw [sumOf, ih fun i less => zero i (by omega), zero n (by omega), Int.add_zero]

theorem sumOf_append (f : Nat → Int) (m n : Nat) : sumOf f (m + n) = sumOf f m + sumOf (fun i => f (m + i)) n := by
  induction n with
  | zero => simp [sumOf]
  | succ n ih => rw [← Nat.add_assoc, sumOf, ih, sumOf, Int.add_assoc]

theorem sumOf_succ_front (f : Nat → Int) (n : Nat) : sumOf f (n + 1) = f 0 + sumOf (fun i => f (i + 1)) n := by
  rw [Nat.add_comm, sumOf_append]
  simp [sumOf, Nat.add_comm]

theorem sumOf_tiles (f : Nat → Int) (m n : Nat) :
    sumOf f (m * n) = sumOf (fun i => sumOf (fun j => f (i * n + j)) n) m := by
  induction m with
  | zero => simp [sumOf]
  | succ m ih => rw [Nat.succ_mul, sumOf_append, ih, sumOf]

theorem sumOf_pairs (f : Nat → Int) (n : Nat) :
    sumOf f (2 * n) = sumOf (fun i => f (2 * i)) n + sumOf (fun i => f (2 * i + 1)) n := by
  induction n with
  | zero => simp [sumOf]
  | succ n ih =>
    rw [show 2 * (n + 1) = 2 * n + 1 + 1 by omega, sumOf, sumOf, ih, sumOf, sumOf]
    omega

theorem sumOf_mul (c : Int) (f : Nat → Int) (n : Nat) : sumOf (fun i => c * f i) n = c * sumOf f n := by
  induction n with
  | zero => simp [sumOf]
  | succ n ih => rw [sumOf, sumOf, ih, Int.mul_add]

/-- A sum of what is zero before `start` and from `stop` on. -/
theorem sumOf_between {f : Nat → Int} {start stop n : Nat} (order : start ≤ stop) (less : stop ≤ n)
    (before : ∀ i < start, f i = 0) (after : ∀ i, stop ≤ i → f i = 0) :
    sumOf f n = sumOf (fun i => f (start + i)) (stop - start) := by
  have parts : n = start + ((stop - start) + (n - stop)) := by omega
  rw [parts, sumOf_append, sumOf_zero before, Int.zero_add, sumOf_append,
    sumOf_zero (f := fun i => f (start + (stop - start + i))) fun i _ => after _ (by omega), Int.add_zero]

theorem accumulate_eq_sumOf (gain : Nat) : ∀ (activations column : List Int) (first : Nat),
    activations.length = column.length → accumulate gain first activations column
      = sumOf (fun i => laneGain (first + i) gain * activations.getD i 0 * column.getD i 0) activations.length
  | [], [], _, _ => rfl
  | a :: activations, q :: column, first, same => by
    rw [accumulate, accumulate_eq_sumOf gain activations column (first + 1) (by simpa using same), List.length_cons,
      sumOf_succ_front]
    congr 1
    refine sumOf_congr fun i _ => ?_
    simp [show first + (i + 1) = first + 1 + i by omega]

theorem slice_getD {values : List Int} {start stop i : Nat} (h : i < stop - start) :
    (slice values start stop).getD i 0 = values.getD (start + i) 0 := by
  simp [slice, List.getD, h, List.getElem?_drop]

theorem slice_length {values : List Int} {start stop : Nat} (h : stop ≤ values.length) :
    (slice values start stop).length = stop - start := by
  rw [slice, List.length_take, List.length_drop]
  omega

/-! ## Tiles -/

variable {p : Plan}

/-- A row tile that has a row of a group streams it. -/
theorem group_in_tile (wf : p.WellFormed) {tile group plane row : Nat} (small : plane < 2)
    (less : row < p.machine.rows) (inGroup : p.InGroup group (p.weightRow tile plane row)) :
    (p.tileGroups tile).1 ≤ group ∧ group < (p.tileGroups tile).2 := by
  have positive := Plan.groupLength_pos' wf
  have is : p.weightRow tile plane row / groupLength p.k p.groupSize = group ∧ p.weightRow tile plane row < p.k := by
    simp only [Plan.InGroup, groupRange] at inGroup
    rw [Nat.div_eq_iff positive]
    omega
  have tileRows : p.tileRows = 2 * p.machine.rows := rfl
  have next : (tile + 1) * p.tileRows = tile * p.tileRows + p.tileRows := Nat.succ_mul ..
  rw [← is.1]
  constructor
  · refine Nat.div_le_div_right ?_
    simp only [Plan.weightRow]
    omega
  · refine Nat.lt_succ_of_le (Nat.div_le_div_right ?_)
    have := is.2
    simp only [Plan.weightRow] at this ⊢
    omega

/-- A product with its gain, or zero where the row is of another group. -/
def maskedProduct (p : Plan) (activations column : List Int) (group k : Nat) : Int :=
  if p.InGroup group k then laneGain k p.narrowGain * activations.getD k 0 * column.getD k 0 else 0

theorem planeSum_eq (activations column : List Int) (tile group : Nat) {plane : Nat}
    (small : plane < 2) : laneGain plane p.narrowGain * p.planeSum activations column tile group plane
      = sumOf (fun row => maskedProduct p activations column group (tile * p.tileRows + (2 * row + plane)))
        p.machine.rows := by
  rw [Plan.planeSum, ← sumOf_mul]
  refine sumOf_congr fun row _ => ?_
  have parity : (tile * p.tileRows + (2 * row + plane)) % 2 = plane := by
    have : tile * p.tileRows = 2 * (tile * p.machine.rows) := by
      rw [Plan.tileRows, ← Nat.mul_assoc, Nat.mul_comm tile 2, Nat.mul_assoc]
    omega
  have gain : laneGain (tile * p.tileRows + (2 * row + plane)) p.narrowGain = laneGain plane p.narrowGain := by
    rw [laneGain, laneGain, parity, Nat.mod_eq_of_lt small]
  simp only [maskedProduct, Plan.weightRow, gain, Nat.add_assoc]
  split
  · rw [Int.mul_assoc]
  · simp

theorem tile_sum (wf : p.WellFormed) (activations column : List Int) (tile group : Nat) :
    (if (p.tileGroups tile).1 ≤ group ∧ group < (p.tileGroups tile).2 then
        p.planeSum activations column tile group 0 + p.narrowGain * p.planeSum activations column tile group 1
      else 0)
      = sumOf (fun j => maskedProduct p activations column group (tile * p.tileRows + j)) p.tileRows := by
  have even := planeSum_eq (p := p) activations column tile group (plane := 0) (by decide)
  have odd := planeSum_eq (p := p) activations column tile group (plane := 1) (by decide)
  have one : ((laneGain 0 p.narrowGain : Nat) : Int) = 1 := rfl
  have gain : ((laneGain 1 p.narrowGain : Nat) : Int) = p.narrowGain := rfl
  rw [one, Int.one_mul] at even
  rw [gain] at odd
  have all : sumOf (fun j => maskedProduct p activations column group (tile * p.tileRows + j)) p.tileRows
      = p.planeSum activations column tile group 0 + p.narrowGain * p.planeSum activations column tile group 1 := by
    rw [even, odd, show p.tileRows = 2 * p.machine.rows from rfl, sumOf_pairs]
    simp only [Nat.add_zero]
  rw [all]
  split
  · rfl
  · next none =>
    -- No row of the tile is of the group.
    have zero : ∀ plane, plane < 2 → p.planeSum activations column tile group plane = 0 := by
      intro plane small
      refine sumOf_zero fun row less => ?_
      have : ¬p.InGroup group (p.weightRow tile plane row) := fun inGroup =>
        none (group_in_tile wf small less inGroup)
      simp only [this, if_false, Int.zero_mul]
    rw [zero 0 (by decide), zero 1 (by decide)]
    simp

end Q35.Lpu

namespace Q35

open Lpu

/-- **Tiled is untiled**: what the matmuls of all row tiles add up to for a group, each tile's even and odd rows on a
plane of their own and activations of other groups' rows replaced by zeros, is the accumulator of the group's rows. -/
theorem tiled_eq_untiled {p : Plan} (wf : p.WellFormed) {activations column : List Int}
    (ha : activations.length = p.k) (hc : column.length = p.k) {group : Nat} (hg : group < p.groups) :
    p.tiledSum activations column group
      = accumulate p.narrowGain (groupRange p.k p.groupSize group).1
          (slice activations (groupRange p.k p.groupSize group).1 (groupRange p.k p.groupSize group).2)
          (slice column (groupRange p.k p.groupSize group).1 (groupRange p.k p.groupSize group).2) := by
  have positive := Plan.groupLength_pos' wf
  have start : (groupRange p.k p.groupSize group).1 < p.k := by
    rw [Plan.groups_eq] at hg
    exact lt_of_mul_lt_ceilDiv positive hg
  have order : (groupRange p.k p.groupSize group).1 ≤ (groupRange p.k p.groupSize group).2
      ∧ (groupRange p.k p.groupSize group).2 ≤ p.k := by
    simp only [groupRange] at start ⊢
    omega
  have whole : p.k ≤ p.rowTiles * p.tileRows := le_ceilDiv_mul p.k (Plan.tileRows_pos wf)
  have tiles : p.tiledSum activations column group
      = sumOf (maskedProduct p activations column group) (p.rowTiles * p.tileRows) := by
    rw [sumOf_tiles, Plan.tiledSum]
    exact sumOf_congr fun tile _ => tile_sum wf activations column tile group
  rw [tiles, sumOf_between (start := (groupRange p.k p.groupSize group).1)
    (stop := (groupRange p.k p.groupSize group).2) order.1 (Nat.le_trans order.2 whole),
    accumulate_eq_sumOf _ _ _ _ (by rw [slice_length (by omega), slice_length (by omega)]), slice_length (by omega)]
  · refine sumOf_congr fun i less => ?_
    have inGroup : p.InGroup group ((groupRange p.k p.groupSize group).1 + i) := ⟨by omega, by omega⟩
    simp only [maskedProduct, inGroup, if_true, slice_getD less]
  · intro i less
    simp only [maskedProduct, Plan.InGroup]
    rw [if_neg (by omega)]
  · intro i more
    simp only [maskedProduct, Plan.InGroup]
    rw [if_neg (by omega)]

end Q35
