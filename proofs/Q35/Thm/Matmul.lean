module

public import Q35.Thm.AccumulatorBound
public import Q35.Thm.QuantizerBounds

@[expose] public noncomputable section

/-!
# A matmul's exact output is the dot product with the dequantized column

`dot a w` is `Σ a[k]·w[k]`. What the format computes from integers, `exactOutput` of `matmulEntry`, is `dot` of the
activations and the column restored row by row, and differs from `dot` with the real weights by at most what
quantization may do to each of them.
-/

namespace Q35

/-! ## Rows -/

theorem getD_of_lt {values : List Rat} {i : Nat} (h : i < values.length) : values.getD i 0 = values[i] := by
  simp [List.getD, h]

theorem eachRow_length {α β : Type} (f : Nat → α → β) (row : Nat) (xs : List α) :
    (eachRow f row xs).length = xs.length := by
  induction xs generalizing row with
  | nil => rfl
  | cons x xs ih => simp [eachRow, ih]

theorem eachRow_append {α β : Type} (f : Nat → α → β) (row : Nat) (xs ys : List α) :
    eachRow f row (xs ++ ys) = eachRow f row xs ++ eachRow f (row + xs.length) ys := by
  induction xs generalizing row with
  | nil => simp [eachRow]
  | cons x xs ih =>
    have next : row + 1 + xs.length = row + (xs.length + 1) := by omega
    simp [eachRow, ih, next]

/-- Entry `i` of such a list is the function's value at row `row + i`. -/
theorem eachRow_getElem {α β : Type} (f : Nat → α → β) (row : Nat) (xs : List α) (i : Nat) (h : i < xs.length) :
    (eachRow f row xs)[i]'(by rw [eachRow_length]; exact h) = f (row + i) xs[i] := by
  induction xs generalizing row i with
  | nil => simp at h
  | cons x xs ih =>
    cases i with
    | zero => simp [eachRow]
    | succ i =>
      have next : row + 1 + i = row + (i + 1) := by omega
      simp [eachRow, ih (row + 1) i (by simpa using h), next]

theorem dot_append {a₁ : List Int} {w₁ : List Rat} (a₂ : List Int) (w₂ : List Rat) (same : a₁.length = w₁.length) :
    dot (a₁ ++ a₂) (w₁ ++ w₂) = dot a₁ w₁ + dot a₂ w₂ := by
  induction a₁ generalizing w₁ with
  | nil =>
    obtain rfl : w₁ = [] := by simpa using same.symm
    simp [dot, Rat.zero_add]
  | cons a a₁ ih =>
    cases w₁ with
    | nil => simp at same
    | cons w w₁ => simp only [List.cons_append, dot, ih (by simpa using same), Rat.add_assoc]

/-! ## One group -/

/-- One group: with a scale and an offset for all its rows, the dot product is `scale·acc + offset·row_sum`. -/
theorem dot_dequantize_group (scale offset : Rat) (narrowGain firstRow : Nat) {activations column : List Int}
    (same : activations.length = column.length) :
    dot activations (eachRow (fun row q => dequantize q scale offset row narrowGain) firstRow column)
      = scale * accumulate narrowGain firstRow activations column + offset * rowSum activations := by
  induction activations generalizing firstRow column with
  | nil =>
    have zero : ((0 : Int) : Rat) = 0 := rfl
    simp only [dot, accumulate, rowSum, List.foldr_nil, zero]
    grind
  | cons a activations ih =>
    cases column with
    | nil => simp at same
    | cons q column =>
      have rest := ih (firstRow + 1) (column := column) (by simpa using same)
      have sum : rowSum (a :: activations) = a + rowSum activations := rfl
      simp only [eachRow, dot, rest, accumulate, sum]
      simp only [dequantize, stepOf, Rat.intCast_add, Rat.intCast_mul, Rat.intCast_natCast]
      grind

theorem eachRow_congr {α β : Type} {f g : Nat → α → β} {row : Nat} {xs : List α}
    (same : ∀ r, row ≤ r → r < row + xs.length → f r = g r) : eachRow f row xs = eachRow g row xs := by
  induction xs generalizing row with
  | nil => rfl
  | cons x xs ih =>
    have here := same row (Nat.le_refl _) (by simp)
    have there := ih (row := row + 1) (fun r low high => same r (by omega) (by simp only [List.length_cons]; omega))
    simp only [eachRow, here, there]

