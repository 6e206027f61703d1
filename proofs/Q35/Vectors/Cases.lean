module

public import Q35.Spec.Activations
public import Q35.Spec.Codec
public import Q35.Spec.Matmul
public import Q35.Vectors.Literals

@[expose] public noncomputable section

/-!
# What a vector is, for each operation, and what it states

Written by hand, unlike its neighbours. A structure has an operation's inputs first, then what is expected, in the order
and by the names of the JSON files; `holds` compares the definition in `Q35/Spec` with it. `==` is equality: each
comparison is of integers, rationals, and lists, pairs and options of such.
-/

namespace Q35.Vectors

/-- A vector of `round_half_even`. -/
structure RoundHalfEven where
  numerator : Int
  denominator : Int
  integer : Int

/-- The integer is the rounded quotient. -/
def RoundHalfEven.holds (c : RoundHalfEven) : Bool := roundHalfEven c.numerator c.denominator == c.integer

/-- A vector of `clamp`. -/
structure Clamp where
  value : Int
  low : Int
  high : Int
  clamped : Int

/-- The nearest integer within the limits is the expected one. -/
def Clamp.holds (c : Clamp) : Bool := clamp c.value c.low c.high == c.clamped

/-- A vector of `round_float32`. -/
structure RoundFloat32 where
  x : Rat
  rounded : Rat
  overflows : Bool

/-- The rounded value is the expected one, and float32 has a number for it unless the vector says infinity. -/
def RoundFloat32.holds (c : RoundFloat32) : Bool :=
  roundFloat32 c.x == c.rounded && decide (Overflows c.x) == c.overflows

/-- A vector of `group_rows`; a group is its first row and the row after its last one. -/
structure GroupRows where
  k : Nat
  groupSize : Nat
  groups : List (Nat × Nat)

/-- The groups are the expected ones, and their number is what `groupCount` says. -/
def GroupRows.holds (c : GroupRows) : Bool :=
  groupRows c.k c.groupSize == c.groups && groupCount c.k c.groupSize == c.groups.length

/-- A vector of `sign_extend`. -/
structure SignExtend where
  field : Nat
  bits : Nat
  value : Int

/-- The field stands for the expected integer. -/
def SignExtend.holds (c : SignExtend) : Bool := signExtend c.field c.bits == c.value

/-- A vector of `pack_pair`. -/
structure PackPair where
  wide : Int
  narrow : Int
  code : Nat

/-- The pair's code is the expected one. -/
def PackPair.holds (c : PackPair) : Bool := packPair c.wide c.narrow == c.code

/-- A vector of `unpack_pair`. -/
structure UnpackPair where
  code : Nat
  wide : Int
  narrow : Int

/-- The code stands for the expected pair. -/
def UnpackPair.holds (c : UnpackPair) : Bool := unpackPair c.code == (c.wide, c.narrow)

/-- A vector of `pack_dense`. -/
structure PackDense where
  codes : List Nat
  stream : List Nat

/-- The codes' stream is the expected one, and as long as `denseBytes` says. -/
def PackDense.holds (c : PackDense) : Bool :=
  packDense c.codes == c.stream && denseBytes c.codes.length == c.stream.length

/-- A vector of `unpack_dense`; no codes are expected where the stream must be refused. -/
structure UnpackDense where
  stream : List Nat
  count : Nat
  codes : Option (List Nat)

/-- The stream's codes are the expected ones. -/
def UnpackDense.holds (c : UnpackDense) : Bool := unpackDense c.stream c.count == c.codes

/-- A vector of `pack_column`. -/
structure PackColumn where
  column : List Int
  layout : Layout
  packed : List Nat

/-- The column's bytes are the expected ones, and as many as `columnBytes` says. -/
def PackColumn.holds (c : PackColumn) : Bool :=
  packColumn c.column c.layout == c.packed && columnBytes c.column.length c.layout == c.packed.length

/-- A vector of `unpack_column`; no column is expected where the bytes must be refused. -/
structure UnpackColumn where
  packed : List Nat
  k : Nat
  layout : Layout
  column : Option (List Int)

/-- The bytes stand for the expected column. -/
def UnpackColumn.holds (c : UnpackColumn) : Bool := unpackColumn c.packed c.k c.layout == c.column

/-- A vector of `quantize`. -/
structure Quantize where
  weight : Rat
  scale : Rat
  offset : Rat
  row : Nat
  narrowGain : Nat
  q : Int

/-- The weight's integer is the expected one. -/
def Quantize.holds (c : Quantize) : Bool := quantize c.weight c.scale c.offset c.row c.narrowGain == c.q

/-- A vector of `dequantize`. -/
structure Dequantize where
  q : Int
  scale : Rat
  offset : Rat
  row : Nat
  narrowGain : Nat
  exact : Rat
  rounded : Rat

/-- The integer's exact value and its float32 are the expected ones. -/
def Dequantize.holds (c : Dequantize) : Bool :=
  dequantize c.q c.scale c.offset c.row c.narrowGain == c.exact
    && roundedDequantize c.q c.scale c.offset c.row c.narrowGain == c.rounded

