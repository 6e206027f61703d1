module

public meta import Lean
import all Q35.Spec.Activations
import all Q35.Spec.Calibration
import all Q35.Spec.Codec
import all Q35.Spec.Drafts
import all Q35.Spec.Epilogue
import all Q35.Spec.Float32
import all Q35.Spec.Lanes
import all Q35.Spec.Lpu
import all Q35.Spec.LpuPlan
import all Q35.Spec.LpuProducts
import all Q35.Spec.LpuWellFormed
import all Q35.Spec.Matmul
import all Q35.Spec.Quantizer
import all Q35.Spec.Rounding
import all Q35.Thm.Accumulator
import all Q35.Thm.AccumulatorBound
import all Q35.Thm.Activations
import all Q35.Thm.Binade
import all Q35.Thm.Calibration
import all Q35.Thm.CalibrationClip
import all Q35.Thm.CalibrationRounded
import all Q35.Thm.CalibrationScale
import all Q35.Thm.CalibrationSymmetric
import all Q35.Thm.Codec
import all Q35.Thm.Columns
import all Q35.Thm.Dense
import all Q35.Thm.Digits
import all Q35.Thm.Drafts
import all Q35.Thm.Epilogue
import all Q35.Thm.EpilogueBound
import all Q35.Thm.EpilogueOverflow
import all Q35.Thm.Float32
import all Q35.Thm.Float32Grid
import all Q35.Thm.Float32Multiple
import all Q35.Thm.Float32Nearest
import all Q35.Thm.Growth
import all Q35.Thm.Lanes
import all Q35.Thm.LpuAccumulators
import all Q35.Thm.LpuConflicts
import all Q35.Thm.LpuEmit
import all Q35.Thm.LpuOperands
import all Q35.Thm.LpuPhases
import all Q35.Thm.LpuPlan
import all Q35.Thm.LpuProducts
import all Q35.Thm.LpuProductsOnce
import all Q35.Thm.LpuSources
import all Q35.Thm.LpuSpots
import all Q35.Thm.LpuTiles
import all Q35.Thm.LpuTotal
import all Q35.Thm.Matmul
import all Q35.Thm.Quantizer
import all Q35.Thm.QuantizerBounds
import all Q35.Thm.QuantizerRounded
import all Q35.Thm.Rational
import all Q35.Thm.Rounding
import all Q35.Thm.Wraparound
import all Q35.Vectors
import all Q35.Vectors.Accumulators
import all Q35.Vectors.Activations
import all Q35.Vectors.Calibration
import all Q35.Vectors.Cases
import all Q35.Vectors.Clip
import all Q35.Vectors.Codec
import all Q35.Vectors.Columns
import all Q35.Vectors.Dense
import all Q35.Vectors.Dequantize
import all Q35.Vectors.ErrorBound
import all Q35.Vectors.Float32
import all Q35.Vectors.Literals
import all Q35.Vectors.LpuCases
import all Q35.Vectors.LpuSchedules1
import all Q35.Vectors.LpuSchedules2
import all Q35.Vectors.LpuSchedules3
import all Q35.Vectors.LpuSchedules4
import all Q35.Vectors.LpuTables
import all Q35.Vectors.Matmul
import all Q35.Vectors.Quantize1
import all Q35.Vectors.Quantize2
import all Q35.Vectors.Quantize3
import all Q35.Vectors.Rounding
import all Q35.Vectors.Shortcuts

/-!
# What the theorems rest on, seen by Lean in WebAssembly

Written by `python -m tools.lean --write-roots` from a template. Of each constant of our own modules, theorem or
definition, it demands that it is no axiom, is not `unsafe`, and uses nothing that stands for a missing proof or for trust
in the compiler; that Lean's kernel accepts it here once more, under another name, whatever options its module may have
set; and that each headline is a theorem. As this holds of all constants, it holds of all that one of them
rests on. A module that is not imported with `all` shows its theorems as axioms, and fails. Generated vectors are not
checked a second time: their text is compared with what the generator writes, and they set no option.

That build of Lean has no code for much of the library: hence recursion by hand. It shows the library's own theorems as
axioms; `Audit.lean` looks into those too, where lake is installed.
-/

meta section

namespace Q35.Audit
open Lean Elab Command

/-- What a constant must not use. -/
def banned : List Name := [``sorryAx, ``Lean.ofReduceBool, ``Lean.ofReduceNat, ``Lean.trustCompiler]

