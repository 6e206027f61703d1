module

public import Q35.Spec.Codec

@[expose] public noncomputable section

/-!
# A pair of integers and its 7-bit code

The pairs of a wide integer in `[-8, 7]` and a narrow one in `[-4, 3]` are one to one with the codes `0 .. 127`;
fields are read as `BitVec.toInt` reads them; no code of fewer than 7 bits can tell all pairs apart.
-/

namespace Q35

/-! ## Sign extension -/

/-- `signExtend` reads a field as core Lean reads a bit vector as two's complement, for any number of bits. -/
theorem signExtend_eq_toInt {field bits : Nat} (hbits : 1 ≤ bits) (hfield : field < 2 ^ bits) :
    signExtend field bits = (BitVec.ofNat bits field).toInt := by
  have hpow : 2 * 2 ^ (bits - 1) = 2 ^ bits := by
    rw [Nat.mul_comm, ← Nat.pow_succ, Nat.succ_eq_add_one, Nat.sub_add_cancel hbits]
  rw [BitVec.toInt_eq_toNat_cond, BitVec.toNat_ofNat, Nat.mod_eq_of_lt hfield]
  simp only [signExtend, hpow]
  generalize 2 ^ (bits - 1) = half at hpow
  generalize 2 ^ bits = full at *
  split
  · rw [Nat.mod_eq_of_lt (by omega)]; omega
  · rw [Nat.mod_eq_sub_mod (by omega), Nat.mod_eq_of_lt (by omega)]; omega

/-- The wide field's sign extension, in numbers. -/
theorem signExtend_four (field : Nat) : signExtend field 4 = ((field + 8) % 16 : Nat) - 8 := rfl

/-- The narrow field's sign extension, in numbers. -/
theorem signExtend_three (field : Nat) : signExtend field 3 = ((field + 4) % 8 : Nat) - 4 := rfl

/-- The integers of an even row are `-8 .. 7`. -/
theorem inLane_even {row : Nat} {q : Int} (h : row % 2 = 0) : InLane row q ↔ -8 ≤ q ∧ q ≤ 7 := by
  simp [InLane, laneLow, laneHigh, h]

/-- The integers of an odd row are `-4 .. 3`. -/
theorem inLane_odd {row : Nat} {q : Int} (h : row % 2 = 1) : InLane row q ↔ -4 ≤ q ∧ q ≤ 3 := by
  simp [InLane, laneLow, laneHigh, h]

/-! ## Round trips -/

/-- Every pair of a wide and a narrow integer is restored from its code. -/
theorem unpackPair_packPair {wide narrow : Int} (hwide : -8 ≤ wide ∧ wide ≤ 7) (hnarrow : -4 ≤ narrow ∧ narrow ≤ 3) :
    unpackPair (packPair wide narrow) = (wide, narrow) := by
  simp only [unpackPair, packPair, signExtend_four, signExtend_three, Prod.mk.injEq]
  omega

/-- Every code below 128 is restored from its two integers. -/
theorem packPair_unpackPair {code : Nat} (h : code < codeCount) :
    packPair (unpackPair code).1 (unpackPair code).2 = code := by
  simp only [codeCount] at h
  simp only [unpackPair, packPair, signExtend_four, signExtend_three]
  omega

/-- A code has 7 bits, whatever the integers. -/
theorem packPair_lt (wide narrow : Int) : packPair wide narrow < codeCount := by
  simp only [packPair, codeCount]
  omega

/-- The first integer of a code, any code, fits every even row, and the second one every odd row. -/
theorem unpackPair_inLane (code : Nat) {even odd : Nat} (heven : even % 2 = 0) (hodd : odd % 2 = 1) :
    InLane even (unpackPair code).1 ∧ InLane odd (unpackPair code).2 := by
  rw [inLane_even heven, inLane_odd hodd]
  simp only [unpackPair, signExtend_four, signExtend_three]
  omega

/-- Different pairs have different codes. -/
theorem packPair_injective {wide narrow wide' narrow' : Int}
    (hwide : -8 ≤ wide ∧ wide ≤ 7) (hnarrow : -4 ≤ narrow ∧ narrow ≤ 3)
    (hwide' : -8 ≤ wide' ∧ wide' ≤ 7) (hnarrow' : -4 ≤ narrow' ∧ narrow' ≤ 3)
    (h : packPair wide narrow = packPair wide' narrow') : wide = wide' ∧ narrow = narrow' := by
  have hpairs := congrArg unpackPair h
  rw [unpackPair_packPair hwide hnarrow, unpackPair_packPair hwide' hnarrow'] at hpairs
  exact Prod.mk.inj hpairs

/-- Every code `0 .. 127` is the code of a pair. -/
theorem packPair_surjective {code : Nat} (h : code < codeCount) :
    ∃ wide narrow : Int, (-8 ≤ wide ∧ wide ≤ 7) ∧ (-4 ≤ narrow ∧ narrow ≤ 3) ∧ packPair wide narrow = code := by
  have hlanes := unpackPair_inLane code (even := 0) (odd := 1) rfl rfl
  rw [inLane_even rfl, inLane_odd rfl] at hlanes
  exact ⟨_, _, hlanes.1, hlanes.2, packPair_unpackPair h⟩

