module

public import Q35.Spec.Quantizer
public import Q35.Thm.Rounding

@[expose] public noncomputable section

/-!
# Quantization on integers, and what it is on rationals

`quantize` brings its arguments to their least common denominator; `quantize_eq_onGrid` says that any common
denominator would do, and `quantize_eq_rne` that the outcome is the formula of the format. The theorems whose names
begin with `quantizeOnGrid` are about integers over any one denominator.
-/

namespace Q35

/-! ## On integers over one denominator -/

/-- Quantization on a grid lands within its limits. -/
theorem quantizeOnGrid_in_range (weight step offset : Int) {low high : Int} (h : low ≤ high) :
    low ≤ quantizeOnGrid weight step offset low high ∧ quantizeOnGrid weight step offset low high ≤ high :=
  clamp_in_range _ h

/-- A larger weight never gets a smaller integer. -/
theorem quantizeOnGrid_mono {weight weight' step : Int} (offset low high : Int) (hstep : 1 ≤ step)
    (h : weight ≤ weight') :
    quantizeOnGrid weight step offset low high ≤ quantizeOnGrid weight' step offset low high := by
  have order : (weight - offset) * step ≤ (weight' - offset) * step :=
    Int.mul_le_mul_of_nonneg_right (by omega) (by omega)
  exact clamp_mono _ _ (roundHalfEven_mono _ _ _ _ (by omega) (by omega) order)

/-- The value of an integer within the limits is quantized to that integer. -/
theorem quantizeOnGrid_inverts {q step low high : Int} (offset : Int) (hstep : 1 ≤ step) (hl : low ≤ q)
    (hh : q ≤ high) : quantizeOnGrid (step * q + offset) step offset low high = q := by
  have : step * q + offset - offset = q * step := by grind
  rw [quantizeOnGrid, this, roundHalfEven_mul q step (by omega), clamp_of_in_range hl hh]

/-- A weight whose fraction rounds below, into or above the limits: the three cases of quantization on a grid. -/
theorem quantizeOnGrid_cases (weight offset : Int) {step low high : Int} (hstep : 1 ≤ step) (h : low ≤ high) :
    let q := quantizeOnGrid weight step offset low high
    let error := weight - (step * q + offset)
    (q = low ∧ 2 * error ≤ step) ∨ (q = high ∧ -step ≤ 2 * error) ∨ (-step ≤ 2 * error ∧ 2 * error ≤ step) := by
  have bound := roundHalfEven_error_le (weight - offset) step (by omega)
  simp only [quantizeOnGrid, clamp]
  generalize roundHalfEven (weight - offset) step = r at bound
  by_cases below : r < low
  · have := Int.mul_le_mul_of_nonneg_left (show r ≤ low by omega) (show 0 ≤ step by omega)
    have value : max low (min r high) = low := by omega
    rw [value]
    omega
  · by_cases above : high < r
    · have := Int.mul_le_mul_of_nonneg_left (show high ≤ r by omega) (show 0 ≤ step by omega)
      have value : max low (min r high) = high := by omega
      rw [value]
      omega
    · have value : max low (min r high) = r := by omega
      rw [value]
      omega

/-- No integer within the limits has a value nearer to the weight than the one that quantization chooses. -/
theorem quantizeOnGrid_nearest (weight offset : Int) {step low high other : Int} (hstep : 1 ≤ step)
    (hl : low ≤ other) (hh : other ≤ high) :
    (weight - (step * quantizeOnGrid weight step offset low high + offset)).natAbs
      ≤ (weight - (step * other + offset)).natAbs := by
  have cases := quantizeOnGrid_cases weight offset hstep (Int.le_trans hl hh)
  have range := quantizeOnGrid_in_range weight step offset (Int.le_trans hl hh)
  simp only at cases
  generalize quantizeOnGrid weight step offset low high = q at cases range
  -- The values of different integers are at least a step apart.
  rcases Int.lt_trichotomy other q with order | order | order
  · have := Int.mul_le_mul_of_nonneg_left (show other + 1 ≤ q by omega) (show 0 ≤ step by omega)
    grind
  · grind
  · have := Int.mul_le_mul_of_nonneg_left (show q + 1 ≤ other by omega) (show 0 ≤ step by omega)
    grind

/-- Twice the error of any weight is at most `doubledErrorBoundOnGrid`. -/
theorem quantizeOnGrid_error_le (weight offset : Int) {step low high : Int} (hstep : 1 ≤ step) (h : low ≤ high) :
    2 * ((weight - (step * quantizeOnGrid weight step offset low high + offset)).natAbs : Int)
      ≤ doubledErrorBoundOnGrid weight step offset low high := by
  have cases := quantizeOnGrid_cases weight offset hstep h
  simp only at cases
  rw [doubledErrorBoundOnGrid]
  rcases cases with ⟨at_low, _⟩ | ⟨at_high, _⟩ | _
  · rw [at_low] at *
    omega
  · rw [at_high] at *
    omega
  · omega

/-! ## From rationals to integers -/

theorem laneLow_le_laneHigh (row : Nat) : laneLow row ≤ laneHigh row := by grind [laneLow, laneHigh]

theorem laneGain_pos (row : Nat) {narrowGain : Nat} (hg : IsNarrowGain narrowGain) : 0 < laneGain row narrowGain := by
  grind [laneGain, IsNarrowGain]

/-- The step between the values of neighbouring integers is positive. -/
theorem stepOf_pos {scale : Rat} (row : Nat) {narrowGain : Nat} (hs : 0 < scale) (hg : IsNarrowGain narrowGain) :
    0 < stepOf scale row narrowGain := by
  have : (0 : Rat) < (laneGain row narrowGain : Rat) := by exact_mod_cast laneGain_pos row hg
  exact Rat.mul_pos hs this

/-- A rational is its numerator over any multiple of its denominator. -/
theorem numeratorOver_cast {common : Nat} {x : Rat} (h : x.den ∣ common) :
    (numeratorOver common x : Rat) = x * (common : Rat) := by
  obtain ⟨factor, rfl⟩ := h
  rw [numeratorOver, Nat.mul_div_cancel_left _ x.den_pos]
  have := mul_den_eq_num x
  push_cast
  grind

theorem commonDenominator_pos (x y z : Rat) : 0 < commonDenominator x y z :=
  Nat.lcm_pos (Nat.lcm_pos x.den_pos y.den_pos) z.den_pos

theorem den_dvd_commonDenominator (x y z : Rat) :
    x.den ∣ commonDenominator x y z ∧ y.den ∣ commonDenominator x y z ∧ z.den ∣ commonDenominator x y z :=
  ⟨Nat.dvd_trans (Nat.dvd_lcm_left _ _) (Nat.dvd_lcm_left _ _),
    Nat.dvd_trans (Nat.dvd_lcm_right _ _) (Nat.dvd_lcm_left _ _), Nat.dvd_lcm_right _ _⟩

/-- Quantization of rationals is `clamp(rne((weight - offset) / (scale * gain)), low, high)`, as the format says. -/
theorem quantize_eq_rne (weight : Rat) {scale : Rat} (offset : Rat) (row : Nat) {narrowGain : Nat} (hs : 0 < scale)
    (hg : IsNarrowGain narrowGain) :
    quantize weight scale offset row narrowGain
      = clamp (rne ((weight - offset) / stepOf scale row narrowGain)) (laneLow row) (laneHigh row) := by
  have hstep := stepOf_pos row hs hg
  simp only [quantize, quantizeOnGrid]
  generalize stepOf scale row narrowGain = step at hstep
  have ⟨dvdW, dvdS, dvdB⟩ := den_dvd_commonDenominator weight step offset
  have hcommon : (0 : Rat) < (commonDenominator weight step offset : Rat) := by
    exact_mod_cast commonDenominator_pos weight step offset
  generalize commonDenominator weight step offset = common at *
  have hW := numeratorOver_cast dvdW
  have hS := numeratorOver_cast dvdS
  have hB := numeratorOver_cast dvdB
  have positive : 0 < numeratorOver common step := by
    have := Rat.mul_pos hstep hcommon
    rw [← hS] at this
    exact_mod_cast this
  rw [← rne_div _ _ positive]
  congr 2
  push_cast
  rw [hW, hS, hB]
  grind

/-- Any common denominator gives the same integer: quantization of `W/D`, `S/D` and `B/D` is quantization on a grid. -/
theorem quantize_eq_onGrid (W S B D : Int) (row : Nat) {narrowGain : Nat} (hS : 0 < S) (hD : 0 < D)
    (hg : IsNarrowGain narrowGain) :
    quantize ((W : Rat) / D) ((S : Rat) / D) ((B : Rat) / D) row narrowGain
      = quantizeOnGrid W (S * laneGain row narrowGain) B (laneLow row) (laneHigh row) := by
  have hS' : (0 : Rat) < (S : Rat) := by exact_mod_cast hS
  have hD' : (0 : Rat) < (D : Rat) := by exact_mod_cast hD
  have hgain := laneGain_pos row hg
  have hgain' : (0 : Rat) < (laneGain row narrowGain : Rat) := by exact_mod_cast hgain
  rw [quantize_eq_rne _ _ _ ((Rat.lt_div_iff hD').mpr (by grind)) hg, quantizeOnGrid, stepOf,
    ← rne_div _ _ (Int.mul_pos hS (by exact_mod_cast hgain))]
  congr 2
  push_cast
  grind

theorem intCast_max (a b : Int) : ((max a b : Int) : Rat) = max (a : Rat) (b : Rat) := by
  have := @intCast_le a b
  grind

theorem max_mul {a b c : Rat} (hc : 0 ≤ c) : max a b * c = max (a * c) (b * c) := by
  rcases Rat.le_total (a := a) (b := b) with h | h
  · have := mul_le_mul_right h hc
    grind
  · have := mul_le_mul_right h hc
    grind

/-- The rationals' error bound is the integers' one, halved and over their denominator. -/
theorem doubledErrorBoundOnGrid_eq (W S B D : Int) (row narrowGain : Nat) (hD : 0 < D) :
    errorBound ((W : Rat) / D) ((S : Rat) / D) ((B : Rat) / D) row narrowGain
      = (doubledErrorBoundOnGrid W (S * laneGain row narrowGain) B (laneLow row) (laneHigh row) : Rat) / (2 * D) := by
  have hD' : (0 : Rat) < (D : Rat) := by exact_mod_cast hD
  have scaled : ∀ x y : Rat, x * (2 * D) = y → x = y / (2 * D) := by grind
  apply scaled
  rw [errorBound, distanceToLane, doubledErrorBoundOnGrid, dequantize, dequantize, stepOf]
  rw [max_mul (by grind), max_mul (by grind), max_mul (by grind)]
  simp only [intCast_max, Rat.intCast_mul, Rat.intCast_add, Rat.intCast_sub]
  have halved : ∀ x : Rat, x / D * (2 * D) = 2 * x := by grind
  have doubled (x : Rat) : ((2 : Int) : Rat) * x = x * 2 := by push_cast; grind
  rw [doubled, max_mul (by grind), max_mul (by grind)]
  congr 1
  · push_cast; grind
  · congr 1
    · congr 1 <;> push_cast <;> grind
    · push_cast; grind

end Q35
