module

public import Q35.Spec.Float32
public import Q35.Thm.Rounding

@[expose] public noncomputable section

/-!
# Powers of two, and the exponent at or below a fraction
-/

namespace Q35

theorem pow2_pos (e : Int) : 0 < pow2 e := Rat.zpow_pos (by decide)

theorem pow2_add (a b : Int) : pow2 (a + b) = pow2 a * pow2 b := Rat.zpow_add (by decide) a b

theorem pow2_natCast (n : Nat) : pow2 n = 2 ^ n := Rat.zpow_natCast 2 n

theorem pow2_zero : pow2 0 = 1 := by decide +kernel

theorem pow2_mul_neg (e : Int) : pow2 e * pow2 (-e) = 1 := by
  rw [← pow2_add]
  have : e + -e = 0 := by omega
  rw [this, pow2_zero]

theorem pow2_le {a b : Int} (h : a ≤ b) : pow2 a ≤ pow2 b := by
  obtain ⟨n, rfl⟩ : ∃ n : Nat, b = a + n := ⟨(b - a).toNat, by omega⟩
  rw [pow2_add, pow2_natCast]
  have one : (1 : Rat) ≤ 2 ^ n := by
    have : 1 ≤ 2 ^ n := Nat.one_le_two_pow
    exact_mod_cast this
  have := mul_le_mul_left one (Rat.le_of_lt (pow2_pos a))
  grind

theorem pow2_lt {a b : Int} (h : a < b) : pow2 a < pow2 b := by
  have := pow2_le (show a + 1 ≤ b by omega)
  rw [pow2_add] at this
  have two : pow2 1 = 2 := by decide +kernel
  have pos := pow2_pos a
  rw [two] at this
  grind

theorem le_of_mul_pow2 {a b : Rat} (e : Int) (h : a * pow2 e ≤ b * pow2 e) : a ≤ b :=
  Rat.le_of_mul_le_mul_right h (pow2_pos e)

/-- A natural number lies between two neighbouring powers of two. -/
theorem log2_bounds {n : Nat} (hn : n ≠ 0) : pow2 n.log2 ≤ n ∧ (n : Rat) < pow2 (n.log2 + 1) := by
  have low := Nat.log2_self_le hn
  have high := @Nat.lt_log2_self n
  constructor
  · rw [pow2_natCast]
    exact_mod_cast low
  · have : ((n.log2 : Int) + 1) = ((n.log2 + 1 : Nat) : Int) := by omega
    rw [this, pow2_natCast]
    exact_mod_cast high

theorem pow2_of_nonneg {e : Int} (h : 0 ≤ e) : pow2 e = ((2 ^ e.toNat : Nat) : Rat) := by
  obtain ⟨k, rfl⟩ : ∃ k : Nat, e = k := ⟨e.toNat, by omega⟩
  rw [pow2_natCast]
  exact_mod_cast rfl

/-- A product's bound as one of the other factor. -/
theorem lt_mul_pow2_iff (a b : Rat) (e : Int) : a < b * pow2 e ↔ a * pow2 (-e) < b := by
  have inv := pow2_mul_neg e
  constructor
  · intro h
    have := Rat.mul_lt_mul_of_pos_right h (pow2_pos (-e))
    have : b * pow2 e * pow2 (-e) = b := by rw [Rat.mul_assoc, inv]; grind
    grind
  · intro h
    have := Rat.mul_lt_mul_of_pos_right h (pow2_pos e)
    have : a * pow2 (-e) * pow2 e = a := by rw [Rat.mul_assoc, Rat.mul_comm (pow2 (-e)), inv]; grind
    grind

/-- `binade n d` is the exponent of the power of two at or below `n/d`. -/
theorem binade_spec {n d : Nat} (hn : n ≠ 0) (hd : d ≠ 0) :
    pow2 (binade n d) * d ≤ n ∧ (n : Rat) < pow2 (binade n d + 1) * d := by
  obtain ⟨nLow, nHigh⟩ := log2_bounds hn
  obtain ⟨dLow, dHigh⟩ := log2_bounds hd
  have dPos : (0 : Rat) < d := by exact_mod_cast Nat.pos_of_ne_zero hd
  generalize he : ((n.log2 : Int) - d.log2) = e
  have shape : binade n d = if (n : Rat) < d * pow2 e then e - 1 else e := by
    have same : ((bitLength n : Int) - bitLength d) = e := by
      simp only [bitLength, hn, hd, ↓reduceIte]
      omega
    simp only [binade, same]
    by_cases sign : 0 ≤ e
    · have : ((n : Rat) < d * pow2 e) ↔ n < d * 2 ^ e.toNat := by
        rw [pow2_of_nonneg sign]
        exact_mod_cast Iff.rfl
      simp only [sign, this, ↓reduceIte, decide_eq_true_eq]
    · have : ((n : Rat) < d * pow2 e) ↔ n * 2 ^ (-e).toNat < d := by
        rw [lt_mul_pow2_iff, pow2_of_nonneg (show 0 ≤ -e by omega)]
        exact_mod_cast Iff.rfl
      simp only [sign, this, ↓reduceIte, decide_eq_true_eq]
  have down : pow2 (e - 1) * d ≤ n := by
    have h1 := mul_le_mul_left (Rat.le_of_lt dHigh) (Rat.le_of_lt (pow2_pos (e - 1)))
    rw [← pow2_add] at h1
    have : e - 1 + (d.log2 + 1) = (n.log2 : Int) := by omega
    rw [this] at h1
    exact Rat.le_trans h1 nLow
  have up : (n : Rat) < pow2 (e + 1) * d := by
    have h1 := mul_le_mul_left dLow (Rat.le_of_lt (pow2_pos (e + 1)))
    rw [← pow2_add] at h1
    have : e + 1 + d.log2 = (n.log2 : Int) + 1 := by omega
    rw [this] at h1
    grind
  rw [shape]
  split
  · have : e - 1 + 1 = e := by omega
    rw [this]
    grind
  · grind

end Q35
