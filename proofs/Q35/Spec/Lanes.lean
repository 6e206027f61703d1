module

@[expose] public noncomputable section

/-!
# The two lanes of the format, its groups, and the sizes that are legal

Rows `0 .. K-1` of a weight matrix are the summed dimension. Even rows form the wide lane (4 bits), odd rows the
narrow lane (3 bits). Mirrors `q35ref/reference/lanes.py`.
-/

namespace Q35

/-- How a column's 7-bit codes are stored: one a byte, or as one little-endian bit stream. -/
inductive Layout where
  | byte
  | dense
deriving DecidableEq

/-- Longest legal group: one row more and an accumulator can leave int32. -/
def maxGroupRows : Nat := 2097151

/-- A group size is a multiple of this many rows, so that a dense group ends on a byte. -/
def groupMultiple : Nat := 16

/-- The smallest integer that row `row` can hold. -/
def laneLow (row : Nat) : Int := if row % 2 = 0 then -8 else -4

/-- The largest integer that row `row` can hold. -/
def laneHigh (row : Nat) : Int := if row % 2 = 0 then 7 else 3

/-- The smallest and the largest integer that row `row` can hold. -/
def laneInterval (row : Nat) : Int × Int := (laneLow row, laneHigh row)

/-- `q` is one of the integers that row `row` can hold. -/
def InLane (row : Nat) (q : Int) : Prop := laneLow row ≤ q ∧ q ≤ laneHigh row

instance (row : Nat) (q : Int) : Decidable (InLane row q) := inferInstanceAs (Decidable (_ ∧ _))

/-- The factor between an integer of row `row` and its group's scale. -/
def laneGain (row : Nat) (narrowGain : Nat) : Nat := if row % 2 = 0 then 1 else narrowGain

/-- A gain that the format has. -/
def IsNarrowGain (narrowGain : Nat) : Prop := narrowGain = 1 ∨ narrowGain = 2

instance (narrowGain : Nat) : Decidable (IsNarrowGain narrowGain) := inferInstanceAs (Decidable (_ ∨ _))

/-- Rows of the longest group: `groupSize`, or `k` where that is 0 or too long. -/
def groupLength (k groupSize : Nat) : Nat := if groupSize = 0 then k else min groupSize k

/-- `G`, the number of groups of a column of `k` rows; the last one may be short. -/
def groupCount (k groupSize : Nat) : Nat := (k + groupLength k groupSize - 1) / groupLength k groupSize

/-- The first row of group `g` and the row after its last one. -/
def groupRange (k groupSize g : Nat) : Nat × Nat :=
  let length := groupLength k groupSize
  (g * length, min (g * length + length) k)

/-- `f first, f (first + 1), …`, `count` values: the list that a comprehension over a `range` makes. -/
def tabulate {α : Type} (f : Nat → α) (first : Nat) : Nat → List α
  | 0 => []
  | count + 1 => f first :: tabulate f (first + 1) count

/-- The rows of each group, in order, each as its first row and the row after its last one. -/
def groupRows (k groupSize : Nat) : List (Nat × Nat) :=
  tabulate (groupRange k groupSize) 0 (groupCount k groupSize)

end Q35