/-- Different codes below 128 stand for different pairs. -/
theorem unpackPair_injective {code code' : Nat} (h : code < codeCount) (h' : code' < codeCount)
    (heq : unpackPair code = unpackPair code') : code = code' := by
  rw [← packPair_unpackPair h, ← packPair_unpackPair h', heq]

/-- The example of the documentation. -/
theorem packPair_five_neg_two : packPair 5 (-2) = 46 := by decide +kernel

/-- The high four bits of a code are the wide integer modulo 16. -/
theorem packPair_div (wide narrow : Int) : packPair wide narrow / 8 = (wide % 16).toNat := by
  simp only [packPair]
  omega

/-- The low three bits of a code are the narrow integer modulo 8. -/
theorem packPair_mod (wide narrow : Int) : packPair wide narrow % 8 = (narrow % 8).toNat := by
  simp only [packPair]
  omega

/-! ## No shorter code -/

/-- The pigeonhole principle: `pigeons` numbers below `holes`, fewer holes than pigeons, are not all different. -/
theorem pigeonhole {pigeons holes : Nat} (f : Nat → Nat) (hf : ∀ i, i < pigeons → f i < holes)
    (h : holes < pigeons) : ∃ i j, i < j ∧ j < pigeons ∧ f i = f j := by
  induction holes generalizing pigeons f with
  | zero => exact absurd (hf 0 h) (Nat.not_lt_zero _)
  | succ holes ih =>
    obtain ⟨last, rfl⟩ : ∃ last, pigeons = last + 1 := ⟨pigeons - 1, by omega⟩
    by_cases hsame : ∃ i, i < last ∧ f i = f last
    · obtain ⟨i, hi, heq⟩ := hsame
      exact ⟨i, last, hi, by omega, heq⟩
    · -- The last pigeon sits alone: who sits in the last hole may move to where it sits, and both leave.
      have halone : ∀ i, i < last → f i ≠ f last := fun i hi heq => hsame ⟨i, hi, heq⟩
      have hlast := hf last (by omega)
      obtain ⟨i, j, hij, hj, heq⟩ := ih (pigeons := last) (fun i => if f i = holes then f last else f i)
        (fun i hi => by have := halone i hi; have := hf i (by omega); dsimp only; split <;> omega) (by omega)
      have := halone i (by omega)
      have := halone j hj
      refine ⟨i, j, hij, by omega, ?_⟩
      split at heq <;> split at heq <;> omega

/-- No shorter code exists: any way to encode the pairs by fewer than 128 codes gives two different legal pairs the
same code. -/
theorem no_shorter_code {codes : Nat} (hcodes : codes < codeCount) (encode : Int → Int → Nat)
    (hencode : ∀ wide narrow, (-8 ≤ wide ∧ wide ≤ 7) → (-4 ≤ narrow ∧ narrow ≤ 3) → encode wide narrow < codes) :
    ∃ wide narrow wide' narrow' : Int,
      (-8 ≤ wide ∧ wide ≤ 7) ∧ (-4 ≤ narrow ∧ narrow ≤ 3) ∧ (-8 ≤ wide' ∧ wide' ≤ 7) ∧ (-4 ≤ narrow' ∧ narrow' ≤ 3) ∧
        (wide, narrow) ≠ (wide', narrow') ∧ encode wide narrow = encode wide' narrow' := by
  have hlane : ∀ code, (-8 ≤ (unpackPair code).1 ∧ (unpackPair code).1 ≤ 7) ∧
      (-4 ≤ (unpackPair code).2 ∧ (unpackPair code).2 ≤ 3) := fun code => by
    have h := unpackPair_inLane code (even := 0) (odd := 1) rfl rfl
    rwa [inLane_even rfl, inLane_odd rfl] at h
  obtain ⟨i, j, hij, hj, heq⟩ := pigeonhole (pigeons := codeCount)
    (fun code => encode (unpackPair code).1 (unpackPair code).2)
    (fun code _ => hencode _ _ (hlane code).1 (hlane code).2) hcodes
  refine ⟨_, _, _, _, (hlane i).1, (hlane i).2, (hlane j).1, (hlane j).2, fun hpair => ?_, heq⟩
  exact absurd (unpackPair_injective (Nat.lt_trans hij hj) hj hpair) (by omega)

/-- Bit strings of a fixed length that tell all pairs apart have at least 7 bits. -/
theorem seven_bits_needed {bits : Nat} (encode : Int → Int → BitVec bits)
    (hinjective : ∀ wide narrow wide' narrow' : Int,
      (-8 ≤ wide ∧ wide ≤ 7) → (-4 ≤ narrow ∧ narrow ≤ 3) → (-8 ≤ wide' ∧ wide' ≤ 7) → (-4 ≤ narrow' ∧ narrow' ≤ 3) →
        encode wide narrow = encode wide' narrow' → wide = wide' ∧ narrow = narrow') : 7 ≤ bits := by
  refine Nat.le_of_not_lt fun hbits => ?_
  have hpow : 2 ^ bits < codeCount :=
    Nat.lt_of_le_of_lt (Nat.pow_le_pow_right (by decide) (by omega : bits ≤ 6)) (by decide)
  obtain ⟨wide, narrow, wide', narrow', hw, hn, hw', hn', hne, heq⟩ :=
    no_shorter_code hpow (fun wide narrow => (encode wide narrow).toNat) (fun _ _ _ _ => BitVec.isLt _)
  have h := hinjective _ _ _ _ hw hn hw' hn' (BitVec.eq_of_toNat_eq heq)
  exact hne (by rw [h.1, h.2])

end Q35
