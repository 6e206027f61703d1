module

public import Q35.Thm.CalibrationRounded
public import Q35.Thm.Lanes

@[expose] public noncomputable section

/-!
# The clip search returns the best of its 48 candidates

The first of them is the range of `calibrateMinMax`, so the search is never worse than that.
-/

namespace Q35

/-- The search returns the first of its candidates with the least squared error: those before it have a larger one,
those after it none that is smaller. -/
theorem bestParameters_first (group : List Rat) (narrowGain : Nat) (best : Parameters) (candidates : List Parameters) :
    let found := bestParameters group narrowGain best candidates
    let error := fun parameters : Parameters => squaredError group parameters.1 parameters.2 narrowGain
    ∃ before after, best :: candidates = before ++ found :: after ∧ (∀ other ∈ before, error found < error other)
      ∧ ∀ other ∈ after, error found ≤ error other := by
  intro found error
  induction candidates generalizing best with
  | nil => exact ⟨[], [], rfl, by simp, by simp⟩
  | cons next rest ih =>
    by_cases better : error next < error best
    · have found_eq : found = bestParameters group narrowGain next rest := by
        simp only [found, bestParameters]; exact congrArg (bestParameters group narrowGain · rest) (if_pos better)
      obtain ⟨before, after, split, less, least⟩ := ih next
      rw [← found_eq] at split less least
      refine ⟨best :: before, after, by rw [split]; rfl, ?_, least⟩
      have : next ∈ before ++ found :: after := by rw [← split]; simp
      simp only [List.mem_append, List.mem_cons] at *
      grind
    · have found_eq : found = bestParameters group narrowGain best rest := by
        simp only [found, bestParameters]; exact congrArg (bestParameters group narrowGain · rest) (if_neg better)
      obtain ⟨before, after, split, less, least⟩ := ih best
      rw [← found_eq] at split less least
      cases before with
      | nil =>
        simp only [List.nil_append, List.cons.injEq] at split
        refine ⟨[], next :: after, ?_, by simp, ?_⟩ <;> grind
      | cons first before =>
        simp only [List.cons_append, List.cons.injEq] at split
        refine ⟨best :: next :: before, after, by rw [split.2]; rfl, ?_, least⟩
        simp only [List.mem_cons] at less ⊢
        grind

/-- `calibrateClip` returns one of its 48 candidates, the first one with the least squared error. -/
theorem calibrateClip_is_candidate (narrowGain : Nat) (first : Rat) (rest : List Rat) :
    let candidate := clipCandidate (minimum first rest) (maximum first rest)
    let error := fun i => squaredError (first :: rest) (candidate i).1 (candidate i).2 narrowGain
    ∃ j, j < 48 ∧ calibrateClip narrowGain (first :: rest) = some (candidate j)
      ∧ (∀ i, i < 48 → error j ≤ error i) ∧ ∀ i, i < j → error j < error i := by
  intro candidate error
  obtain ⟨before, after, split, less, least⟩ :=
    bestParameters_first (first :: rest) narrowGain (candidate 0) (tabulate candidate 1 47)
  have found_eq : calibrateClip narrowGain (first :: rest)
      = some (bestParameters (first :: rest) narrowGain (candidate 0) (tabulate candidate 1 47)) := rfl
  generalize bestParameters (first :: rest) narrowGain (candidate 0) (tabulate candidate 1 47) = found at *
  -- The candidates by index.
  have at_index (i : Nat) : (before ++ found :: after)[i]? = if i < 48 then some (candidate i) else none := by
    rw [← split, show candidate 0 :: tabulate candidate 1 47 = tabulate candidate 0 48 from rfl, tabulate_getElem?,
      Nat.zero_add]
  have here := at_index before.length
  simp only [Nat.le_refl, List.getElem?_append_right, Nat.sub_self, List.getElem?_cons_zero] at here
  have inside : before.length < 48 := by grind
  have found_is : found = candidate before.length := by grind
  have earlier (i : Nat) (hi : i < before.length) : error before.length < error i := by
    have there := at_index i
    rw [List.getElem?_append_left hi, if_pos (by omega)] at there
    have := less _ (List.mem_of_getElem? there)
    rw [found_is] at this
    exact this
  have later (i : Nat) (hi : before.length < i) (bound : i < 48) : error before.length ≤ error i := by
    have there := at_index i
    rw [List.getElem?_append_right (by omega), if_pos bound,
      show i - before.length = i - before.length - 1 + 1 by omega, List.getElem?_cons_succ] at there
    have := least _ (List.mem_of_getElem? there)
    rw [found_is] at this
    exact this
  refine ⟨before.length, inside, by rw [found_eq, found_is], ?_, earlier⟩
  intro i hi
  rcases Nat.lt_trichotomy i before.length with order | order | order
  · exact Rat.le_of_lt (earlier i order)
  · rw [order]; exact Rat.le_refl
  · exact later i order hi

