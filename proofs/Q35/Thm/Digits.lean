module

public import Q35.Spec.Codec

@[expose] public noncomputable section

/-!
# Numbers and their digits

`ofDigits` and `toDigits` undo each other, and where the base is a power of two, the bits of a number are the bits of
its digits.
-/

namespace Q35

/-! ## Lengths and bounds -/

/-- `toDigits` gives as many digits as it is asked for. -/
theorem toDigits_length (base count number : Nat) : (toDigits base count number).length = count := by
  induction count generalizing number with
  | zero => rfl
  | succ count ih => simp [toDigits, ih]

/-- Every digit is smaller than the base. -/
theorem toDigits_lt {base count number digit : Nat} (hbase : 0 < base) (h : digit ∈ toDigits base count number) :
    digit < base := by
  induction count generalizing number with
  | zero => simp [toDigits] at h
  | succ count ih =>
    rcases List.mem_cons.mp h with h | h
    · exact h ▸ Nat.mod_lt _ hbase
    · exact ih h

/-- A number of `n` digits is smaller than the `n`-th power of the base. -/
theorem ofDigits_lt {base : Nat} {digits : List Nat} (h : ∀ digit ∈ digits, digit < base) :
    ofDigits base digits < base ^ digits.length := by
  induction digits with
  | nil => simp [ofDigits]
  | cons digit rest ih =>
    have hdigit := h digit List.mem_cons_self
    have hrest := ih fun d hd => h d (List.mem_cons_of_mem _ hd)
    have hmul := Nat.mul_le_mul_right base hrest
    rw [List.length_cons, Nat.pow_succ, ofDigits]
    rw [Nat.succ_mul] at hmul
    omega

/-! ## Round trips -/

/-- The number of the lowest `count` digits is the number modulo that power of the base. -/
theorem ofDigits_toDigits (base count number : Nat) :
    ofDigits base (toDigits base count number) = number % base ^ count := by
  induction count generalizing number with
  | zero => simp [toDigits, ofDigits, Nat.mod_one]
  | succ count ih =>
    rw [toDigits, ofDigits, ih, Nat.pow_succ, Nat.mul_comm (base ^ count), Nat.mod_mul, Nat.mul_comm base, Nat.add_comm]

/-- A number that `count` digits can hold is restored from them. -/
theorem ofDigits_toDigits_of_lt {base count number : Nat} (h : number < base ^ count) :
    ofDigits base (toDigits base count number) = number := by
  rw [ofDigits_toDigits, Nat.mod_eq_of_lt h]

/-- The digits of a number are restored from it. -/
theorem toDigits_ofDigits {base : Nat} {digits : List Nat} (h : ∀ digit ∈ digits, digit < base) :
    toDigits base digits.length (ofDigits base digits) = digits := by
  induction digits with
  | nil => rfl
  | cons digit rest ih =>
    have hdigit := h digit List.mem_cons_self
    have hrest := ih fun d hd => h d (List.mem_cons_of_mem _ hd)
    rw [List.length_cons, toDigits, ofDigits, Nat.mul_comm, Nat.mul_add_mod, Nat.mod_eq_of_lt hdigit,
      Nat.mul_add_div (by omega), Nat.div_eq_of_lt hdigit, Nat.add_zero, hrest]

/-- The digits of two runs make one number. -/
theorem ofDigits_append (base : Nat) (low high : List Nat) :
    ofDigits base (low ++ high) = ofDigits base low + base ^ low.length * ofDigits base high := by
  induction low with
  | nil => simp [ofDigits]
  | cons digit rest ih =>
    simp only [List.cons_append, ofDigits, ih, List.length_cons, Nat.pow_succ]
    grind