/-- What must be a theorem. -/
def headlines : List Name := [
  `Q35.unpackPair_packPair,
  `Q35.packPair_unpackPair,
  `Q35.no_shorter_code,
  `Q35.unpackDense_packDense,
  `Q35.packDense_length,
  `Q35.roundHalfEven_error_le,
  `Q35.roundHalfEven_mono,
  `Q35.quantize_nearest,
  `Q35.quantize_error_le,
  `Q35.quantize_error_le_half_step,
  `Q35.quantize_error_attained,
  `Q35.quantize_dequantize,
  `Q35.quantize_mono,
  `Q35.quantize_roundedDequantize,
  `Q35.calibrateMinMax_covers_wide,
  `Q35.calibrateMinMax_error_le_half_step,
  `Q35.calibrateMinMax_gain_one_false,
  `Q35.calibrateMinMax_rounded,
  `Q35.quantizeActivations_in_range,
  `Q35.quantizeActivations_error_le_half_step,
  `Q35.roundFloat32_error_le,
  `Q35.roundFloat32_exact_on_grid,
  `Q35.roundFloat32_mono,
  `Q35.dot_dequantize_eq,
  `Q35.dot_error_le,
  `Q35.acc_fits_int32,
  `Q35.acc_overflows_at,
  `Q35.acc_wraps_eq,
  `Q35.acc_append,
  `Q35.epilogue_error_le,
  `Q35.epilogue_float32_error_le,
  `Q35.schedule_free_of_conflicts,
  `Q35.operands_present,
  `Q35.schedule_forms_each_product_once,
  `Q35.product_accumulator,
  `Q35.accumulator_begun_first,
  `Q35.tiled_eq_untiled,
  `Q35.schedule_total,
  `Q35.draft_error_bound_false,
  `Q35.draft_converter_wraps,
  `Q35.seventyB_bytes]

/-- Modules that a program wrote, whose text is compared with what it writes. -/
def generated : List Name := [
  `Q35.Vectors.Accumulators,
  `Q35.Vectors.Activations,
  `Q35.Vectors.Calibration,
  `Q35.Vectors.Clip,
  `Q35.Vectors.Codec,
  `Q35.Vectors.Columns,
  `Q35.Vectors.Dense,
  `Q35.Vectors.Dequantize,
  `Q35.Vectors.ErrorBound,
  `Q35.Vectors.Float32,
  `Q35.Vectors.LpuSchedules1,
  `Q35.Vectors.LpuSchedules2,
  `Q35.Vectors.LpuSchedules3,
  `Q35.Vectors.LpuSchedules4,
  `Q35.Vectors.LpuTables,
  `Q35.Vectors.Matmul,
  `Q35.Vectors.Quantize1,
  `Q35.Vectors.Quantize2,
  `Q35.Vectors.Quantize3,
  `Q35.Vectors.Rounding]

/-- What the audit has seen so far. -/
structure Found where
  theorems : Nat := 0
  again : Nat := 0
  faults : List MessageData := []

def Found.add (found : Found) (fault : MessageData) : Found := { found with faults := fault :: found.faults }

def checkUses (name : Name) (found : Found) : List Name → Found
  | [] => found
  | used :: rest => checkUses name (if banned.elem used then found.add m!"{name} uses {used}" else found) rest

/-- The same constant as a new one. Inductive types, which bring names of their own, are left to their module; so are the
helpers that Lean makes to run a recursive definition, which nothing that is proved may use. -/
def copyOf : ConstantInfo → Option Declaration
  | .thmInfo info =>
    some (.thmDecl { name := `q35Copy, levelParams := info.levelParams, type := info.type, value := info.value })
  | .defnInfo info =>
    match info.safety with
    | .safe =>
      some (.defnDecl { name := `q35Copy, levelParams := info.levelParams, type := info.type, value := info.value,
                        hints := info.hints, safety := .safe })
    | _ => none
  | _ => none

/-- Ask the kernel again; what it would add is thrown away. -/
def checkAgain (env : Environment) (found : Found) (info : ConstantInfo) : Found :=
  match copyOf info with
  | none => found
  | some declaration =>
    match env.toKernelEnv.addDeclCore 0 declaration none with
    | .ok _ => { found with again := found.again + 1 }
    | .error _ => found.add m!"{info.name} is not accepted by the kernel"

def checkConstant (found : Found) (info : ConstantInfo) : Found :=
  let found := if info.isUnsafe then found.add m!"{info.name} is unsafe" else found
  let found := match info with
    | .thmInfo _ => { found with theorems := found.theorems + 1 }
    | .axiomInfo _ => found.add m!"{info.name} is an axiom"
    | _ => found
  checkUses info.name found info.getUsedConstantsAsSet.toList

def checkConstants (env : Environment) (again : Bool) (found : Found) : List Name → Found
  | [] => found
  | name :: rest =>
    let found := match env.find? name with
      | some info =>
        let found := checkConstant found info
        if again then checkAgain env found info else found
      | none => found.add m!"{name} cannot be found"
    checkConstants env again found rest

/-- Both lists are in the order of the imports. -/
def checkModules (env : Environment) (found : Found) : List Name → List ModuleData → Found
  | name :: names, data :: datas =>
    let found := if Name.isPrefixOf `Q35 name
      then checkConstants env (!generated.elem name) found data.constNames.toList else found
    checkModules env found names datas
  | _, _ => found

def checkHeadlines (env : Environment) (found : Found) : List Name → Found
  | [] => found
  | name :: rest =>
    let found := match env.find? name with
      | some (.thmInfo _) => found
      | some _ => found.add m!"headline {name} is no theorem"
      | none => found.add m!"headline {name} is missing"
    checkHeadlines env found rest

def listing : List MessageData → MessageData
  | [] => m!""
  | fault :: rest => m!"\n{fault}{listing rest}"

def audit (env : Environment) : Except MessageData String :=
  let found := checkModules env {} env.header.moduleNames.toList env.header.moduleData.toList
  let found := checkHeadlines env found headlines
  match found.faults with
  | [] => .ok s!"audited {found.theorems} theorems, those that Lean made for itself included; {found.again} constants checked again"
  | faults => .error m!"the audit found:{listing faults}"

end Q35.Audit

open Lean Elab Command in
run_cmd
  match Q35.Audit.audit (← getEnv) with
  | .ok said => IO.println said
  | .error said => throw (m := CommandElabM) (α := Unit) (Exception.error .missing said)
