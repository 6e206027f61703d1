module

public import Q35.Spec.Quantizer

@[expose] public noncomputable section

/-!
# int8 activations times quantized weights

For one row of activations and one column of integers, in each group `g`: `acc = Σ gain(k)·a[k]·q[k]`,
`row_sum = Σ a[k]`, and `out = Σ_g scale·acc + offset·row_sum`. Mirrors `q35ref/reference/matmul.py`.
-/

namespace Q35

/-- `Σ gain(k)·a[k]·q[k]` over a run of rows that begins at row `firstRow`. -/
def accumulate (narrowGain : Nat) (firstRow : Nat) : List Int → List Int → Int
  | a :: activations, q :: column =>
    laneGain firstRow narrowGain * a * q + accumulate narrowGain (firstRow + 1) activations column
  | _, _ => 0

/-- The sum of the activations. -/
def rowSum (activations : List Int) : Int := activations.foldr (· + ·) 0

/-- The largest magnitude of an accumulator over `rows` rows from an even one on. -/
def accumulatorBound (rows narrowGain : Nat) : Nat := 1024 * ((rows + 1) / 2) + 512 * narrowGain * (rows / 2)

/-- What a matmul needs of one group: its two integers and its parameters. -/
structure GroupTerm where
  acc : Int
  rowSum : Int
  scale : Rat
  offset : Rat

/-- `Σ_g scale·acc + offset·row_sum`, exactly. -/
def exactOutput : List GroupTerm → Rat
  | [] => 0
  | t :: rest => t.scale * t.acc + t.offset * t.rowSum + exactOutput rest

/-- `S = Σ_g |scale·acc| + |offset·row_sum|`. -/
def outputMagnitude : List GroupTerm → Rat
  | [] => 0
  | t :: rest => abs (t.scale * t.acc) + abs (t.offset * t.rowSum) + outputMagnitude rest

/-- `n·u / (1 - n·u)`: how much `n` roundings can add up to, relatively. -/
def relativeBound (roundings : Nat) : Rat := roundings * unitRoundoff / (1 - roundings * unitRoundoff)

/-- `B = n·u / (1 - n·u)·S`, `n = 2G + 1`: how far a float32 `out` may be from the exact value. -/
def outputBound (groups : Nat) (magnitude : Rat) : Rat := relativeBound (2 * groups + 1) * magnitude

/-- `B` for an output that one more product scales: `n` grows by one, and `2^(-150)` is added for an underflow. -/
def scaledOutputBound (groups : Nat) (magnitude activationScale : Rat) : Rat :=
  relativeBound (2 * groups + 2) * abs activationScale * magnitude + minSubnormal / 2

/-- The rows `start .. stop - 1` of a list. -/
def slice (values : List Int) (start stop : Nat) : List Int := (values.drop start).take (stop - start)

/-- The terms of the groups whose rows, scales and offsets are given. -/
def groupTerms (activations column : List Int) (narrowGain : Nat) :
    List (Nat × Nat) → List Rat → List Rat → List GroupTerm
  | (start, stop) :: rows, scale :: scales, offset :: offsets =>
    let a := slice activations start stop
    { acc := accumulate narrowGain start a (slice column start stop), rowSum := rowSum a, scale, offset }
      :: groupTerms activations column narrowGain rows scales offsets
  | _, _, _ => []

/-- One entry of a matmul: the terms of all its groups. -/
def matmulEntry (activations column : List Int) (groupSize narrowGain : Nat) (scales offsets : List Rat) :
    List GroupTerm :=
  groupTerms activations column narrowGain (groupRows column.length groupSize) scales offsets

/-! ## What statements about it speak of: no function of the reference -/

/-- `Σ a[k]·w[k]`. -/
def dot : List Int → List Rat → Rat
  | a :: activations, w :: weights => a * w + dot activations weights
  | _, _ => 0

/-- `f row x`, for the entries `x` of a list whose first one is row `row`. -/
def eachRow {α β : Type} (f : Nat → α → β) (row : Nat) : List α → List β
  | [] => []
  | x :: rest => f row x :: eachRow f (row + 1) rest

/-- The parameter of row `row`'s group, of a column of `k` rows. -/
def parameterOf (parameters : List Rat) (k groupSize row : Nat) : Rat :=
  parameters.getD (row / groupLength k groupSize) 0

/-- A column of weights to integers, each with its group's parameters. -/
def quantizeColumn (weights : List Rat) (groupSize narrowGain : Nat) (scales offsets : List Rat) : List Int :=
  eachRow (fun row weight => quantize weight (parameterOf scales weights.length groupSize row)
    (parameterOf offsets weights.length groupSize row) row narrowGain) 0 weights

/-- A column of integers to their exact values, each with its group's parameters. -/
def dequantizeColumn (column : List Int) (groupSize narrowGain : Nat) (scales offsets : List Rat) : List Rat :=
  eachRow (fun row q => dequantize q (parameterOf scales column.length groupSize row)
    (parameterOf offsets column.length groupSize row) row narrowGain) 0 column

/-- How far each weight of a column may be from its restored value. -/
def columnErrorBounds (weights : List Rat) (groupSize narrowGain : Nat) (scales offsets : List Rat) : List Rat :=
  eachRow (fun row weight => errorBound weight (parameterOf scales weights.length groupSize row)
    (parameterOf offsets weights.length groupSize row) row narrowGain) 0 weights

/-- `Σ |a[k]|·e[k]`. -/
def dotMagnitude : List Int → List Rat → Rat
  | a :: activations, e :: errors => abs a * e + dotMagnitude activations errors
  | _, _ => 0

/-- The longest run of rows whose accumulator is sure to fit int32. -/
def maxAccumulatorRows (narrowGain : Nat) : Nat := if narrowGain = 1 then 2796202 else 2097151

/-- There are int8 activations and legal integers, `rows` rows from row 0 on, whose accumulator is above int32. -/
def CanOverflow (rows narrowGain : Nat) : Prop :=
  ∃ activations column : List Int, activations.length = rows ∧ column.length = rows
    ∧ (∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127) ∧ (∀ i (h : i < column.length), InLane i column[i])
    ∧ 2 ^ 31 - 1 < accumulate narrowGain 0 activations column

/-- An integer in a 32-bit register. -/
abbrev wrap (x : Int) : BitVec 32 := BitVec.ofInt 32 x

/-- `Σ gain(k)·a[k]·q[k]` in 32-bit registers; every product and every sum wraps around. -/
def accumulateWrapping (narrowGain : Nat) (firstRow : Nat) : List Int → List Int → BitVec 32
  | a :: activations, q :: column =>
    wrap (laneGain firstRow narrowGain) * wrap a * wrap q
      + accumulateWrapping narrowGain (firstRow + 1) activations column
  | _, _ => 0

end Q35
