module

public import Q35.Spec.LpuPlan

@[expose] public noncomputable section

/-!
# The schedule of a matmul on a streaming processor

`schedule plan` is the list of all timed instructions of `a[M, K] @ w[K, N]`: what `q35ref/lpu/scheduler.py` emits, in
its order. All instructions of a kind and purpose are a *family*: one for each row tile, block, or result.
-/

namespace Q35.Lpu

/-! ## The schedule -/

/-- Outward stream of activations. -/
def activationStream : Nat := 4

/-- Outward stream of integer results. -/
def accStream : Nat := 5

/-- Outward stream of results. -/
def outStream : Nat := 6

/-- Outward stream of row sums. -/
def sumStream : Nat := 7

/-- Inward stream of scales. -/
def scaleStream : Nat := 2

/-- Inward stream of offsets. -/
def offsetStream : Nat := 3

/-- Inward stream of row sums. -/
def rowSumStream : Nat := 4

/-- The instructions of each family for each index, a family after the other. -/
def emit {α : Type} (families : List (α → List Instr)) (indices : List α) : List Instr :=
  families.flatMap fun family => indices.flatMap family

/-- A row tile whose activations are streamed past a buffer from a cycle on, for a column tile; an accumulator takes so
many tiles of a group. -/
structure Sweep where
  start : Nat
  tile : Nat
  columnTile : Nat
  buffer : Nat
  segmentTiles : Nat

/-- An accumulator that is drained: its place in their order, and what it has the sum of. -/
structure Spot where
  place : Nat
  tile : Nat
  row : Nat
  group : Nat
  part : Nat

namespace Plan

variable (p : Plan) (h : Nat)

/-- A word of ones is read for a cycle. -/
def readOnes (cycle : Nat) : List Instr := [.read cycle h activations ones true activationStream]

/-- It is installed through every port. -/
def placeOnes (cycle : Nat) : List Instr :=
  (List.range p.machine.planes).flatMap fun plane => (List.range p.machine.installWords).map fun port =>
    let word := cycle * p.machine.installWords + port
    .install (cycle + p.machine.memoryLatency) h plane port 0 (word / 8 * 32 + word % 8) activationStream

/-- A one comes into every row of buffer 0 of both planes. -/
def installOnes : List Instr := emit [readOnes h, p.placeOnes h] (List.range p.onesCycles)

/-- The sweep, the row and the group's number within the tile, of each activation vector. -/
def vectors (sweeps : List Sweep) : List (Sweep × Nat × Nat) :=
  sweeps.flatMap fun sweep => (List.range p.m).flatMap fun row =>
    (List.range (p.groupsIn sweep.tile)).map fun number => (sweep, row, number)

/-- When an activation vector is at the planes. -/
def vectorCycle : Sweep × Nat × Nat → Nat
  | (sweep, row, number) => sweep.start + row * p.mostGroups + number

/-- An activation vector is read. -/
def readVector : Sweep × Nat × Nat → List Instr
  | (sweep, row, number) =>
    [.read (p.vectorCycle (sweep, row, number) - p.machine.memoryLatency) h activations
      (p.activationAddress sweep.tile row number) true activationStream]

/-- It is multiplied by what a plane holds. -/
def multiplyVector (plane : Nat) : Sweep × Nat × Nat → List Instr
  | (sweep, row, number) =>
    let group := (p.tileGroups sweep.tile).1 + number
    let since := sweep.tile - p.firstTile group
    [.matmul (p.vectorCycle (sweep, row, number)) h plane sweep.buffer activationStream plane
      (p.accumulator sweep.columnTile row group (since / sweep.segmentTiles)) (since % sweep.segmentTiles == 0)]

/-- The activations of row tiles are streamed past what is installed. -/
def stream (sweeps : List Sweep) : List Instr :=
  emit (p.readVector h :: (List.range p.machine.planes).map (p.multiplyVector h)) (p.vectors sweeps)

/-- The sweeps past the ones. -/
def sumSweeps : List Sweep :=
  (List.range p.rowTiles).map fun tile => ⟨p.onesMatmul + tile * p.slots, tile, p.columnTiles, 0, p.rowTiles⟩

/-- The sweep of a job. -/
def jobSweep (job : Nat) : Sweep :=
  ⟨p.jobsBegin + job * p.period + p.installed, job % p.rowTiles, job / p.rowTiles, (job + 1) % 2, p.segmentTiles⟩