/-- A dot product of the rows from `start` on: the first `length` of them, then the others. -/
theorem dot_eachRow_split {activations column : List Int} (f : Nat → Int → Rat) (start length : Nat)
    (same : activations.length = column.length) :
    dot (activations.drop start) (eachRow f start (column.drop start))
      = dot ((activations.drop start).take length) (eachRow f start ((column.drop start).take length))
        + dot (activations.drop (start + length)) (eachRow f (start + length) (column.drop (start + length))) := by
  have parts : ∀ values : List Int, values.drop start
      = (values.drop start).take length ++ values.drop (start + length) := by
    intro values
    rw [← List.drop_drop, List.take_append_drop]
  have cut : eachRow f start (column.drop start) = eachRow f start ((column.drop start).take length)
      ++ eachRow f (start + length) (column.drop (start + length)) := by
    conv => lhs; rw [parts column, eachRow_append]
    by_cases full : start + length ≤ column.length
    · rw [List.length_take, List.length_drop, Nat.min_eq_left (by omega)]
    · -- Nothing is left to number.
      rw [List.drop_of_length_le (show column.length ≤ start + length by omega)]
      simp [eachRow]
  rw [cut]
  conv => lhs; rw [parts activations]
  apply dot_append
  rw [eachRow_length, List.length_take, List.length_take, List.length_drop, List.length_drop, same]

/-! ## A column of groups -/

/-- The end of a column cuts its last group just as `take` does. -/
theorem slice_groupRange (values : List Int) {k : Nat} (groupSize g : Nat) (hk : values.length = k) :
    slice values (groupRange k groupSize g).1 (groupRange k groupSize g).2
      = (values.drop (g * groupLength k groupSize)).take (groupLength k groupSize) := by
  simp only [slice, groupRange]
  rw [List.take_eq_take_iff, List.length_drop, hk]
  omega

/-- The groups from `first` on make the dot product of the rows from the first row of group `first` on. -/
theorem exactOutput_groupTerms {activations column : List Int} (groupSize narrowGain : Nat) {scales offsets : List Rat}
    (hk : 1 ≤ column.length) (same : activations.length = column.length)
    (hs : scales.length = groupCount column.length groupSize)
    (ho : offsets.length = groupCount column.length groupSize) (first count : Nat)
    (all : first + count = groupCount column.length groupSize) :
    exactOutput (groupTerms activations column narrowGain
        (tabulate (groupRange column.length groupSize) first count) (scales.drop first) (offsets.drop first))
      = dot (activations.drop (first * groupLength column.length groupSize))
        (eachRow (fun row q => dequantize q (parameterOf scales column.length groupSize row)
          (parameterOf offsets column.length groupSize row) row narrowGain)
          (first * groupLength column.length groupSize)
          (column.drop (first * groupLength column.length groupSize))) := by
  have positive := groupLength_pos groupSize hk
  have covers := (groupCount_bounds groupSize hk).2
  induction count generalizing first with
  | zero =>
    obtain rfl : first = groupCount column.length groupSize := by omega
    rw [List.drop_of_length_le (show activations.length ≤ _ by omega)]
    simp [tabulate, groupTerms, exactOutput, dot]
  | succ count ih =>
    have next := ih (first + 1) (by omega)
    rw [List.drop_eq_getElem_cons (show first < scales.length by omega),
      List.drop_eq_getElem_cons (show first < offsets.length by omega)]
    simp only [tabulate, groupTerms, exactOutput, next, slice_groupRange activations groupSize first same,
      slice_groupRange column groupSize first rfl]
    -- The rows of group `first` share its parameters.
    have own : ∀ (parameters : List Rat) (h : first < parameters.length) (r : Nat),
        first * groupLength column.length groupSize ≤ r →
        r < first * groupLength column.length groupSize + groupLength column.length groupSize →
        parameterOf parameters column.length groupSize r = parameters[first] := by
      intro parameters h r low high
      have group : r / groupLength column.length groupSize = first := by
        rw [Nat.div_eq_iff positive]
        omega
      rw [parameterOf, group, getD_of_lt h]
    -- These rows, then those of the other groups.
    have split := dot_eachRow_split (fun row q => dequantize q (parameterOf scales column.length groupSize row)
      (parameterOf offsets column.length groupSize row) row narrowGain)
      (first * groupLength column.length groupSize) (groupLength column.length groupSize) same
    have constant : eachRow (fun row q => dequantize q (parameterOf scales column.length groupSize row)
        (parameterOf offsets column.length groupSize row) row narrowGain)
        (first * groupLength column.length groupSize)
        ((column.drop (first * groupLength column.length groupSize)).take (groupLength column.length groupSize))
      = eachRow (fun row q => dequantize q scales[first] offsets[first] row narrowGain)
        (first * groupLength column.length groupSize)
        ((column.drop (first * groupLength column.length groupSize)).take (groupLength column.length groupSize)) := by
      apply eachRow_congr
      intro r low high
      have short := List.length_take_le (groupLength column.length groupSize)
        (column.drop (first * groupLength column.length groupSize))
      rw [own scales (by omega) r low (by omega), own offsets (by omega) r low (by omega)]
    rw [split, constant, dot_dequantize_group _ _ _ _ (by simp only [List.length_take, List.length_drop, same]),
      ← Nat.succ_mul]
    rfl

