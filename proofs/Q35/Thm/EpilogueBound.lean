module

public import Q35.Thm.EpilogueOverflow
public import Q35.Thm.Matmul

@[expose] public noncomputable section

/-!
# One entry of a matmul, from its rows to its float32 output

The integers of every legal group fit int32. A float32 evaluation in any order is within B of the dot product with the
dequantized column if `n·u < 1`; it does not overflow on the way if `S < 2^127` and `2G + 1 ≤ 2^23`.
-/

namespace Q35

variable {activations column : List Int} {groupSize narrowGain : Nat} {scales offsets : List Rat} {tree : Evaluation}

/-! ## Terms of a matmul's entry -/

theorem groupTerms_length (activations column : List Int) (narrowGain : Nat) {rows : List (Nat × Nat)}
    {scales offsets : List Rat} (hs : scales.length = rows.length) (ho : offsets.length = rows.length) :
    (groupTerms activations column narrowGain rows scales offsets).length = rows.length := by
  induction rows generalizing scales offsets with
  | nil => simp [groupTerms]
  | cons row rows ih =>
    match scales, offsets, hs, ho with
    | scale :: scales, offset :: offsets, hs, ho =>
      simp [groupTerms, ih (scales := scales) (offsets := offsets) (by simpa using hs) (by simpa using ho)]

/-- An entry has a term a group. -/
theorem matmulEntry_length (activations : List Int) (narrowGain : Nat)
    (hs : scales.length = groupCount column.length groupSize)
    (ho : offsets.length = groupCount column.length groupSize) :
    (matmulEntry activations column groupSize narrowGain scales offsets).length
      = groupCount column.length groupSize := by
  rw [matmulEntry, groupTerms_length] <;> rw [groupRows_length] <;> assumption

theorem mem_groupTerms {rows : List (Nat × Nat)} {scales offsets : List Rat} {t : GroupTerm}
    (h : t ∈ groupTerms activations column narrowGain rows scales offsets) :
    (∃ r ∈ rows, t.rowSum = rowSum (slice activations r.1 r.2)
      ∧ t.acc = accumulate narrowGain r.1 (slice activations r.1 r.2) (slice column r.1 r.2))
      ∧ t.scale ∈ scales ∧ t.offset ∈ offsets := by
  induction rows generalizing scales offsets with
  | nil => simp [groupTerms] at h
  | cons row rows ih =>
    match scales, offsets with
    | [], _ => simp [groupTerms] at h
    | _ :: _, [] => simp [groupTerms] at h
    | scale :: scales, offset :: offsets =>
      simp only [groupTerms, List.mem_cons] at h
      rcases h with rfl | h
      · exact ⟨⟨row, by simp, rfl, rfl⟩, by simp, by simp⟩
      · obtain ⟨⟨r, hr, sum, acc⟩, hs, ho⟩ := ih h
        exact ⟨⟨r, by simp [hr], sum, acc⟩, by simp [hs], by simp [ho]⟩

/-- A group's parameters are float32 values if all scales and offsets are. -/
theorem matmulEntry_parameters (floatScales : ∀ scale ∈ scales, roundFloat32 scale = scale)
    (floatOffsets : ∀ offset ∈ offsets, roundFloat32 offset = offset) :
    Float32Parameters (matmulEntry activations column groupSize narrowGain scales offsets) := by
  intro t ht
  obtain ⟨_, hs, ho⟩ := mem_groupTerms ht
  exact ⟨floatScales _ hs, floatOffsets _ ho⟩

/-! ## What float32 does -/

/-- **A float32 epilogue is within B**: for parameters that are float32s and integers that fit int32, with `S < 2^127` and at
most `2^22 - 1` groups, no step of any evaluation overflows, so that `evaluate` is what float32 yields; and that is within B
of the exact output. -/
theorem epilogue_float32_error_le {terms : List GroupTerm} (order : Evaluates tree terms)
    (parameters : Float32Parameters terms)
    (int32 : ∀ t ∈ terms, t.acc.natAbs ≤ 2 ^ 31 ∧ t.rowSum.natAbs ≤ 2 ^ 31)
    (small : outputMagnitude terms < 2 ^ 127) (few : 2 * terms.length + 1 ≤ 2 ^ 23) :
    tree.NoOverflow ∧ abs (tree.evaluate - exactOutput terms) ≤ outputBound terms.length (outputMagnitude terms) := by
  refine ⟨epilogue_no_overflow order parameters int32 small few, epilogue_error_le order parameters ?_⟩
  have cast : ((2 * terms.length + 1 : Nat) : Rat) ≤ ((2 ^ 23 : Nat) : Rat) := by exact_mod_cast few
  rw [unitRoundoff]
  grind

/-! ## Legal sizes -/