/-- The clip search never has a larger squared error than `calibrateMinMax`, whose range is its first candidate. -/
theorem calibrateClip_error_le_minmax {narrowGain : Nat} {group : List Rat} {clip minmax : Parameters}
    (hclip : calibrateClip narrowGain group = some clip) (hminmax : calibrateMinMax group = some minmax) :
    squaredError group clip.1 clip.2 narrowGain ≤ squaredError group minmax.1 minmax.2 narrowGain := by
  cases group with
  | nil => simp [calibrateClip] at hclip
  | cons first rest =>
    obtain ⟨j, _, found, least, _⟩ := calibrateClip_is_candidate narrowGain first rest
    have zero : clipCandidate (minimum first rest) (maximum first rest) 0 = minmax := by
      have none_cut (x : Rat) : x * ((0 : Nat) : Rat) / 128 = 0 := by grind
      rw [calibrateMinMax, Option.some.injEq] at hminmax
      rw [clipCandidate, none_cut, ← hminmax]
      congr 1 <;> grind
    have := least 0 (by omega)
    rw [hclip, Option.some.injEq] at found
    simp only at this
    rw [zero, ← found] at this
    exact this

/-- Whatever the search finds, the scale is positive, and for finite weights both parameters are finite float32s. -/
theorem calibrateClip_scale_pos {narrowGain : Nat} {group : List Rat} {s' b' : Rat}
    (h : calibrateClip narrowGain group = some (s', b')) :
    0 < s' ∧ ((∀ w ∈ group, abs w ≤ 2 ^ 128 - 2 ^ 104) → IsFloat32 s' ∧ IsFloat32 b') := by
  cases group with
  | nil => simp [calibrateClip] at h
  | cons first rest =>
    obtain ⟨j, hj, found, _⟩ := calibrateClip_is_candidate narrowGain first rest
    rw [h, Option.some.injEq] at found
    have order := le_maximum (minimum_mem first rest)
    -- Less than half of the range is cut off at each end, so its ends stay in order.
    have cut : 0 ≤ (maximum first rest - minimum first rest) * j / 128
        ∧ (maximum first rest - minimum first rest) * j / 128 ≤ (maximum first rest - minimum first rest) / 2 := by
      have few : (j : Rat) ≤ ((64 : Nat) : Rat) := by exact_mod_cast (by omega : j ≤ 64)
      have some_cut : (0 : Rat) ≤ (j : Rat) := by exact_mod_cast Nat.zero_le j
      have length : 0 ≤ maximum first rest - minimum first rest := by grind
      have := mul_le_mul_left few length
      have := mul_le_mul_left some_cut length
      push_cast at *
      grind
    rw [clipCandidate] at found
    generalize (maximum first rest - minimum first rest) * j / 128 = margin at *
    have ends : minimum first rest + margin ≤ maximum first rest - margin := by grind
    have scale_eq : s' = (parametersOfRange (minimum first rest + margin) (maximum first rest - margin)).1 := by
      rw [← found]
    have offset_eq : b' = (parametersOfRange (minimum first rest + margin) (maximum first rest - margin)).2 := by
      rw [← found]
    rw [scale_eq, offset_eq]
    refine ⟨parametersOfRange_scale_pos ends, fun finite => ?_⟩
    have low := finite _ (minimum_mem first rest)
    have high := finite _ (maximum_mem first rest)
    rw [abs_le_iff] at low high
    exact parametersOfRange_isFloat32 ends (Rat.le_trans low.1 (by grind)) (Rat.le_trans (by grind) high.2)

end Q35
