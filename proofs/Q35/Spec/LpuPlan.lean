module

public import Q35.Spec.Lanes

@[expose] public noncomputable section

/-!
# A streaming processor, and when what happens in a matmul on it

The machine, its instructions and what each occupies, the closed form of a matmul's schedule, and where everything lies
in memory. The table by which a block of weights is unpacked is found by a search: here it is given. Mirrors
`q35ref/lpu/`: `machine.py`, `program.py`, `unpacking.py`, `plan.py`, `layout.py`, and what `verifier.py` calls used.
-/

namespace Q35.Lpu

/-! ## The machine -/

/-- A machine's sizes, each a count a hemisphere, and its latencies in cycles. -/
structure Machine where
  lanes : Nat
  rows : Nat
  hemispheres : Nat
  planes : Nat
  installWords : Nat
  alus : Nat
  streams : Nat
  quads : Nat
  addresses : Nat
  accumulators : Nat
  memoryLatency : Nat
  aluLatency : Nat
  transit : Nat
  matrixLatency : Nat
  drainLatency : Nat

/-- Bytes of a lane in a word. -/
def wordBytes : Nat := 4

/-- Rows of a period. -/
def periodRows : Nat := 16

/-- Rows of a block: four periods, a word's byte from each. -/
def blockRows : Nat := wordBytes * periodRows

/-! ## Instructions -/

/-- What an ALU does. -/
inductive Operation where
  | shift
  | mask
  | or
  | shiftRight
  | add
  | toFloat
  | multiply
  | addFloat
  | keep
deriving DecidableEq

/-- Where an ALU's operand comes from: a stream inwards, or what an ALU was issued `aluLatency` cycles before. -/
inductive Source where
  | nothing
  | stream (number : Nat)
  | alu (number : Nat)
deriving DecidableEq

/-- An instruction, with the cycle at which it is issued and the hemisphere where it is. -/
inductive Instr where
  | read (cycle hemisphere quad address : Nat) (outward : Bool) (stream : Nat)
  | write (cycle hemisphere quad address stream : Nat)
  | alu (cycle hemisphere alu : Nat) (operation : Operation) (immediate : Int) (a b : Source) (stream : Option Nat)
  | install (cycle hemisphere plane port buffer row stream : Nat)
  | matmul (cycle hemisphere plane buffer stream byte accumulator : Nat) (begins : Bool)
  | drain (cycle hemisphere plane accumulator stream : Nat)
deriving DecidableEq

/-- The cycle at which an instruction is issued. -/
def Instr.cycle : Instr → Nat
  | .read cycle .. | .write cycle .. | .alu cycle .. | .install cycle .. | .matmul cycle .. | .drain cycle .. => cycle

/-! ## What instructions occupy -/

/-- What can be used once a cycle, in a hemisphere. -/
inductive Port where
  | memoryQuad (quad : Nat)
  | alu (number : Nat)
  | installPort (plane port : Nat)
  | matrixPlane (number : Nat)
  | accumulatorPort (plane : Nat)
  | inwardStream (number : Nat)
  | outwardStream (number : Nat)
deriving DecidableEq

/-- A port of a hemisphere. -/
structure Resource where
  hemisphere : Nat
  port : Port
deriving DecidableEq

