module

public import Q35.Spec.LpuWellFormed

@[expose] public noncomputable section

/-!
# What the words of a schedule stand for, and which products its instructions form

What `q35ref/lpu/image.py` puts into memory, and which weight is in which byte of what a block's unpacking installs.
These are the words in which `schedule_forms_each_product_once` speaks; `p.table` is taken to unpack what it is for.
-/

namespace Q35.Lpu

/-- `f 0 + … + f (count - 1)`. -/
def sumOf (f : Nat → Int) : Nat → Int
  | 0 => 0
  | count + 1 => sumOf f count + f count

namespace Plan

variable (p : Plan)

/-- The row of weights that a row of a plane has in a row tile: even rows are on plane 0, odd ones on plane 1. -/
def weightRow (tile plane row : Nat) : Nat := tile * p.tileRows + 2 * row + plane

/-- The column of a lane in a column tile of a hemisphere. -/
def weightColumn (h columnTile lane : Nat) : Nat := (columnTile * p.machine.hemispheres + h) * p.machine.lanes + lane

/-- Row `k` is one of group `group`. -/
def InGroup (group k : Nat) : Prop :=
  (groupRange p.k p.groupSize group).1 ≤ k ∧ k < (groupRange p.k p.groupSize group).2

instance (group k : Nat) : Decidable (p.InGroup group k) := inferInstanceAs (Decidable (_ ∧ _))

/-- The word at an address of the quad `activations` has `a[m, k]` in a byte of lane `row`: it is one of a row tile and
one of its groups, and has zeros where rows are of other groups. This is what `image._load_activations` puts there. -/
def HoldsActivation (address byte row m k : Nat) : Prop :=
  ∃ tile number, tile < p.rowTiles ∧ m < p.m ∧ number < p.groupsIn tile
    ∧ address = p.activationAddress tile m number ∧ k = p.weightRow tile byte row
    ∧ p.InGroup ((p.tileGroups tile).1 + number) k

/-- An instruction installs a word whose byte `byte` becomes row `row` of a plane's buffer. -/
def InstallsRow (h plane buffer row byte : Nat) : Instr → Prop
  | .install _ h' plane' _ buffer' row' _ =>
    h' = h ∧ plane' = plane ∧ buffer' = buffer ∧ byte < wordBytes ∧ row = row' + 8 * byte
  | _ => False

/-- In a cycle, `w[k, n]` stands in a row and a lane of a plane's buffer: a word of a job's block has been installed
there, whose four bytes are rows of one placement, a period apart, and nothing else since. -/
def Stands (h plane buffer row cycle lane k n : Nat) : Prop :=
  ∃ job block placement byte instr, job < p.ownTiles h * p.rowTiles ∧ block < p.blocks
    ∧ placement ∈ p.table.placements ∧ instr ∈ p.placeWord h placement (job, block)
    ∧ InstallsRow h plane buffer row byte instr ∧ instr.cycle < cycle
    ∧ (∀ other ∈ schedule p, ∀ byte', InstallsRow h plane buffer row byte' other →
      other = instr ∨ other.cycle < instr.cycle ∨ cycle ≤ other.cycle)
    ∧ k = job % p.rowTiles * p.tileRows + block * blockRows + byte * periodRows + 2 * placement.row + placement.plane
    ∧ n = p.weightColumn h (job / p.rowTiles) lane

/-- A matmul instruction multiplies `a[m, k]`, which comes to a row of its plane on a word that was read for it, by
`w[k, n]`, which stands in that row and a lane. -/
def Forms (instr : Instr) (row lane m k n : Nat) : Prop :=
  match instr with
  | .matmul cycle h plane buffer stream byte _ _ =>
    row < p.machine.rows ∧ lane < p.machine.lanes
      ∧ (∃ issued address, Instr.read issued h activations address true stream ∈ schedule p
        ∧ issued + p.machine.memoryLatency = cycle ∧ p.HoldsActivation address byte row m k)
      ∧ p.Stands h plane buffer row cycle lane k n
  | _ => False

/-- What a matmul adds to an accumulator of a plane, in a lane whose column is given: the sum over the plane's rows of
an activation, or of a zero where the row is of another group, times what stands there. -/
def planeSum (activations column : List Int) (tile group plane : Nat) : Int :=
  sumOf (fun row =>
    let k := p.weightRow tile plane row
    (if p.InGroup group k then activations.getD k 0 else 0) * column.getD k 0) p.machine.rows

/-- What the matmuls of all row tiles that have rows of a group add up to, even rows once and odd ones by their gain. -/
def tiledSum (activations column : List Int) (group : Nat) : Int :=
  sumOf (fun tile =>
    if (p.tileGroups tile).1 ≤ group ∧ group < (p.tileGroups tile).2 then
      p.planeSum activations column tile group 0 + p.narrowGain * p.planeSum activations column tile group 1
    else 0) p.rowTiles

end Plan

end Q35.Lpu
