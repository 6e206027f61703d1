module

public import Q35.Thm.Digits

@[expose] public noncomputable section

/-!
# The dense stream

For every list of 7-bit codes, of any length: the stream has `⌈7n/8⌉` bytes, the codes are restored from it, exactly the
streams with clear padding bits are accepted, and bit `b` of the stream is bit `b % 7` of code `b / 7`.

Both directions work block by block. The proofs first show that the blocks amount to one number for the whole stream.
-/

namespace Q35

/-! ## Lengths -/

/-- `denseBytes n` is `⌈7n/8⌉`. -/
theorem denseBytes_eq (count : Nat) : 7 * count ≤ 8 * denseBytes count ∧ 8 * denseBytes count < 7 * count + 8 := by
  unfold denseBytes
  omega

/-- `8m` codes need `7m` bytes. -/
theorem denseBytes_eight_mul (blocks : Nat) : denseBytes (8 * blocks) = 7 * blocks := by
  unfold denseBytes
  omega

/-- Eight codes more are seven bytes more. -/
theorem denseBytes_add_eight (count : Nat) : denseBytes (8 + count) = 7 + denseBytes count := by
  unfold denseBytes
  omega

/-! ## Blocks -/

/-- Induction over a list `size` entries at a time. -/
theorem blockInduction {α : Type} {motive : List α → Prop} (size : Nat) (hsize : 0 < size)
    (hshort : ∀ block, block.length < size → motive block)
    (hblock : ∀ block rest, block.length = size → motive rest → motive (block ++ rest)) (list : List α) :
    motive list := by
  by_cases h : list.length < size
  · exact hshort list h
  · have hlength : (list.drop size).length < list.length := by rw [List.length_drop]; omega
    have hrest := blockInduction size hsize hshort hblock (list.drop size)
    have := hblock (list.take size) (list.drop size) (by rw [List.length_take]; omega) hrest
    rwa [List.take_append_drop] at this
termination_by list.length

/-- A list of eight entries, entry by entry. -/
theorem eq_of_length_eight {α : Type} {block : List α} (h : block.length = 8) :
    ∃ a b c d e f g i, block = [a, b, c, d, e, f, g, i] := by
  match block, h with
  | [a, b, c, d, e, f, g, i], _ => exact ⟨a, b, c, d, e, f, g, i, rfl⟩

/-- A list of seven entries, entry by entry. -/
theorem eq_of_length_seven {α : Type} {block : List α} (h : block.length = 7) :
    ∃ a b c d e f g, block = [a, b, c, d, e, f, g] := by
  match block, h with
  | [a, b, c, d, e, f, g], _ => exact ⟨a, b, c, d, e, f, g, rfl⟩

/-- Fewer than eight codes are one block. -/
theorem packDense_short {codes : List Nat} (h : codes.length < 8) : packDense codes = packBlock codes := by
  rw [packDense]
  intro a b c d e f g i rest heq
  rw [heq] at h
  simp only [List.length_cons] at h
  omega

/-- Eight codes make a block of their own. -/
theorem packDense_block {block : List Nat} (rest : List Nat) (h : block.length = 8) :
    packDense (block ++ rest) = packBlock block ++ packDense rest := by
  obtain ⟨a, b, c, d, e, f, g, i, rfl⟩ := eq_of_length_eight h
  rfl

/-- Fewer than seven bytes are one block. -/
theorem unpackBlocks_short {stream : List Nat} (count : Nat) (h : stream.length < 7) :
    unpackBlocks stream count = unpackBlock stream count := by
  rw [unpackBlocks]
  intro a b c d e f g rest heq
  rw [heq] at h
  simp only [List.length_cons] at h
  omega

/-- Seven bytes make a block of their own. -/
theorem unpackBlocks_block {block : List Nat} (rest : List Nat) (count : Nat) (h : block.length = 7) :
    unpackBlocks (block ++ rest) count = (unpackBlock block (min 8 count)).bind fun codes =>
      (unpackBlocks rest (count - 8)).bind fun more => some (codes ++ more) := by
  obtain ⟨a, b, c, d, e, f, g, rfl⟩ := eq_of_length_seven h
  rfl

/-- The stream of `n` codes, whatever they are, has `⌈7n/8⌉` bytes. -/
theorem packDense_length (codes : List Nat) : (packDense codes).length = denseBytes codes.length := by
  induction codes using blockInduction 8 (by decide) with
  | hshort block h => rw [packDense_short h, packBlock, toDigits_length]
  | hblock block rest h ih =>
    rw [packDense_block rest h, List.length_append, List.length_append, ih, packBlock, toDigits_length, h,
      denseBytes_add_eight]
    rfl

