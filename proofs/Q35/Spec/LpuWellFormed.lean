module

public import Q35.Spec.Lpu

@[expose] public noncomputable section

/-!
# What a plan must be for the theorems about its schedule

What `Machine.__post_init__` and `q35ref/lpu/unpacking.py` see to; the vectors decide it for tables and shapes of
`q35ref`, the real machine's four tables among them. Groups may be of any size, and nothing is said of room.
-/

namespace Q35.Lpu

/-- What a block's unpacking occupies, with the cycle after the block's begin. A fetch is said to occupy the quad of its
byte's number: which quad it is, is the same for all bytes of a block. -/
def Table.uses (table : Table) (machine : Machine) : List (Port × Nat) :=
  table.fetches.flatMap (fun fetch =>
    [(.memoryQuad fetch.byte, fetch.cycle),
      (if fetch.outward then .outwardStream fetch.stream else .inwardStream fetch.stream,
        fetch.cycle + machine.memoryLatency)])
  ++ table.steps.flatMap (fun step =>
    (.alu step.alu, step.cycle) :: match step.outward with
      | none => []
      | some stream => [(.outwardStream stream, step.cycle + machine.aluLatency + machine.transit)])
  ++ table.placements.map (fun placement => (.installPort placement.plane placement.port, placement.cycle))

/-- Whether something is used in a cycle after a block's begin. -/
def Table.usesAt (table : Table) (machine : Machine) (port : Port) (cycle : Nat) : Bool :=
  (table.uses machine).any fun use => if Nat.beq use.2 cycle then decide (use.1 = port) else false

/-- Whether a step's operand is there in the cycle in which it is taken. -/
def Table.hasOperand (table : Table) (machine : Machine) (cycle : Nat) : Source → Bool
  | .nothing => true
  | .stream number => table.usesAt machine (.inwardStream number) cycle
  | .alu number => Nat.ble machine.aluLatency cycle && table.usesAt machine (.alu number) (cycle - machine.aluLatency)

/-- A table can be repeated every `interval` cycles, and unpacks a block. -/
structure Table.WellFormed (table : Table) (machine : Machine) (periodBytes : Nat) : Prop where
  /-- Blocks take some time. -/
  interval : 1 ≤ table.interval
  /-- Modulo scheduling: nothing is used twice at cycles that differ by a multiple of the interval. -/
  once : (table.uses machine).Pairwise fun a b => a.1 = b.1 → a.2 % table.interval ≠ b.2 % table.interval
  /-- The bytes are those of a period, go outwards on the streams of weights alone, and come before the last install. -/
  fetches : ∀ fetch ∈ table.fetches, fetch.byte < periodBytes
    ∧ fetch.cycle + machine.memoryLatency ≤ table.lastPlacement ∧ (fetch.outward → fetch.stream < activationStream)
  /-- No step comes before there can be a byte, or so late that its result would come after the last install; results
  go outwards on the streams of weights alone. -/
  steps : ∀ step ∈ table.steps, machine.memoryLatency ≤ step.cycle
    ∧ step.cycle + machine.aluLatency + machine.transit ≤ table.lastPlacement
    ∧ step.outward.all (· < activationStream)
  /-- No install comes before there can be a byte; it is one of four rows of a block's 32 of either plane. -/
  placements : ∀ placement ∈ table.placements, machine.memoryLatency ≤ placement.cycle
    ∧ placement.plane < 2 ∧ placement.row < 8
  /-- Each of these rows is installed once. -/
  covers : ∀ plane ∈ List.range 2, ∀ row ∈ List.range 8,
    (table.placements.filter fun placement => placement.plane == plane && placement.row == row).length = 1
  /-- The operands of steps are there in the cycle in which they are taken. -/
  operands : ∀ step ∈ table.steps,
    table.hasOperand machine step.cycle step.a = true ∧ table.hasOperand machine step.cycle step.b = true
  /-- So are the words that are installed. -/
  words : ∀ placement ∈ table.placements,
    table.usesAt machine (.outwardStream placement.stream) placement.cycle = true

/-- A plan that can be scheduled. -/
structure Plan.WellFormed (p : Plan) : Prop where
  /-- One plane for the even rows, one for the odd ones. -/
  planes : p.machine.planes = 2
  /-- A plane has whole blocks of 32 rows. -/
  rows : 32 ≤ p.machine.rows ∧ p.machine.rows % 32 = 0
  lanes : 1 ≤ p.machine.lanes
  hemispheres : 1 ≤ p.machine.hemispheres
  installWords : 1 ≤ p.machine.installWords
  aluLatency : 1 ≤ p.machine.aluLatency
  /-- A period's bytes lie in quads of their own. -/
  periodBytes : 1 ≤ p.periodBytes ∧ p.periodBytes ≤ weightQuads
  table : p.table.WellFormed p.machine p.periodBytes
  /-- There are activations, rows and columns. -/
  m : 1 ≤ p.m
  k : 1 ≤ p.k
  n : 1 ≤ p.n
  /-- An accumulator holds the products of a tile at least. -/
  segmentTiles : 1 ≤ p.segmentTiles

/-! ## How it is decided -/

