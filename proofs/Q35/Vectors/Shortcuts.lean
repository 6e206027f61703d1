module

public import Q35.Vectors.Cases

@[expose] public noncomputable section

/-!
# Shorter ways to what two kinds of vectors say

Written by hand, unlike its neighbours. A vector of `accumulate` may repeat its patterns over 2 097 151 rows: too long
a list for the kernel to walk. Both patterns and the lanes come round again after some rows, and a sum over many such
periods is a multiple of the sum over one: `Accumulate.holds_eq_holdsByPeriods`. The clip search finds the error of its
best range so far anew for each of 48 ranges; it may as well be kept: `CalibrateClip.holds_eq_holdsByErrors`.
-/

namespace Q35.Vectors

theorem tabulate_append {α : Type} (f : Nat → α) (m n : Nat) :
    ∀ first, tabulate f first (m + n) = tabulate f first m ++ tabulate f (first + m) n := by
  induction m with
  | zero => simp [tabulate]
  | succ m ih =>
    intro first
    have next : first + (m + 1) = first + 1 + m := by omega
    rw [Nat.succ_add, tabulate, ih, tabulate, next, List.cons_append]

theorem tabulate_length {α : Type} (f : Nat → α) (n : Nat) : ∀ first, (tabulate f first n).length = n := by
  induction n with
  | zero => simp [tabulate]
  | succ n ih => simp [tabulate, ih]

/-- A whole number of periods does not change what is tabulated. -/
theorem tabulate_periodic {α : Type} (f : Nat → α) (period : Nat) (hf : ∀ i, f (i + period) = f i) (n : Nat) :
    ∀ first, tabulate f (first + period) n = tabulate f first n := by
  induction n with
  | zero => simp [tabulate]
  | succ n ih =>
    intro first
    have next : first + period + 1 = first + 1 + period := by omega
    rw [tabulate, tabulate, hf, next, ih]

/-- The first rows of a pattern are one period and then the rest. -/
theorem repeated_add (pattern : List Int) (m n : Nat) :
    repeated pattern (pattern.length * m + n) = repeated pattern (pattern.length * m) ++ repeated pattern n := by
  have comesRound : ∀ i, pattern.getD ((i + pattern.length * m) % pattern.length) 0
      = pattern.getD (i % pattern.length) 0 := by simp
  simp only [repeated]
  rw [tabulate_append]
  have shifted := tabulate_periodic (fun i => pattern.getD (i % pattern.length) 0) _ comesRound n 0
  rw [shifted]

theorem repeated_length (pattern : List Int) (n : Nat) : (repeated pattern n).length = n := tabulate_length _ _ _

theorem accumulate_append (narrowGain : Nat) (a' q' : List Int) : ∀ (a q : List Int) (first : Nat),
    a.length = q.length →
    accumulate narrowGain first (a ++ a') (q ++ q')
      = accumulate narrowGain first a q + accumulate narrowGain (first + a.length) a' q'
  | [], [], first, _ => by simp [accumulate]
  | x :: a, y :: q, first, same => by
    have next : first + (a.length + 1) = first + 1 + a.length := by omega
    have rest := accumulate_append narrowGain a' q' a q (first + 1) (by simpa using same)
    simp only [List.cons_append, accumulate, List.length_cons, next, rest]
    omega

/-- An even number of rows changes no row's lane. -/
theorem accumulate_first_add (narrowGain m : Nat) : ∀ (a q : List Int) (first : Nat),
    accumulate narrowGain (first + 2 * m) a q = accumulate narrowGain first a q
  | [], _, _ => by simp [accumulate]
  | _ :: _, [], _ => by simp [accumulate]
  | x :: a, y :: q, first => by
    have next : first + 2 * m + 1 = first + 1 + 2 * m := by omega
    have lane : laneGain (first + 2 * m) narrowGain = laneGain first narrowGain := by simp [laneGain]
    rw [accumulate, accumulate, next, lane, accumulate_first_add narrowGain m a q (first + 1)]

/-- Rows after which both patterns and the lanes come round again. -/
def periodOf (a q : List Int) : Nat := 2 * a.length * q.length

theorem accumulate_repeated_periods (narrowGain first : Nat) (a q : List Int) (rest : Nat) : ∀ periods : Nat,
    accumulate narrowGain first (repeated a (periodOf a q * periods + rest))
        (repeated q (periodOf a q * periods + rest))
      = periods * accumulate narrowGain first (repeated a (periodOf a q)) (repeated q (periodOf a q))
        + accumulate narrowGain first (repeated a rest) (repeated q rest)
  | 0 => by simp
  | periods + 1 => by
    have ofA : periodOf a q = a.length * (2 * q.length) := by grind [periodOf]
    have ofQ : periodOf a q = q.length * (2 * a.length) := by grind [periodOf]
    have even : periodOf a q = 2 * (a.length * q.length) := by grind [periodOf]
    have rows : periodOf a q * (periods + 1) + rest = periodOf a q + (periodOf a q * periods + rest) := by grind
    have splitA := repeated_add a (2 * q.length) (periodOf a q * periods + rest)
    have splitQ := repeated_add q (2 * a.length) (periodOf a q * periods + rest)
    rw [← ofA] at splitA
    rw [← ofQ] at splitQ
    have shifted := accumulate_first_add narrowGain (a.length * q.length)
      (repeated a (periodOf a q * periods + rest)) (repeated q (periodOf a q * periods + rest)) first
    rw [← even] at shifted
    rw [rows, splitA, splitQ, accumulate_append _ _ _ _ _ _ (by simp [repeated_length]), repeated_length, shifted,
      accumulate_repeated_periods narrowGain first a q rest periods]
    grind