/-- The sweeps past the weights of a hemisphere's jobs. -/
def jobSweeps : List Sweep := (List.range (p.ownTiles h * p.rowTiles)).map p.jobSweep

/-- When a block of a job begins. -/
def blockBegin : Nat × Nat → Nat
  | (job, block) => p.jobsBegin + job * p.period + block * p.table.interval

/-- A byte of a block is read. -/
def fetchByte (fetch : Fetch) : Nat × Nat → List Instr
  | (job, block) =>
    let place := p.weightPlace (job * p.blocks + block) fetch.byte
    [.read (p.blockBegin (job, block) + fetch.cycle) h place.1 place.2 fetch.outward fetch.stream]

/-- A step of unpacking a block. -/
def unpackStep (step : Step) : Nat × Nat → List Instr
  | (job, block) =>
    [.alu (p.blockBegin (job, block) + step.cycle) h step.alu step.operation step.immediate step.a step.b step.outward]

/-- A word of a block is installed. -/
def placeWord (placement : Placement) : Nat × Nat → List Instr
  | (job, block) =>
    [.install (p.blockBegin (job, block) + placement.cycle) h placement.plane placement.port ((job + 1) % 2)
      (block * 32 + placement.row) placement.stream]

/-- The job and the number of each of a hemisphere's blocks. -/
def jobBlocks : List (Nat × Nat) :=
  (List.range (p.ownTiles h * p.rowTiles)).flatMap fun job => (List.range p.blocks).map fun block => (job, block)

/-- The weights of every job are read, unpacked and installed. -/
def unpack : List Instr :=
  emit (p.table.fetches.map (p.fetchByte h) ++ p.table.steps.map (p.unpackStep h)
    ++ p.table.placements.map (p.placeWord h)) (p.jobBlocks h)

/-- Both planes' row sums are added, as integers and as float32. -/
def drainSums : List Instr :=
  let latency := p.machine.aluLatency
  let kept := p.machine.memoryLatency
  let there := fun index => p.sumsDrain + index + p.machine.drainLatency
  emit ((List.range p.machine.planes).map (fun plane index =>
      [.drain (p.sumsDrain + index) h plane (p.integer p.columnTiles 0 index * p.segments) plane])
    ++ [fun index => [.alu (there index) h 0 .add 0 (.stream 0) (.stream 1) (some accStream)],
      fun index => [.alu (there index + latency) h 1 .toFloat 0 (.alu 0) .nothing (some sumStream)],
      fun index => [.write (there index + latency + kept) h integers (p.integer p.columnTiles 0 index) accStream],
      fun index => [.write (there index + 2 * latency + kept) h rowSums index sumStream]])
    (List.range (p.m * p.groups))

/-- Places of a column tile where `turns` rows are summed in turn over `parts` of each group, some of them empty. -/
def tilePlaces (turns parts : Nat) : Nat := ceilDiv p.m turns * turns * p.groups * parts

/-- What has a place. -/
def spot (turns parts place : Nat) : Spot :=
  let within := place % p.tilePlaces turns parts
  let bundle := within / turns / parts / p.groups
  { place, tile := place / p.tilePlaces turns parts, row := bundle * turns + within % turns,
    group := within / turns / parts % p.groups, part := within / turns % parts }

/-- What is summed over its parts, `turns` rows in turn. -/
def order (turns parts : Nat) : List Spot :=
  ((List.range (p.ownTiles h * p.tilePlaces turns parts)).map (p.spot turns parts)).filter (·.row < p.m)

/-- Both planes' accumulators are drained from the cycle `start` on, shifted and added, with ALUs 0 to 2. -/
def planesSum (start : Nat) (address : Spot → Nat) (stream : Option Nat) : List (Spot → List Instr) :=
  let there := fun spot : Spot => start + spot.place + p.machine.drainLatency
  (List.range p.machine.planes).map (fun plane spot => [.drain (start + spot.place) h plane (address spot) plane])
    ++ (List.range p.machine.planes).map (fun plane spot =>
      [.alu (there spot) h plane .shiftRight (p.resultShift plane) (.stream plane) .nothing none])
    ++ [fun spot => [.alu (there spot + p.machine.aluLatency) h 2 .add 0 (.alu 0) (.alu 1) stream]]