/-- `8m` codes make exactly `7m` bytes. -/
theorem packDense_eight {codes : List Nat} {blocks : Nat} (h : codes.length = 8 * blocks) :
    (packDense codes).length = 7 * blocks := by
  rw [packDense_length, h, denseBytes_eight_mul]

/-- The values of a stream are bytes, whatever the codes. -/
theorem packDense_lt {codes : List Nat} {byte : Nat} (h : byte ∈ packDense codes) : byte < 256 := by
  induction codes using blockInduction 8 (by decide) with
  | hshort block hblock => rw [packDense_short hblock] at h; exact toDigits_lt (by decide) h
  | hblock block rest hblock ih =>
    rw [packDense_block rest hblock] at h
    rcases List.mem_append.mp h with h | h
    · exact toDigits_lt (by decide) h
    · exact ih h

/-- A run of `8m` codes ends on a byte: what comes after it is packed on its own. -/
theorem packDense_append {codes : List Nat} (more : List Nat) (h : codes.length % 8 = 0) :
    packDense (codes ++ more) = packDense codes ++ packDense more := by
  induction codes using blockInduction 8 (by decide) with
  | hshort block hblock => rw [List.eq_nil_of_length_eq_zero (l := block) (by omega)]; rfl
  | hblock block rest hblock ih =>
    rw [List.length_append] at h
    rw [List.append_assoc, packDense_block _ hblock, packDense_block _ hblock, ih (by omega), List.append_assoc]

/-! ## One number for the whole stream -/

/-- A dense stream is one number: its codes are the digits in base 128, its bytes those in base 256. -/
theorem packDense_eq_packBlock {codes : List Nat} (h : ∀ code ∈ codes, code < codeCount) :
    packDense codes = packBlock codes := by
  induction codes using blockInduction 8 (by decide) with
  | hshort block hblock => exact packDense_short hblock
  | hblock block rest hblock ih =>
    have hlt := ofDigits_lt (base := 128) fun code hcode => h code (List.mem_append_left rest hcode)
    rw [hblock, show 128 ^ 8 = 256 ^ 7 by decide] at hlt
    rw [packDense_block rest hblock, ih fun code hcode => h code (List.mem_append_right block hcode)]
    simp only [packBlock]
    rw [List.length_append, hblock, denseBytes_add_eight, toDigits_add, ofDigits_append, hblock,
      show 128 ^ 8 = 256 ^ 7 by decide, Nat.add_mul_div_left _ _ (by decide), Nat.div_eq_of_lt hlt, Nat.zero_add,
      toDigits_add_pow_mul (by decide)]
    rfl

/-- Reading a stream block by block gives what reading it as one number gives. -/
theorem unpackBlocks_eq_unpackBlock {stream : List Nat} {count : Nat} (hlength : stream.length = denseBytes count)
    (h : ∀ byte ∈ stream, byte < 256) : unpackBlocks stream count = unpackBlock stream count := by
  induction stream using blockInduction 7 (by decide) generalizing count with
  | hshort block hblock => exact unpackBlocks_short count hblock
  | hblock block rest hblock ih =>
    have hlt := ofDigits_lt (base := 256) fun byte hbyte => h byte (List.mem_append_left rest hbyte)
    rw [hblock] at hlt
    rw [List.length_append, hblock] at hlength
    have ⟨hlow, hhigh⟩ := denseBytes_eq count
    rcases Nat.lt_or_ge count 8 with hcount | hcount
    · -- Seven codes, in seven bytes with padding: the only block, with nothing after it.
      have hseven : count = 7 := by omega
      have hrest : rest = [] := List.eq_nil_of_length_eq_zero (by omega)
      subst hseven hrest
      rw [unpackBlocks_block [] 7 hblock, List.append_nil, Nat.min_eq_right (by decide)]
      cases unpackBlock block 7 <;> simp [unpackBlocks, unpackBlock, ofDigits, toDigits]
    · obtain ⟨left, rfl⟩ : ∃ left, count = 8 + left := ⟨count - 8, by omega⟩
      rw [denseBytes_add_eight] at hlength
      rw [unpackBlocks_block rest _ hblock, Nat.min_eq_left (by omega), Nat.add_sub_cancel_left,
        ih (by omega) fun byte hbyte => h byte (List.mem_append_right block hbyte)]
      simp only [unpackBlock, ofDigits_append, hblock]
      rw [show 256 ^ 7 = 128 ^ 8 by decide] at hlt ⊢
      rw [Nat.pow_add, ← Nat.div_div_eq_div_mul, toDigits_add, toDigits_add_pow_mul (by decide),
        Nat.add_mul_div_left _ _ (by decide), Nat.div_eq_of_lt hlt, Nat.zero_add]
      simp only [if_true, Option.bind_some]
      split <;> rfl