/-- **For every legal size both integers of every group fit int32**, for either gain. -/
theorem matmulEntry_fits_int32 (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ row (h : row < column.length), InLane row column[row])
    (legal : groupLength column.length groupSize ≤ maxGroupRows) :
    ∀ t ∈ matmulEntry activations column groupSize narrowGain scales offsets,
      t.acc.natAbs ≤ 2 ^ 31 - 1 ∧ t.rowSum.natAbs ≤ 2 ^ 31 - 1 := by
  intro t ht
  obtain ⟨⟨r, hr, sum, acc⟩, _⟩ := mem_groupTerms ht
  obtain ⟨g, _, range⟩ := mem_groupRows.mp hr
  have size := groupRange_size_le column.length groupSize g
  rw [← range] at size
  have own : ∀ a ∈ slice activations r.1 r.2, -128 ≤ a ∧ a ≤ 127 :=
    fun a ha => int8 a (List.mem_of_mem_drop (List.mem_of_mem_take ha))
  have short : ∀ values : List Int, (slice values r.1 r.2).length ≤ maxGroupRows := by
    intro values
    simp only [slice, List.length_take]
    omega
  rw [sum, acc]
  refine ⟨acc_fits_int32 hg own ?_ (Nat.le_trans (short column) (maxGroupRows_le narrowGain)),
    rowSum_fits_int32 own (short activations)⟩
  intro i h
  simp only [slice, List.length_take, List.length_drop] at h
  simp only [slice, List.getElem_take, List.getElem_drop]
  exact lanes (r.1 + i) (by omega)

/-- For every legal size with `S < 2^127` and `2G + 1 ≤ 2^23`, no step of a float32 evaluation overflows. -/
theorem matmul_no_overflow (hg : IsNarrowGain narrowGain) (int8 : ∀ a ∈ activations, -128 ≤ a ∧ a ≤ 127)
    (lanes : ∀ row (h : row < column.length), InLane row column[row])
    (legal : groupLength column.length groupSize ≤ maxGroupRows)
    (hs : scales.length = groupCount column.length groupSize)
    (ho : offsets.length = groupCount column.length groupSize)
    (floatScales : ∀ scale ∈ scales, roundFloat32 scale = scale)
    (floatOffsets : ∀ offset ∈ offsets, roundFloat32 offset = offset)
    (order : Evaluates tree (matmulEntry activations column groupSize narrowGain scales offsets))
    (small : outputMagnitude (matmulEntry activations column groupSize narrowGain scales offsets) < 2 ^ 127)
    (few : 2 * groupCount column.length groupSize + 1 ≤ 2 ^ 23) : tree.NoOverflow := by
  refine epilogue_no_overflow order (matmulEntry_parameters floatScales floatOffsets) ?_ small
    (by rwa [matmulEntry_length activations narrowGain hs ho])
  intro t ht
  have := matmulEntry_fits_int32 hg int8 lanes legal t ht
  omega

/-- **A float32 `out`, evaluated in any order, is within B of the dot product with the dequantized column.** -/
theorem matmul_error_le (hk : 1 ≤ column.length) (same : activations.length = column.length)
    (hs : scales.length = groupCount column.length groupSize)
    (ho : offsets.length = groupCount column.length groupSize)
    (floatScales : ∀ scale ∈ scales, roundFloat32 scale = scale)
    (floatOffsets : ∀ offset ∈ offsets, roundFloat32 offset = offset)
    (order : Evaluates tree (matmulEntry activations column groupSize narrowGain scales offsets))
    (few : ((2 * groupCount column.length groupSize + 1 : Nat) : Rat) * unitRoundoff < 1) :
    abs (tree.evaluate - dot activations (dequantizeColumn column groupSize narrowGain scales offsets))
      ≤ outputBound (groupCount column.length groupSize)
        (outputMagnitude (matmulEntry activations column groupSize narrowGain scales offsets)) := by
  have length := matmulEntry_length activations narrowGain hs ho
  have bound := epilogue_error_le order (matmulEntry_parameters floatScales floatOffsets) (by rwa [length])
  rwa [length, ← dot_dequantize_eq groupSize narrowGain hk same hs ho] at bound

/-- For real weights the two errors add up: of the float32 evaluation, and of quantization. -/
theorem matmul_quantize_error_le {weights : List Rat} (hg : IsNarrowGain narrowGain) (hk : 1 ≤ weights.length)
    (same : activations.length = weights.length) (hs : scales.length = groupCount weights.length groupSize)
    (ho : offsets.length = groupCount weights.length groupSize) (positive : ∀ scale ∈ scales, 0 < scale)
    (floatScales : ∀ scale ∈ scales, roundFloat32 scale = scale)
    (floatOffsets : ∀ offset ∈ offsets, roundFloat32 offset = offset)
    (order : Evaluates tree (matmulEntry activations
      (quantizeColumn weights groupSize narrowGain scales offsets) groupSize narrowGain scales offsets))
    (few : ((2 * groupCount weights.length groupSize + 1 : Nat) : Rat) * unitRoundoff < 1) :
    abs (tree.evaluate - dot activations weights)
      ≤ outputBound (groupCount weights.length groupSize) (outputMagnitude (matmulEntry activations
          (quantizeColumn weights groupSize narrowGain scales offsets) groupSize narrowGain scales offsets))
        + dotMagnitude activations (columnErrorBounds weights groupSize narrowGain scales offsets) := by
  have length : (quantizeColumn weights groupSize narrowGain scales offsets).length = weights.length :=
    eachRow_length ..
  have quantization := dot_quantize_error_le groupSize hg hk same hs ho positive
  have float := epilogue_error_le order (matmulEntry_parameters floatScales floatOffsets)
    (by rwa [matmulEntry_length _ _ (by rw [length, hs]) (by rw [length, ho]), length])
  rw [matmulEntry_length _ _ (by rw [length, hs]) (by rw [length, ho]), length] at float
  rw [abs_sub_comm] at quantization
  have triangle := abs_sub_le tree.evaluate (exactOutput (matmulEntry activations
    (quantizeColumn weights groupSize narrowGain scales offsets) groupSize narrowGain scales offsets))
    (dot activations weights)
  grind

end Q35