theorem rowSum_append (a b : List Int) : Q35.rowSum (a ++ b) = Q35.rowSum a + Q35.rowSum b := by
  induction a with
  | nil => simp [Q35.rowSum]
  | cons x a ih => simp only [Q35.rowSum, List.cons_append, List.foldr_cons] at ih ⊢; omega

theorem rowSum_repeated_periods (a : List Int) (rest : Nat) : ∀ periods : Nat,
    Q35.rowSum (repeated a (a.length * periods + rest))
      = periods * Q35.rowSum (repeated a a.length) + Q35.rowSum (repeated a rest)
  | 0 => by simp
  | periods + 1 => by
    have rows : a.length * (periods + 1) + rest = a.length * 1 + (a.length * periods + rest) := by grind
    rw [rows, repeated_add, rowSum_append, rowSum_repeated_periods a rest periods, Nat.mul_one]
    grind

/-- What `Accumulate.holds` says, with sums over one period of the patterns and over what is left of the rows. -/
def Accumulate.holdsByPeriods (c : Accumulate) : Bool :=
  let (a, q) := (c.activationPattern, c.columnPattern)
  let (period, rest) := (periodOf a q, c.rows % periodOf a q)
  (c.rows / period : Nat) * accumulate c.narrowGain c.firstRow (repeated a period) (repeated q period)
      + accumulate c.narrowGain c.firstRow (repeated a rest) (repeated q rest) == c.acc
    && (c.rows / a.length : Nat) * Q35.rowSum (repeated a a.length) + Q35.rowSum (repeated a (c.rows % a.length))
      == c.rowSum

/-- The two say the same, for any patterns and any number of rows. -/
theorem Accumulate.holds_eq_holdsByPeriods : Accumulate.holds = Accumulate.holdsByPeriods := by
  funext c
  have acc := accumulate_repeated_periods c.narrowGain c.firstRow c.activationPattern c.columnPattern
    (c.rows % periodOf c.activationPattern c.columnPattern) (c.rows / periodOf c.activationPattern c.columnPattern)
  have sum := rowSum_repeated_periods c.activationPattern (c.rows % c.activationPattern.length)
    (c.rows / c.activationPattern.length)
  rw [Nat.div_add_mod] at acc sum
  simp only [holds, holdsByPeriods, acc, sum]

/-- What `bestParameters` finds, with the error of the best so far kept beside it. -/
def bestByErrors (group : List Rat) (narrowGain : Nat) : Parameters → Rat → List Parameters → Parameters
  | best, _, [] => best
  | best, least, next :: rest =>
    let error := squaredError group next.1 next.2 narrowGain
    if error < least then bestByErrors group narrowGain next error rest
    else bestByErrors group narrowGain best least rest

theorem bestParameters_eq_bestByErrors (group : List Rat) (narrowGain : Nat) : ∀ (others : List Parameters)
    (best : Parameters), bestParameters group narrowGain best others
      = bestByErrors group narrowGain best (squaredError group best.1 best.2 narrowGain) others
  | [], _ => rfl
  | next :: rest, best => by
    simp only [bestParameters, bestByErrors, bestParameters_eq_bestByErrors group narrowGain rest]
    split <;> rfl

/-- What `CalibrateClip.holds` says, each candidate's error found once. -/
def CalibrateClip.holdsByErrors (c : CalibrateClip) : Bool :=
  match c.group with
  | [] => none == c.parameters
  | first :: rest =>
    let candidate := clipCandidate (minimum first rest) (maximum first rest)
    let error := squaredError (first :: rest) (candidate 0).1 (candidate 0).2 c.narrowGain
    some (bestByErrors (first :: rest) c.narrowGain (candidate 0) error (tabulate candidate 1 47)) == c.parameters

/-- The two say the same, for any group and gain. -/
theorem CalibrateClip.holds_eq_holdsByErrors : CalibrateClip.holds = CalibrateClip.holdsByErrors := by
  funext ⟨group, narrowGain, parameters⟩
  cases group with
  | nil => rfl
  | cons first rest => simp only [holds, holdsByErrors, calibrateClip, bestParameters_eq_bestByErrors]

end Q35.Vectors