/-- The checks of `unpackDense`, and the stream as one number. -/
theorem unpackDense_eq (stream : List Nat) (count : Nat) :
    unpackDense stream count = if stream.length = denseBytes count ∧ (∀ byte ∈ stream, byte < 256) ∧
      ofDigits 256 stream < 128 ^ count then some (toDigits 128 count (ofDigits 256 stream)) else none := by
  have hpow : 0 < 128 ^ count := Nat.pow_pos (by decide)
  by_cases h : stream.length = denseBytes count ∧ ∀ byte ∈ stream, byte < 256
  · have hcheck : stream.length = denseBytes count ∧ stream.all (· < 256) := by simpa using h
    rw [unpackDense, if_pos hcheck, unpackBlocks_eq_unpackBlock h.1 h.2, unpackBlock]
    by_cases hlt : ofDigits 256 stream < 128 ^ count
    · exact (if_pos (Nat.div_eq_of_lt hlt)).trans (if_pos ⟨h.1, h.2, hlt⟩).symm
    · have hne : ofDigits 256 stream / 128 ^ count ≠ 0 := fun h0 => hlt ((Nat.div_eq_zero_iff_lt hpow).mp h0)
      exact (if_neg hne).trans (if_neg fun hall => hlt hall.2.2).symm
  · have hcheck : ¬(stream.length = denseBytes count ∧ stream.all (· < 256)) := by simpa using h
    rw [unpackDense, if_neg hcheck, if_neg fun hall => h ⟨hall.1, hall.2.1⟩]

/-! ## Round trips -/

/-- Every list of codes, of any length, is restored from its stream. -/
theorem unpackDense_packDense {codes : List Nat} (h : ∀ code ∈ codes, code < codeCount) :
    unpackDense (packDense codes) codes.length = some codes := by
  have hlt : ofDigits 128 codes < 128 ^ codes.length := ofDigits_lt h
  -- The bytes can hold the number: 8 bits a byte are at least 7 bits a code.
  have hfit : ofDigits 128 codes < 256 ^ denseBytes codes.length := by
    refine Nat.lt_of_lt_of_le hlt ?_
    rw [show 128 = 2 ^ 7 by decide, show 256 = 2 ^ 8 by decide, ← Nat.pow_mul, ← Nat.pow_mul]
    exact Nat.pow_le_pow_right (by decide) (denseBytes_eq _).1
  have hnumber : ofDigits 256 (packDense codes) = ofDigits 128 codes := by
    rw [packDense_eq_packBlock h, packBlock, ofDigits_toDigits_of_lt hfit]
  rw [unpackDense_eq, hnumber, if_pos ⟨packDense_length codes, fun _ => packDense_lt, hlt⟩,
    toDigits_ofDigits (base := 128) h]

/-- An accepted stream is the stream of the codes that are read from it: there are `count`, and each is below 128. -/
theorem packDense_unpackDense {stream codes : List Nat} {count : Nat} (h : unpackDense stream count = some codes) :
    codes.length = count ∧ (∀ code ∈ codes, code < codeCount) ∧ packDense codes = stream := by
  rw [unpackDense_eq] at h
  split at h
  · next hlegal =>
    obtain ⟨hlength, hbytes, hlt⟩ := hlegal
    cases h
    have hcodes : ∀ code ∈ toDigits 128 count (ofDigits 256 stream), code < codeCount :=
      fun _ hcode => toDigits_lt (by decide) hcode
    refine ⟨toDigits_length .., hcodes, ?_⟩
    rw [packDense_eq_packBlock hcodes, packBlock, toDigits_length, ofDigits_toDigits_of_lt hlt, ← hlength,
      toDigits_ofDigits hbytes]
  · cases h