/-- What an instruction occupies, each with the cycle: its unit when it is issued, the stream that carries its result
when the word comes to the VXM (inwards) or to the MXM (outwards). -/
def uses (machine : Machine) : Instr → List (Resource × Nat)
  | .read cycle h quad _ outward stream =>
    [(⟨h, .memoryQuad quad⟩, cycle),
      (⟨h, if outward then .outwardStream stream else .inwardStream stream⟩, cycle + machine.memoryLatency)]
  | .write cycle h quad _ _ => [(⟨h, .memoryQuad quad⟩, cycle)]
  | .alu cycle h alu _ _ _ _ none => [(⟨h, .alu alu⟩, cycle)]
  | .alu cycle h alu _ _ _ _ (some stream) =>
    [(⟨h, .alu alu⟩, cycle), (⟨h, .outwardStream stream⟩, cycle + machine.aluLatency + machine.transit)]
  | .install cycle h plane port _ _ _ => [(⟨h, .installPort plane port⟩, cycle)]
  | .matmul cycle h plane _ _ _ _ _ => [(⟨h, .matrixPlane plane⟩, cycle)]
  | .drain cycle h plane _ stream =>
    [(⟨h, .accumulatorPort plane⟩, cycle), (⟨h, .inwardStream stream⟩, cycle + machine.drainLatency)]

/-- Where an ALU's operand must be, how long after its use there it is taken, and when. -/
def operand (machine : Machine) (cycle h : Nat) : Source → List (Resource × Nat × Nat)
  | .nothing => []
  | .stream number => [(⟨h, .inwardStream number⟩, 0, cycle)]
  | .alu number => [(⟨h, .alu number⟩, machine.aluLatency, cycle)]

/-- What an instruction takes: what must have been used, how many cycles before, and before which cycle. A word
that the VXM gives out is at the MXM `transit` cycles later, and at the memory, to be written, `memoryLatency` later. -/
def takes (machine : Machine) : Instr → List (Resource × Nat × Nat)
  | .read .. | .drain .. => []
  | .write cycle h _ _ stream => [(⟨h, .outwardStream stream⟩, machine.memoryLatency, cycle + machine.transit)]
  | .alu cycle h _ _ _ a b _ => operand machine cycle h a ++ operand machine cycle h b
  | .install cycle h _ _ _ _ stream => [(⟨h, .outwardStream stream⟩, 0, cycle)]
  | .matmul cycle h _ _ stream _ _ _ => [(⟨h, .outwardStream stream⟩, 0, cycle)]

/-! ## How a block is unpacked -/

/-- A byte of the four periods is read, on its way to the VXM, or to the MXM where there is nothing to unpack. -/
structure Fetch where
  cycle : Nat
  byte : Nat
  outward : Bool
  stream : Nat

/-- An ALU's instruction; `outward` is the outward stream that takes the result. -/
structure Step where
  cycle : Nat
  alu : Nat
  operation : Operation
  immediate : Int
  a : Source
  b : Source
  outward : Option Nat

/-- A word of four rows is installed in a plane: rows `row`, `row + 8`, … of a block's 32 for that plane. -/
structure Placement where
  cycle : Nat
  plane : Nat
  port : Nat
  row : Nat
  stream : Nat

/-- What is done for a block, and after how many cycles the next one begins. -/
structure Table where
  interval : Nat
  fetches : List Fetch
  steps : List Step
  placements : List Placement

/-- Cycle of the first install after a block's start. -/
def Table.firstPlacement (table : Table) : Nat :=
  match table.placements with
  | [] => 0
  | first :: rest => rest.foldr (fun placement least => min placement.cycle least) first.cycle

/-- Cycle of the last one. -/
def Table.lastPlacement (table : Table) : Nat :=
  table.placements.foldr (fun placement most => max placement.cycle most) 0

/-! ## When what happens -/

/-- `⌈a / b⌉`. -/
def ceilDiv (a b : Nat) : Nat := (a + b - 1) / b

/-- ALU instructions one after the other from an accumulator to `out`. -/
def epilogueStages : Nat := 6

/-- The same from several accumulators of a group to their sum. -/
def combineStages : Nat := 3

/-- A matmul `a[M, K] @ w[K, N]` on a machine. `evenBits` and `oddBits` are the widths of the integers of even and odd
rows, `periodBytes` the bytes in which 16 rows of a column are stored, `segmentTiles` the row tiles whose products an
int32 accumulator can hold: `131071 / rows` in Python, any number here. -/
structure Plan where
  machine : Machine
  table : Table
  periodBytes : Nat
  evenBits : Nat
  oddBits : Nat
  m : Nat
  k : Nat
  n : Nat
  groupSize : Nat
  narrowGain : Nat
  segmentTiles : Nat