/-- What the ALU before gives is added to the ALU's own last sum, but for the first; the last goes to a stream. -/
def runningSum (there : Spot → Nat) (alu : Nat) (operation : Operation) (first last : Spot → Bool) (stream : Nat) :
    List (Spot → List Instr) :=
  let given := fun spot => if last spot then some stream else none
  [fun spot => if first spot then [.alu (there spot) h alu .keep 0 (.alu (alu - 1)) .nothing (given spot)] else [],
    fun spot =>
      if first spot then [] else [.alu (there spot) h alu operation 0 (.alu (alu - 1)) (.alu alu) (given spot)]]

/-- The accumulators of groups that have several. -/
def combineSpots : List Spot :=
  (p.order h p.machine.aluLatency p.segments).filter fun spot => spot.part < p.groupSegments spot.group

/-- The accumulators of each group are added. -/
def combineAll : List Instr :=
  let there := fun spot : Spot => p.combine + spot.place + p.machine.drainLatency + 2 * p.machine.aluLatency
  let last := fun spot : Spot => spot.part == p.groupSegments spot.group - 1
  emit (p.planesSum h p.combine (fun spot => p.accumulator spot.tile spot.row spot.group spot.part) none
    ++ runningSum h there 3 .add (·.part == 0) last accStream
    ++ [fun spot =>
      if last spot then
        [.write (there spot + p.machine.aluLatency + p.machine.memoryLatency) h integers
          (p.integer spot.tile spot.row spot.group) accStream]
      else []])
    (p.combineSpots h)

/-- The integers of a group become float32: those that `combineAll` made, or else one accumulator's of each plane. -/
def toFloats (there : Spot → Nat) : List (Spot → List Instr) :=
  let address := fun spot : Spot => p.integer spot.tile spot.row spot.group
  if 1 < p.segments then
    [fun spot => [.read (there spot - p.machine.memoryLatency) h integers (address spot) false 0],
      fun spot => [.alu (there spot) h 3 .toFloat 0 (.stream 0) .nothing none]]
  else
    p.planesSum h p.drain (fun spot => p.accumulator spot.tile spot.row spot.group 0) (some accStream)
      ++ [fun spot => [.write (there spot + p.machine.memoryLatency) h integers (address spot) accStream],
        fun spot => [.alu (there spot) h 3 .toFloat 0 (.alu 2) .nothing none]]

/-- The integers are scaled and summed: `out = Σ_g scale·acc + offset·row_sum`. -/
def scaleAndSum : List (Spot → List Instr) :=
  let latency := p.machine.aluLatency
  let kept := p.machine.memoryLatency
  let there := fun spot : Spot => p.drain + spot.place + p.machine.drainLatency + 2 * latency
  let scaled := fun spot => there spot + latency
  let summed := fun spot => scaled spot + 2 * latency
  let parameter := fun spot : Spot => spot.tile * p.groups + spot.group
  let last := fun spot : Spot => spot.group == p.groups - 1
  p.toFloats h there
    ++ [fun spot => [.read (scaled spot - kept) h scales (parameter spot) false scaleStream],
      fun spot => [.read (scaled spot - kept) h offsets (parameter spot) false offsetStream],
      fun spot => [.read (scaled spot - kept) h rowSums (spot.row * p.groups + spot.group) false rowSumStream],
      fun spot => [.alu (scaled spot) h 4 .multiply 0 (.alu 3) (.stream scaleStream) none],
      fun spot => [.alu (scaled spot) h 5 .multiply 0 (.stream rowSumStream) (.stream offsetStream) none],
      fun spot => [.alu (scaled spot + latency) h 6 .addFloat 0 (.alu 4) (.alu 5) none]]
    ++ runningSum h summed 7 .addFloat (·.group == 0) last outStream
    ++ [fun spot =>
      if last spot then
        [.write (summed spot + latency + kept) h outputs (spot.tile * p.m + spot.row) outStream]
      else []]

/-- This is done for every group of every row. -/
def drainAll : List Instr := emit (p.scaleAndSum h) (p.order h p.interleaved 1)

/-- The instructions of a hemisphere, none if it has no column tiles. -/
def hemisphere : List Instr :=
  if p.ownTiles h = 0 then []
  else p.installOnes h ++ p.stream h p.sumSweeps ++ p.unpack h ++ p.stream h (p.jobSweeps h) ++ p.drainSums h
    ++ (if 1 < p.segments then p.combineAll h else []) ++ p.drainAll h

end Plan

/-- Every instruction of a matmul, with its cycle. -/
def schedule (p : Plan) : List Instr := (List.range p.machine.hemispheres).flatMap p.hemisphere

end Q35.Lpu