/-- A number for a port; for those of a table that is well-formed, one for each. -/
def Port.key : Port → Nat
  | .memoryQuad quad => 8 * quad
  | .alu number => 8 * number + 1
  | .installPort plane port => 8 * (2 * port + plane) + 2
  | .matrixPlane number => 8 * number + 3
  | .accumulatorPort plane => 8 * plane + 4
  | .inwardStream number => 8 * number + 5
  | .outwardStream number => 8 * number + 6

/-- Whether numbers differ from each other, and from those whose bits are set. -/
def differ (bits : Nat) : List Nat → Bool
  | [] => true
  | key :: rest => !bits.testBit key && differ (bits ||| 2 ^ key) rest

theorem nodup_of_differ {keys : List Nat} : ∀ {bits : Nat}, differ bits keys = true →
    keys.Nodup ∧ ∀ key ∈ keys, bits.testBit key = false := by
  induction keys with
  | nil => simp
  | cons key rest ih =>
    intro bits h
    simp only [differ, Bool.and_eq_true, Bool.not_eq_true'] at h
    obtain ⟨nodup, free⟩ := ih h.2
    have apart : ∀ other ∈ rest, key ≠ other ∧ bits.testBit other = false := fun other there => by
      have := free other there
      rw [Nat.testBit_or, Bool.or_eq_false_iff, Nat.testBit_two_pow] at this
      exact ⟨by simpa using this.2, this.1⟩
    refine ⟨List.nodup_cons.mpr ⟨fun there => (apart key there).1 rfl, nodup⟩, ?_⟩
    intro other there
    rcases List.mem_cons.mp there with same | there
    · exact same ▸ h.1
    · exact (apart other there).2

/-- Modulo scheduling is decided by numbers that differ, which is quick. -/
theorem apart_of_differ {interval : Nat} {uses : List (Port × Nat)}
    (h : differ 0 (uses.map fun use => use.1.key * interval + use.2 % interval) = true) :
    uses.Pairwise fun a b => a.1 = b.1 → a.2 % interval ≠ b.2 % interval := by
  refine (List.pairwise_map.mp (nodup_of_differ h).1).imp fun different same equal => different ?_
  rw [same, equal]

instance (interval : Nat) (uses : List (Port × Nat)) :
    Decidable (uses.Pairwise fun a b => a.1 = b.1 → a.2 % interval ≠ b.2 % interval) :=
  if h : differ 0 (uses.map fun use => use.1.key * interval + use.2 % interval) = true then
    .isTrue (apart_of_differ h)
  else inferInstance

instance (table : Table) (machine : Machine) (periodBytes : Nat) : Decidable (table.WellFormed machine periodBytes) :=
  decidable_of_iff
    (1 ≤ table.interval
      ∧ ((table.uses machine).Pairwise fun a b => a.1 = b.1 → a.2 % table.interval ≠ b.2 % table.interval)
      ∧ (∀ fetch ∈ table.fetches, fetch.byte < periodBytes
        ∧ fetch.cycle + machine.memoryLatency ≤ table.lastPlacement
        ∧ (fetch.outward → fetch.stream < activationStream))
      ∧ (∀ step ∈ table.steps, machine.memoryLatency ≤ step.cycle
        ∧ step.cycle + machine.aluLatency + machine.transit ≤ table.lastPlacement
        ∧ step.outward.all (· < activationStream))
      ∧ (∀ placement ∈ table.placements, machine.memoryLatency ≤ placement.cycle
        ∧ placement.plane < 2 ∧ placement.row < 8)
      ∧ (∀ plane ∈ List.range 2, ∀ row ∈ List.range 8,
        (table.placements.filter fun placement => placement.plane == plane && placement.row == row).length = 1)
      ∧ (∀ step ∈ table.steps,
        table.hasOperand machine step.cycle step.a = true ∧ table.hasOperand machine step.cycle step.b = true)
      ∧ ∀ placement ∈ table.placements,
        table.usesAt machine (.outwardStream placement.stream) placement.cycle = true)
    ⟨fun ⟨a, b, c, d, e, f, g, h⟩ => ⟨a, b, c, d, e, f, g, h⟩, fun ⟨a, b, c, d, e, f, g, h⟩ => ⟨a, b, c, d, e, f, g, h⟩⟩

instance (p : Plan) : Decidable (p.WellFormed) :=
  decidable_of_iff
    (p.machine.planes = 2 ∧ (32 ≤ p.machine.rows ∧ p.machine.rows % 32 = 0) ∧ 1 ≤ p.machine.lanes
      ∧ 1 ≤ p.machine.hemispheres ∧ 1 ≤ p.machine.installWords ∧ 1 ≤ p.machine.aluLatency
      ∧ (1 ≤ p.periodBytes ∧ p.periodBytes ≤ weightQuads) ∧ p.table.WellFormed p.machine p.periodBytes
      ∧ 1 ≤ p.m ∧ 1 ≤ p.k ∧ 1 ≤ p.n ∧ 1 ≤ p.segmentTiles)
    ⟨fun ⟨a, b, c, d, e, f, g, h, i, j, k, l⟩ => ⟨a, b, c, d, e, f, g, h, i, j, k, l⟩,
      fun ⟨a, b, c, d, e, f, g, h, i, j, k, l⟩ => ⟨a, b, c, d, e, f, g, h, i, j, k, l⟩⟩

end Q35.Lpu