/-- A vector of `error_bound`. -/
structure ErrorBound where
  weight : Rat
  scale : Rat
  offset : Rat
  row : Nat
  narrowGain : Nat
  bound : Rat
  roundedBound : Rat

/-- The bounds on the error before and after rounding are the expected ones. -/
def ErrorBound.holds (c : ErrorBound) : Bool :=
  errorBound c.weight c.scale c.offset c.row c.narrowGain == c.bound
    && roundedErrorBound c.weight c.scale c.offset c.row c.narrowGain == c.roundedBound

/-- A vector of `calibrate` by `minmax`; no parameters are expected for an empty group. -/
structure CalibrateMinMax where
  group : List Rat
  parameters : Option Parameters

/-- The group's scale and offset are the expected ones. -/
def CalibrateMinMax.holds (c : CalibrateMinMax) : Bool := calibrateMinMax c.group == c.parameters

/-- A vector of `calibrate` by `symmetric`; no parameters are expected for an empty group. -/
structure CalibrateSymmetric where
  group : List Rat
  parameters : Option Parameters

/-- The group's scale and offset are the expected ones. -/
def CalibrateSymmetric.holds (c : CalibrateSymmetric) : Bool := calibrateSymmetric c.group == c.parameters

/-- A vector of `calibrate` by `clip`; no parameters are expected for an empty group. -/
structure CalibrateClip where
  group : List Rat
  narrowGain : Nat
  parameters : Option Parameters

/-- The group's scale and offset are the expected ones. -/
def CalibrateClip.holds (c : CalibrateClip) : Bool := calibrateClip c.narrowGain c.group == c.parameters

/-- A vector of `quantize_activations`. -/
structure QuantizeActivations where
  row : List Rat
  activationScale : Rat
  a : List Int

/-- The row's scale and integers are the expected ones. -/
def QuantizeActivations.holds (c : QuantizeActivations) : Bool :=
  quantizeActivations c.row == (c.activationScale, c.a)

/-- A vector of `accumulate`: both patterns are repeated over so many rows. -/
structure Accumulate where
  rows : Nat
  activationPattern : List Int
  columnPattern : List Int
  narrowGain : Nat
  firstRow : Nat
  acc : Int
  rowSum : Int

/-- The accumulator and the sum of the activations are the expected ones. -/
def Accumulate.holds (c : Accumulate) : Bool :=
  let activations := repeated c.activationPattern c.rows
  accumulate c.narrowGain c.firstRow activations (repeated c.columnPattern c.rows) == c.acc
    && Q35.rowSum activations == c.rowSum

/-- A vector of `accumulator_bound`. -/
structure AccumulatorBound where
  rows : Nat
  narrowGain : Nat
  bound : Nat

/-- The bound is the expected one. -/
def AccumulatorBound.holds (c : AccumulatorBound) : Bool := accumulatorBound c.rows c.narrowGain == c.bound

/-- A vector of `exact_output`; a group's term is its accumulator, row sum, scale and offset. -/
structure ExactOutput where
  terms : List GroupTerm
  exact : Rat
  magnitude : Rat
  bound : Rat

/-- The exact output, its magnitude and its bound are the expected ones. -/
def ExactOutput.holds (c : ExactOutput) : Bool :=
  exactOutput c.terms == c.exact && outputMagnitude c.terms == c.magnitude
    && outputBound c.terms.length c.magnitude == c.bound

/-- A packed column of a matmul, with the scales and the offsets of its groups. -/
structure PackedColumn where
  packed : List Nat
  scales : List Rat
  offsets : List Rat

/-- An entry of a matmul: a group's accumulators and row sums, the exact output, its magnitude and its bound. -/
structure Entry where
  accs : List Int
  rowSums : List Int
  exact : Rat
  magnitude : Rat
  bound : Rat
deriving DecidableEq

/-- What the terms of an entry's groups come to. -/
def entryOf (terms : List GroupTerm) : Entry where
  accs := terms.map (·.acc)
  rowSums := terms.map (·.rowSum)
  exact := exactOutput terms
  magnitude := outputMagnitude terms
  bound := outputBound terms.length (outputMagnitude terms)

/-- A vector of `matmul`: the entries are those of each row of activations with each column, and none are expected where
a column's bytes must be refused. -/
structure Matmul where
  activations : List (List Int)
  columns : List PackedColumn
  k : Nat
  layout : Layout
  groupSize : Nat
  narrowGain : Nat
  entries : Option (List (List Entry))

/-- The entry of a row of activations with a column. -/
def Matmul.entry (c : Matmul) (activations : List Int) (column : PackedColumn) : Option Entry := do
  let q ← unpackColumn column.packed c.k c.layout
  some (entryOf (matmulEntry activations q c.groupSize c.narrowGain column.scales column.offsets))

/-- Every entry is the expected one. -/
def Matmul.holds (c : Matmul) : Bool :=
  c.activations.mapM (fun row => c.columns.mapM (c.entry row)) == c.entries

end Q35.Vectors