namespace Plan

variable (p : Plan)

/-- `G`. -/
def groups : Nat := groupCount p.k p.groupSize

/-- Rows of weights of a job, on both planes together. -/
def tileRows : Nat := 2 * p.machine.rows

/-- Tiles one beneath the other. -/
def rowTiles : Nat := ceilDiv p.k p.tileRows

/-- Tiles side by side, of the hemisphere that has most. -/
def columnTiles : Nat := ceilDiv p.n (p.machine.lanes * p.machine.hemispheres)

/-- The column tiles of a hemisphere. -/
def ownTiles (hemisphere : Nat) : Nat := ceilDiv (ceilDiv p.n p.machine.lanes - hemisphere) p.machine.hemispheres

/-- Of the hemisphere that has most. -/
def jobs : Nat := p.rowTiles * p.columnTiles

/-- Of a job. -/
def blocks : Nat := p.tileRows / blockRows

/-- The first group of which a row tile has rows, and the one after the last. -/
def tileGroups (tile : Nat) : Nat × Nat :=
  let length := groupLength p.k p.groupSize
  (tile * p.tileRows / length, (min ((tile + 1) * p.tileRows) p.k - 1) / length + 1)

/-- How many groups have rows in a row tile. -/
def groupsIn (tile : Nat) : Nat := (p.tileGroups tile).2 - (p.tileGroups tile).1

/-- The row tile in which a group begins. -/
def firstTile (group : Nat) : Nat := group * groupLength p.k p.groupSize / p.tileRows

/-- How far the sums of a plane are shifted to the right: the rows are installed at the top of a byte. -/
def resultShift (lane : Nat) : Int :=
  if lane = 0 then 8 - (p.evenBits : Int) else 8 - (p.oddBits : Int) - (p.narrowGain / 2 : Nat)

/-- Groups of the row tile that has most. -/
def mostGroups : Nat := (List.range p.rowTiles).foldr (fun tile most => max (p.groupsIn tile) most) 0

/-- Activation vectors of a job: one for each row and each group of the tile that has most. -/
def slots : Nat := p.m * p.mostGroups

/-- Cycles in which the ones are installed. -/
def onesCycles : Nat := p.machine.rows / (wordBytes * p.machine.installWords)

/-- Cycle of the first activation vector for the row sums. -/
def onesMatmul : Nat := p.machine.memoryLatency + p.onesCycles

/-- Cycle at which the first job begins. -/
def jobsBegin : Nat := p.onesCycles + p.rowTiles * p.slots

/-- Cycles from one job to the next: unpacking or streaming, whichever takes longer, in whole intervals. -/
def period : Nat :=
  let spread := p.table.lastPlacement + 1 - p.table.firstPlacement - p.table.interval
  ceilDiv (max (p.blocks * p.table.interval) (p.slots + spread)) p.table.interval * p.table.interval

/-- Cycles from a job's begin to its first activation vector at a plane. -/
def installed : Nat := (p.blocks - 1) * p.table.interval + p.table.lastPlacement + 1

/-- First cycle in which no more activation vectors come. -/
def matmulsEnd : Nat := p.jobsBegin + (p.jobs - 1) * p.period + p.installed + p.slots

/-- Accumulators of a group: one but for very long groups. -/
def groupSegments (group : Nat) : Nat :=
  let last := min ((group + 1) * groupLength p.k p.groupSize) p.k - 1
  ceilDiv (last / p.tileRows - p.firstTile group + 1) p.segmentTiles

/-- Accumulators of the group that has most. -/
def segments : Nat := (List.range p.groups).foldr (fun group most => max (p.groupSegments group) most) 0