/-- The lowest digits and the ones above them. -/
theorem toDigits_add (base low high number : Nat) :
    toDigits base (low + high) number = toDigits base low number ++ toDigits base high (number / base ^ low) := by
  induction low generalizing number with
  | zero => simp [toDigits]
  | succ low ih =>
    rw [Nat.succ_add, toDigits, toDigits, ih, List.cons_append, Nat.div_div_eq_div_mul, Nat.pow_succ,
      Nat.mul_comm base]

/-- The lowest digits do not depend on what lies above them. -/
theorem toDigits_add_pow_mul {base : Nat} (hbase : 0 < base) (count low high : Nat) :
    toDigits base count (low + base ^ count * high) = toDigits base count low := by
  induction count generalizing low with
  | zero => rfl
  | succ count ih =>
    rw [toDigits, toDigits, Nat.pow_succ, Nat.mul_comm _ base, Nat.mul_assoc, Nat.add_mul_mod_self_left,
      Nat.add_mul_div_left _ _ hbase, ih]

/-! ## Bits -/

/-- Bit `b` of a number in base `2 ^ width` is bit `b % width` of digit `b / width`. -/
theorem ofDigits_testBit {width : Nat} {digits : List Nat} (h : ∀ digit ∈ digits, digit < 2 ^ width) (b : Nat) :
    (ofDigits (2 ^ width) digits).testBit b = (digits[b / width]?.getD 0).testBit (b % width) := by
  induction digits generalizing b with
  | nil => simp [ofDigits]
  | cons digit rest ih =>
    have hdigit := h digit List.mem_cons_self
    have hrest := ih fun d hd => h d (List.mem_cons_of_mem _ hd)
    rw [ofDigits, Nat.mul_comm, Nat.testBit_two_pow_mul_add _ hdigit]
    split
    · next hlt => rw [Nat.div_eq_of_lt hlt, Nat.mod_eq_of_lt hlt]; rfl
    · next hge =>
      rcases Nat.eq_zero_or_pos width with hwidth | hwidth
      · -- Digits of no bits are all 0, and so are their bits.
        subst hwidth
        have hzero : digit = 0 := by simpa using hdigit
        simp only [hrest, Nat.div_zero, Nat.mod_zero, Nat.sub_zero]
        cases rest with
        | nil => simp [hzero]
        | cons d _ => simp [hzero, show d = 0 by simpa using h d]
      · obtain ⟨c, rfl⟩ : ∃ c, b = c + width := ⟨b - width, by omega⟩
        rw [Nat.add_sub_cancel, hrest, Nat.add_div_right _ hwidth, Nat.add_mod_right]
        simp

/-- Digit `i` of a number. -/
theorem toDigits_getElem? (base count number i : Nat) :
    (toDigits base count number)[i]? = if i < count then some (number / base ^ i % base) else none := by
  induction count generalizing number i with
  | zero => simp [toDigits]
  | succ count ih =>
    cases i with
    | zero => simp [toDigits]
    | succ i => simp [toDigits, ih, Nat.div_div_eq_div_mul, Nat.pow_succ, Nat.mul_comm]

/-- Bit `b` of the digits in base `2 ^ width`, laid end to end, is bit `b` of the number, if the digits reach it. -/
theorem toDigits_testBit {width count : Nat} (hwidth : 0 < width) (number b : Nat) :
    ((toDigits (2 ^ width) count number)[b / width]?.getD 0).testBit (b % width) =
      (decide (b < count * width) && number.testBit b) := by
  rw [toDigits_getElem?]
  have hlt : b / width < count ↔ b < count * width := Nat.div_lt_iff_lt_mul hwidth
  by_cases h : b / width < count
  · rw [if_pos h, Option.getD_some, ← Nat.pow_mul, Nat.testBit_mod_two_pow, Nat.testBit_div_two_pow, Nat.add_comm,
      Nat.div_add_mod, decide_eq_true (Nat.mod_lt _ hwidth), decide_eq_true (hlt.mp h)]
  · rw [if_neg h, decide_eq_false (fun hb => h (hlt.mpr hb))]; simp

end Q35