/-- Reading a stream gives some codes exactly if it is the stream of these codes. -/
theorem unpackDense_eq_some_iff {stream codes : List Nat} {count : Nat} :
    unpackDense stream count = some codes ↔
      codes.length = count ∧ (∀ code ∈ codes, code < codeCount) ∧ packDense codes = stream := by
  refine ⟨packDense_unpackDense, ?_⟩
  rintro ⟨rfl, hcodes, rfl⟩
  exact unpackDense_packDense hcodes

/-- The streams that are accepted for `count` codes are exactly those that `packDense` writes for `count` codes. -/
theorem unpackDense_isSome_iff {stream : List Nat} {count : Nat} :
    (unpackDense stream count).isSome ↔
      ∃ codes, codes.length = count ∧ (∀ code ∈ codes, code < codeCount) ∧ packDense codes = stream := by
  simp only [Option.isSome_iff_exists, unpackDense_eq_some_iff]

/-- Different lists of equally many codes have different streams. -/
theorem packDense_injective {codes codes' : List Nat} (h : ∀ code ∈ codes, code < codeCount)
    (h' : ∀ code ∈ codes', code < codeCount) (hlength : codes.length = codes'.length)
    (heq : packDense codes = packDense codes') : codes = codes' := by
  have hsome := unpackDense_packDense h
  rw [heq, hlength, unpackDense_packDense h'] at hsome
  exact (Option.some.inj hsome).symm

/-! ## Bits -/

/-- The normative layout: bit `b` of the stream, bit `b % 8` of byte `b / 8`, is bit `b % 7` of code `b / 7`. -/
theorem packDense_testBit {codes : List Nat} (h : ∀ code ∈ codes, code < codeCount) {b : Nat}
    (hb : b < 7 * codes.length) :
    ((packDense codes)[b / 8]?.getD 0).testBit (b % 8) = (codes[b / 7]?.getD 0).testBit (b % 7) := by
  have hbytes := (denseBytes_eq codes.length).1
  have hstream := toDigits_testBit (width := 8) (count := denseBytes codes.length) (by decide) (ofDigits 128 codes) b
  have hcodes := ofDigits_testBit (width := 7) (digits := codes) h b
  rw [packDense_eq_packBlock h, packBlock, show 256 = 2 ^ 8 by decide, hstream, decide_eq_true (by omega),
    Bool.true_and]
  exact hcodes

/-- The padding bits after the last code are clear. -/
theorem packDense_padding {codes : List Nat} (h : ∀ code ∈ codes, code < codeCount) {b : Nat}
    (hb : 7 * codes.length ≤ b) : ((packDense codes)[b / 8]?.getD 0).testBit (b % 8) = false := by
  have hstream := toDigits_testBit (width := 8) (count := denseBytes codes.length) (by decide) (ofDigits 128 codes) b
  have hcodes := ofDigits_testBit (width := 7) (digits := codes) h b
  have hnone : codes[b / 7]? = none := List.getElem?_eq_none (by omega)
  rw [hnone, Option.getD_none, Nat.zero_testBit] at hcodes
  rw [packDense_eq_packBlock h, packBlock, show 256 = 2 ^ 8 by decide, hstream, show 128 = 2 ^ 7 by decide, hcodes,
    Bool.and_false]

/-- A stream is accepted exactly if it has the right length, holds bytes, and its padding bits are clear. -/
theorem unpackDense_isSome_iff_padding {stream : List Nat} {count : Nat} :
    (unpackDense stream count).isSome ↔ stream.length = denseBytes count ∧ (∀ byte ∈ stream, byte < 256) ∧
      ∀ b, 7 * count ≤ b → (stream[b / 8]?.getD 0).testBit (b % 8) = false := by
  constructor
  · intro h
    obtain ⟨codes, rfl, hcodes, rfl⟩ := unpackDense_isSome_iff.mp h
    exact ⟨packDense_length codes, fun _ => packDense_lt, fun _ => packDense_padding hcodes⟩
  · rintro ⟨hlength, hbytes, hpadding⟩
    have hlt : ofDigits 256 stream < 128 ^ count := by
      rw [show 128 = 2 ^ 7 by decide, ← Nat.pow_mul]
      refine Nat.lt_pow_two_of_testBit _ fun b hb => ?_
      exact (ofDigits_testBit (width := 8) hbytes b).trans (hpadding b hb)
    rw [unpackDense_eq, if_pos ⟨hlength, hbytes, hlt⟩]
    rfl

end Q35
