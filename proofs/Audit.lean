import Lean
import Q35

/-!
# The axioms that the theorems rest on, as Lean itself collects them

Written by `python -m tools.lean --write-roots` from a template. A root of its own for `lake build`: `#print axioms` and
`collectAxioms` follow a proof through the library to the end, for which they need a file that is no `module`. Lean in
WebAssembly cannot run it (`Q35/AuditWasm.lean` is for that), so the public workflow is the first that does.

`#print axioms` only shows; what fails the build is the command after it.
-/

open Lean Elab Command

/-- Lean's own axioms: propositions that imply each other are equal, choice, and quotients. -/
def allowedAxioms : List Name := [``propext, ``Classical.choice, ``Quot.sound]

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

/-- The theorems of our own modules. -/
def ourTheorems (env : Environment) : Array Name := Id.run do
  let mut found := #[]
  for (name, data) in env.header.moduleNames.zip env.header.moduleData do
    if Name.isPrefixOf `Q35 name then
      for constant in data.constNames do
        if let some (.thmInfo _) := env.find? constant then
          found := found.push constant
  return found

#print axioms Q35.unpackPair_packPair
#print axioms Q35.packPair_unpackPair
#print axioms Q35.no_shorter_code
#print axioms Q35.unpackDense_packDense
#print axioms Q35.packDense_length
#print axioms Q35.roundHalfEven_error_le
#print axioms Q35.roundHalfEven_mono
#print axioms Q35.quantize_nearest
#print axioms Q35.quantize_error_le
#print axioms Q35.quantize_error_le_half_step
#print axioms Q35.quantize_error_attained
#print axioms Q35.quantize_dequantize
#print axioms Q35.quantize_mono
#print axioms Q35.quantize_roundedDequantize
#print axioms Q35.calibrateMinMax_covers_wide
#print axioms Q35.calibrateMinMax_error_le_half_step
#print axioms Q35.calibrateMinMax_gain_one_false
#print axioms Q35.calibrateMinMax_rounded
#print axioms Q35.quantizeActivations_in_range
#print axioms Q35.quantizeActivations_error_le_half_step
#print axioms Q35.roundFloat32_error_le
#print axioms Q35.roundFloat32_exact_on_grid
#print axioms Q35.roundFloat32_mono
#print axioms Q35.dot_dequantize_eq
#print axioms Q35.dot_error_le
#print axioms Q35.acc_fits_int32
#print axioms Q35.acc_overflows_at
#print axioms Q35.acc_wraps_eq
#print axioms Q35.acc_append
#print axioms Q35.epilogue_error_le
#print axioms Q35.epilogue_float32_error_le
#print axioms Q35.schedule_free_of_conflicts
#print axioms Q35.operands_present
#print axioms Q35.schedule_forms_each_product_once
#print axioms Q35.product_accumulator
#print axioms Q35.accumulator_begun_first
#print axioms Q35.tiled_eq_untiled
#print axioms Q35.schedule_total
#print axioms Q35.draft_error_bound_false
#print axioms Q35.draft_converter_wraps
#print axioms Q35.seventyB_bytes

run_cmd
  let env ← getEnv
  let theorems := ourTheorems env
  for name in headlines do
    unless theorems.contains name do
      throwError "headline {name} is not a theorem"
  for name in theorems do
    for used in ← collectAxioms name do
      unless allowedAxioms.contains used do
        throwError "{name} rests on the axiom {used}"
  logInfo m!"audited {theorems.size} theorems: no axiom but {allowedAxioms}"
