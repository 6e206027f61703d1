module

public import Q35.Spec.LpuWellFormed
public import Q35.Vectors.Literals

@[expose] public noncomputable section

/-!
# How a schedule is written in the vectors, and what a vector of one states

Written by hand, unlike its neighbours. An instruction is a number: three decimal digits for each field of its kind, in
the order of `COLUMNS` of `q35ref/lpu/program.py`, after the cycle, which may have more; the last three are the kind. So
`10_000_016_003_001_004_000` is the read, issued in cycle 10 in hemisphere 0, of quad 16's address 3 outwards on stream
4. An ALU's immediate is written 100 too large, and its stream 1 too large, which is 0 where there is none.
-/

namespace Q35.Vectors

open Q35.Lpu

/-- Field `i` of a written instruction, counted from its end. -/
def lpuField (code i : Nat) : Nat := code / 1000 ^ i % 1000

/-- Each operation, as `OPERATIONS` has them in order. -/
def lpuOperation : Nat → Operation
  | 0 => .shift
  | 1 => .mask
  | 2 => .or
  | 3 => .shiftRight
  | 4 => .add
  | 5 => .toFloat
  | 6 => .multiply
  | 7 => .addFloat
  | _ => .keep

/-- Each place that an operand comes from: `NOTHING`, `STREAM`, `ALU`. -/
def lpuSource (kind number : Nat) : Source :=
  match kind with
  | 0 => .nothing
  | 1 => .stream number
  | _ => .alu number

/-- What is written as 1 too large where it is there, and as 0 where it is not. -/
def lpuStream : Nat → Option Nat
  | 0 => none
  | stream + 1 => some stream

/-- The instruction that a number stands for. -/
def lpuInstr (code : Nat) : Instr :=
  let f := lpuField code
  match f 0 with
  | 0 => .read (code / 1000 ^ 6) (f 5) (f 4) (f 3) (f 2 == 1) (f 1)
  | 1 => .write (code / 1000 ^ 5) (f 4) (f 3) (f 2) (f 1)
  | 2 => .alu (code / 1000 ^ 10) (f 9) (f 8) (lpuOperation (f 7)) ((f 6 : Int) - 100) (lpuSource (f 5) (f 4))
      (lpuSource (f 3) (f 2)) (lpuStream (f 1))
  | 3 => .install (code / 1000 ^ 7) (f 6) (f 5) (f 4) (f 3) (f 2) (f 1)
  | 4 => .matmul (code / 1000 ^ 8) (f 7) (f 6) (f 5) (f 4) (f 3) (f 2) (f 1 == 1)
  | _ => .drain (code / 1000 ^ 5) (f 4) (f 3) (f 2) (f 1)

/-- A table of numbers: three digits for each field, the cycle may have more. The fields are those of `Fetch`; of
`Step`, with operation, immediate, sources and stream as in an instruction; and of `Placement`. -/
def lpuTable (interval : Nat) (fetches steps placements : List Nat) : Table where
  interval := interval
  fetches := fetches.map fun code => let f := lpuField code
    ⟨code / 1000 ^ 3, f 2, f 1 == 1, f 0⟩
  steps := steps.map fun code => let f := lpuField code
    ⟨code / 1000 ^ 8, f 7, lpuOperation (f 6), (f 5 : Int) - 100, lpuSource (f 4) (f 3), lpuSource (f 2) (f 1),
      lpuStream (f 0)⟩
  placements := placements.map fun code => let f := lpuField code
    ⟨code / 1000 ^ 4, f 3, f 2, f 1, f 0⟩

/-- A schedule: a plan, the cycles that it takes, and its instructions. -/
structure LpuSchedule where
  plan : Plan
  total : Nat
  program : List Nat

/-- The plan is well-formed and has room, and its instructions and its cycles are the expected ones. -/
def LpuSchedule.holds (c : LpuSchedule) : Bool :=
  decide c.plan.WellFormed && c.plan.needed.all (fun wanted => decide (wanted.1 ≤ wanted.2))
    && schedule c.plan == c.program.map lpuInstr && c.plan.total == c.total

/-- A table of a machine, and the bytes of a period for which it is. -/
structure LpuTable where
  machine : Machine
  table : Table
  periodBytes : Nat

/-- The table is one that the theorems are about. -/
def LpuTable.holds (c : LpuTable) : Bool := decide (c.table.WellFormed c.machine c.periodBytes)

end Q35.Vectors