/-- **What the format computes is the dot product with the dequantized column**: for any group size, either gain or any
other, with a scale and an offset a group, `Σ a·ŵ = Σ_g scale·acc + offset·row_sum`. -/
theorem dot_dequantize_eq {activations column : List Int} (groupSize narrowGain : Nat) {scales offsets : List Rat}
    (hk : 1 ≤ column.length) (same : activations.length = column.length)
    (hs : scales.length = groupCount column.length groupSize)
    (ho : offsets.length = groupCount column.length groupSize) :
    dot activations (dequantizeColumn column groupSize narrowGain scales offsets)
      = exactOutput (matmulEntry activations column groupSize narrowGain scales offsets) := by
  have all := exactOutput_groupTerms groupSize narrowGain hk same hs ho 0 _ (Nat.zero_add _)
  simp only [Nat.zero_mul, List.drop_zero] at all
  rw [matmulEntry, groupRows, all, dequantizeColumn]

/-! ## What quantization does to a dot product -/

/-- Weights that are each at most `e[k]` away from others: the dot products are at most `Σ |a[k]|·e[k]` apart. -/
theorem dot_error_le (activations : List Int) {weights restored errors : List Rat}
    (hr : weights.length = restored.length) (he : weights.length = errors.length)
    (close : ∀ k (h : k < weights.length), abs (weights[k] - restored[k]) ≤ errors[k]) :
    abs (dot activations weights - dot activations restored) ≤ dotMagnitude activations errors := by
  induction activations generalizing weights restored errors with
  | nil =>
    simp only [dot, dotMagnitude]
    decide +kernel
  | cons a activations ih =>
    match weights, restored, errors, hr, he with
    | [], [], [], _, _ =>
      simp only [dot, dotMagnitude]
      decide +kernel
    | w :: weights, r :: restored, e :: errors, hr, he =>
      have here := close 0 (by simp)
      have others := ih (weights := weights) (restored := restored) (errors := errors)
        (by simpa using hr) (by simpa using he) (fun k h => by simpa using close (k + 1) (by simpa using h))
      have product := mul_le_mul_left here (abs_nonneg a)
      have triangle := abs_add_le (a * (w - r)) (dot activations weights - dot activations restored)
      simp only [List.getElem_cons_zero] at product
      rw [abs_mul] at triangle
      have shuffle : a * (w - r) + (dot activations weights - dot activations restored)
          = a * w + dot activations weights - (a * r + dot activations restored) := by grind
      rw [shuffle] at triangle
      simp only [dot, dotMagnitude]
      grind

/-- **Effect of quantization on a dot product**: for any real weights, quantized with any positive scales, the format's
exact output is within `Σ |a[k]|·errorBound(w[k])` of `Σ a[k]·w[k]`. -/
theorem dot_quantize_error_le {activations : List Int} {weights : List Rat} (groupSize : Nat) {narrowGain : Nat}
    {scales offsets : List Rat} (hg : IsNarrowGain narrowGain) (hk : 1 ≤ weights.length)
    (same : activations.length = weights.length) (hs : scales.length = groupCount weights.length groupSize)
    (ho : offsets.length = groupCount weights.length groupSize) (positive : ∀ scale ∈ scales, 0 < scale) :
    abs (dot activations weights - exactOutput (matmulEntry activations
        (quantizeColumn weights groupSize narrowGain scales offsets) groupSize narrowGain scales offsets))
      ≤ dotMagnitude activations (columnErrorBounds weights groupSize narrowGain scales offsets) := by
  have length : (quantizeColumn weights groupSize narrowGain scales offsets).length = weights.length :=
    eachRow_length ..
  rw [← dot_dequantize_eq groupSize narrowGain (by omega) (by omega) (by rw [length, hs]) (by rw [length, ho])]
  refine dot_error_le activations ?_ ?_ ?_
  · simp only [dequantizeColumn, quantizeColumn, eachRow_length]
  · simp only [columnErrorBounds, eachRow_length]
  · intro k h
    have group : k / groupLength weights.length groupSize < scales.length := by
      have covers := (groupCount_bounds groupSize hk).2
      rw [hs, Nat.div_lt_iff_lt_mul (groupLength_pos groupSize hk)]
      omega
    have scale : 0 < parameterOf scales weights.length groupSize k := by
      rw [parameterOf, getD_of_lt group]
      exact positive _ (List.getElem_mem _)
    have bound := quantize_error_le weights[k] (parameterOf offsets weights.length groupSize k) k scale hg
    simp only [dequantizeColumn, columnErrorBounds, length]
    rw [eachRow_getElem _ _ _ _ (by omega), eachRow_getElem _ _ _ _ h]
    simp only [quantizeColumn]
    rw [eachRow_getElem _ _ _ _ h]
    simpa only [Nat.zero_add] using bound

end Q35