/-- Rows of activations that are summed over their groups in turn, as a sum must wait for the one before. -/
def interleaved : Nat := if p.groups = 1 then 1 else p.machine.aluLatency

/-- Places in the order in which the accumulators of a column tile are drained, some of them empty. -/
def results : Nat := ceilDiv p.m p.interleaved * p.interleaved * p.groups

/-- The last place that is not empty. -/
def lastResult : Nat := p.results - p.interleaved + (p.m - 1) % p.interleaved

/-- Cycle at which the first row sum is drained. -/
def sumsDrain : Nat := p.matmulsEnd + p.machine.matrixLatency

/-- Cycle at which the first of several accumulators of a group is drained, to be added to the others. -/
def combine : Nat := p.sumsDrain + p.m * p.groups + p.machine.aluLatency

/-- Places in the order in which a column tile's are: a sum must wait for the one before. -/
def combined : Nat :=
  let turns := p.machine.aluLatency
  if 1 < p.segments then ceilDiv p.m turns * turns * p.groups * p.segments else 0

/-- Cycle at which the first result is begun: what is made before must be in memory by then. -/
def drain : Nat :=
  p.combine + p.columnTiles * p.combined + (combineStages * p.machine.aluLatency + 2 * p.machine.memoryLatency)

/-- Cycles: the last result is in memory. -/
def total : Nat :=
  let chain := p.machine.drainLatency + epilogueStages * p.machine.aluLatency + p.machine.memoryLatency
  p.drain + (p.columnTiles - 1) * p.results + p.lastResult + 1 + chain

end Plan

/-! ## Where everything lies -/

/-- Quads that hold weights, each byte of a block in one of its own. -/
def weightQuads : Nat := 16

/-- The quad of the activations, and of a word of ones. -/
def activations : Nat := weightQuads

/-- The quad of the scales. -/
def scales : Nat := weightQuads + 1

/-- The quad of the offsets. -/
def offsets : Nat := weightQuads + 2

/-- The quad of the row sums in float32. -/
def rowSums : Nat := weightQuads + 3

/-- The quad of accumulators and row sums that are results. -/
def integers : Nat := weightQuads + 4

/-- The quad of the outputs. -/
def outputs : Nat := weightQuads + 5

/-- Address of a word of ones in `activations`. -/
def ones : Nat := 0

namespace Plan

variable (p : Plan)

/-- The quad and the address of a byte of a block, counted over a hemisphere's jobs. -/
def weightPlace (block byte : Nat) : Nat × Nat :=
  let sets := weightQuads / p.periodBytes
  (block % sets * p.periodBytes + byte, block / sets)

/-- Where the activations of a row lie that a row tile takes for a group, numbered within the tile. -/
def activationAddress (tile row number : Nat) : Nat := 1 + tile * p.slots + row * p.mostGroups + number

/-- Where a column tile's integers lie in `integers`; the row sums come after the last column tile. -/
def integer (columnTile row group : Nat) : Nat := (columnTile * p.m + row) * p.groups + group

/-- The accumulator of a part of a group's rows, in the same order. -/
def accumulator (columnTile row group segment : Nat) : Nat := p.integer columnTile row group * p.segments + segment

/-- How many places are needed and how many there are, by what they are for. -/
def needed : List (Nat × Nat) :=
  let sets := weightQuads / p.periodBytes
  [ (ceilDiv (p.jobs * p.blocks) sets, p.machine.addresses), -- weights
    (p.activationAddress p.rowTiles 0 0, p.machine.addresses), -- activations
    (p.columnTiles * p.groups, p.machine.addresses), -- parameters
    (p.integer (p.columnTiles + 1) 0 0, p.machine.addresses), -- integers
    (p.columnTiles * p.m, p.machine.addresses), -- outputs
    (p.accumulator (p.columnTiles + 1) 0 0 0, p.machine.accumulators) ] -- accumulators

end Plan

end Q35.Lpu
