module

public import Q35.Thm.Codec
public import Q35.Thm.Dense

@[expose] public noncomputable section

/-!
# Packed columns

For every length and either layout: a column of legal integers is restored from its packed bytes, whose number is
`columnBytes`; for an odd number of rows the last narrow field is written as 0 and not read.
-/

namespace Q35

/-! ## Induction two rows at a time -/

/-- Induction over a list two entries at a time. -/
theorem pairInduction {α : Type} {motive : List α → Prop} (hnil : motive []) (hone : ∀ a, motive [a])
    (hpair : ∀ a b rest, motive rest → motive (a :: b :: rest)) : ∀ list, motive list
  | [] => hnil
  | [a] => hone a
  | a :: b :: rest => hpair a b rest (pairInduction hnil hone hpair rest)

/-- Every integer of a column lies in its row's lane. -/
def ColumnInLanes (column : List Int) : Prop := ∀ row (h : row < column.length), InLane row column[row]

/-- A pair of rows more at the front changes no row's lane. -/
theorem columnInLanes_cons_cons {wide narrow : Int} {rest : List Int} :
    ColumnInLanes (wide :: narrow :: rest) ↔
      (-8 ≤ wide ∧ wide ≤ 7) ∧ (-4 ≤ narrow ∧ narrow ≤ 3) ∧ ColumnInLanes rest := by
  have hshift : ∀ row q, InLane (row + 2) q ↔ InLane row q := fun row q => by simp [InLane, laneLow, laneHigh]
  constructor
  · intro h
    refine ⟨(inLane_even rfl).mp (h 0 (by simp)), (inLane_odd rfl).mp (h 1 (by simp)), fun row hrow => ?_⟩
    exact (hshift _ _).mp (h (row + 2) (by simpa using hrow))
  · rintro ⟨hwide, hnarrow, hrest⟩ row hrow
    match row with
    | 0 => exact (inLane_even rfl).mpr hwide
    | 1 => exact (inLane_odd rfl).mpr hnarrow
    | row + 2 => exact (hshift _ _).mpr (hrest row (by simpa using hrow))

/-! ## Codes of a column -/

theorem pairCount_add_two (k : Nat) : pairCount (k + 2) = pairCount k + 1 := by unfold pairCount; omega

/-- `pairCount k` is `⌈k/2⌉`. -/
theorem pairCount_eq (k : Nat) : k ≤ 2 * pairCount k ∧ 2 * pairCount k ≤ k + 1 := by unfold pairCount; omega

/-- A column of `k` integers has `⌈k/2⌉` codes. -/
theorem pairCodes_length (column : List Int) : (pairCodes column).length = pairCount column.length := by
  induction column using pairInduction with
  | hnil => rfl
  | hone a => simp [pairCodes, pairCount]
  | hpair a b rest ih => simp [pairCodes, ih, pairCount_add_two]

/-- The codes of a column are below 128, whatever the integers. -/
theorem pairCodes_lt {column : List Int} {code : Nat} (h : code ∈ pairCodes column) : code < codeCount := by
  induction column using pairInduction with
  | hnil => simp [pairCodes] at h
  | hone a => rw [List.mem_singleton.mp h]; exact packPair_lt ..
  | hpair a b rest ih =>
    rcases List.mem_cons.mp h with h | h
    · exact h ▸ packPair_lt ..
    · exact ih h

/-- After an even number of rows, what follows has codes of its own. -/
theorem pairCodes_append {column : List Int} (more : List Int) (heven : column.length % 2 = 0) :
    pairCodes (column ++ more) = pairCodes column ++ pairCodes more := by
  induction column using pairInduction with
  | hnil => rfl
  | hone a => simp at heven
  | hpair a b rest ih =>
    simp only [List.length_cons] at heven
    simp [pairCodes, ih (by omega)]

/-- Two integers a code. -/
theorem unpairAll_length (codes : List Nat) : (unpairAll codes).length = 2 * codes.length := by
  induction codes with
  | nil => rfl
  | cons code rest ih => simp [unpairAll, ih]; omega

/-- What codes stand for, a last narrow integer left out that is one too many, is the column that they are made of. -/
theorem unpairAll_pairCodes {column : List Int} (h : ColumnInLanes column) :
    (unpairAll (pairCodes column)).take column.length = column := by
  induction column using pairInduction with
  | hnil => rfl
  | hone wide =>
    have hwide : -8 ≤ wide ∧ wide ≤ 7 := (inLane_even rfl).mp (h 0 (by simp))
    simp [pairCodes, unpairAll, unpackPair_packPair hwide (narrow := 0) (by decide)]
  | hpair wide narrow rest ih =>
    obtain ⟨hwide, hnarrow, hrest⟩ := columnInLanes_cons_cons.mp h
    simp [pairCodes, unpairAll, unpackPair_packPair hwide hnarrow, ih hrest]

/-- Every column of legal integers is restored from its codes. -/
theorem unpairCodes_pairCodes {column : List Int}
    (h : ∀ row (hrow : row < column.length), InLane row column[row]) :
    unpairCodes (pairCodes column) column.length = some column := by
  rw [unpairCodes, if_pos (pairCodes_length column), unpairAll_pairCodes h]

/-- The integers that codes stand for lie in their rows' lanes, whatever the codes. -/
theorem unpairAll_inLanes (codes : List Nat) : ColumnInLanes (unpairAll codes) := by
  induction codes with
  | nil => exact fun row hrow => absurd hrow (Nat.not_lt_zero _)
  | cons code rest ih =>
    have h := unpackPair_inLane code (even := 0) (odd := 1) rfl rfl
    rw [inLane_even rfl, inLane_odd rfl] at h
    exact columnInLanes_cons_cons.mpr ⟨h.1, h.2, ih⟩

/-- A column that is read from codes is legal, whatever the codes and for every `k`. -/
theorem unpairCodes_inLanes {codes : List Nat} {k : Nat} {column : List Int}
    (h : unpairCodes codes k = some column) :
    column.length = k ∧ ∀ row (hrow : row < column.length), InLane row column[row] := by
  unfold unpairCodes at h
  split at h
  · next hlength =>
    cases h
    refine ⟨?_, fun row hrow => ?_⟩
    · have := (pairCount_eq k).1
      rw [List.length_take, unpairAll_length]
      omega
    · rw [List.getElem_take]
      exact unpairAll_inLanes codes row _
  · cases h

/-- Codes below 128 are restored from the integers that they stand for. -/
theorem pairCodes_unpairAll {codes : List Nat} (h : ∀ code ∈ codes, code < codeCount) :
    pairCodes (unpairAll codes) = codes := by
  induction codes with
  | nil => rfl
  | cons code rest ih =>
    rw [unpairAll, pairCodes, packPair_unpackPair (h code List.mem_cons_self),
      ih fun c hc => h c (List.mem_cons_of_mem _ hc)]

/-- For an even number of rows, every list of codes below 128 is restored from its column. -/
theorem pairCodes_unpairCodes {codes : List Nat} {k : Nat} {column : List Int} (heven : k % 2 = 0)
    (h : ∀ code ∈ codes, code < codeCount) (hread : unpairCodes codes k = some column) :
    pairCodes column = codes := by
  unfold unpairCodes at hread
  split at hread
  · next hlength =>
    cases hread
    rw [List.take_of_length_le, pairCodes_unpairAll h]
    rw [unpairAll_length, hlength, pairCount]
    omega
  · cases hread

/-! ## The odd row out -/

/-- For an odd number of rows, the last code's narrow field is 0. -/
theorem pairCodes_last_narrow {column : List Int} (hodd : column.length % 2 = 1) :
    ((pairCodes column)[column.length / 2]?.getD 0) % 8 = 0 := by
  induction column using pairInduction with
  | hnil => rfl
  | hone wide => simp [pairCodes, packPair_mod]
  | hpair wide narrow rest ih =>
    have hrest := ih (by simp only [List.length_cons] at hodd; omega)
    have hlength : (wide :: narrow :: rest).length / 2 = rest.length / 2 + 1 := by
      simp only [List.length_cons]; omega
    rw [hlength, pairCodes, List.getElem?_cons_succ, hrest]

/-- For an odd number of rows, two lists of codes that differ in the last narrow field only stand for the same
column. -/
theorem unpairCodes_ignores_last_narrow {codes : List Nat} {last last' k : Nat} (hodd : k % 2 = 1)
    (hwide : last / 8 = last' / 8) : unpairCodes (codes ++ [last]) k = unpairCodes (codes ++ [last']) k := by
  have hall : ∀ (codes : List Nat) (code : Nat), unpairAll (codes ++ [code]) =
      unpairAll codes ++ [(unpackPair code).1, (unpackPair code).2] := fun codes code => by
    induction codes with
    | nil => rfl
    | cons first rest ih => simp [unpairAll, ih]
  have hsame : (unpackPair last).1 = (unpackPair last').1 := by simp only [unpackPair, hwide]
  simp only [unpairCodes, List.length_append, List.length_singleton]
  split
  · next hlength =>
    -- `k` is one less than the number of integers, so that exactly the last one is left out.
    have hk : k = (unpairAll codes).length + 1 := by
      rw [unpairAll_length]
      unfold pairCount at hlength
      omega
    rw [hall, hall, hk, List.take_append, List.take_append, hsame]
    simp
  · rfl

/-! ## Packed columns -/

/-- A packed column has `columnBytes` bytes. -/
theorem packColumn_length (column : List Int) (layout : Layout) :
    (packColumn column layout).length = columnBytes column.length layout := by
  cases layout with
  | byte => exact pairCodes_length column
  | dense => rw [packColumn, packDense_length, pairCodes_length, columnBytes]

/-- Every value of a packed column is a byte, and one of the byte layout has its bit 7 clear. -/
theorem packColumn_lt {column : List Int} {layout : Layout} {byte : Nat} (h : byte ∈ packColumn column layout) :
    byte < 256 ∧ (layout = .byte → byte < codeCount) := by
  cases layout with
  | byte =>
    have hlt := pairCodes_lt h
    exact ⟨Nat.lt_trans hlt (by decide), fun _ => hlt⟩
  | dense => exact ⟨packDense_lt h, fun hbyte => by cases hbyte⟩

/-- After a multiple of 16 rows, where a group may end, what follows is packed on its own in either layout. -/
theorem packColumn_append {column : List Int} (more : List Int) (layout : Layout)
    (h : column.length % groupMultiple = 0) :
    packColumn (column ++ more) layout = packColumn column layout ++ packColumn more layout := by
  unfold groupMultiple at h
  have hcodes := pairCodes_append more (show column.length % 2 = 0 by omega)
  cases layout with
  | byte => exact hcodes
  | dense =>
    have height : (pairCodes column).length % 8 = 0 := by rw [pairCodes_length, pairCount]; omega
    simp only [packColumn, hcodes, packDense_append _ height]

/-- The byte layout is read as codes first, then as integers. -/
theorem unpackColumn_byte (packed : List Nat) (k : Nat) :
    unpackColumn packed k .byte = (byteCodes packed (pairCount k)).bind (unpairCodes · k) := rfl

/-- The dense layout is read as codes first, then as integers. -/
theorem unpackColumn_dense (packed : List Nat) (k : Nat) :
    unpackColumn packed k .dense = (unpackDense packed (pairCount k)).bind (unpairCodes · k) := rfl

/-- Every column of legal integers, of any length and in either layout, is restored from its packed bytes. -/
theorem unpackColumn_packColumn {column : List Int}
    (h : ∀ row (hrow : row < column.length), InLane row column[row]) (layout : Layout) :
    unpackColumn (packColumn column layout) column.length layout = some column := by
  cases layout with
  | byte =>
    have hcheck : (pairCodes column).length = pairCount column.length ∧ (pairCodes column).all (· < codeCount) :=
      ⟨pairCodes_length column, by simpa using fun _ => pairCodes_lt⟩
    rw [unpackColumn_byte, packColumn, byteCodes, if_pos hcheck]
    exact unpairCodes_pairCodes h
  | dense =>
    rw [unpackColumn_dense, packColumn, ← pairCodes_length, unpackDense_packDense fun _ => pairCodes_lt]
    exact unpairCodes_pairCodes h

/-- What is read from packed bytes, if anything is, is a legal column of `k` integers. -/
theorem unpackColumn_inLanes {packed : List Nat} {k : Nat} {layout : Layout} {column : List Int}
    (h : unpackColumn packed k layout = some column) :
    column.length = k ∧ ∀ row (hrow : row < column.length), InLane row column[row] := by
  cases layout <;> obtain ⟨codes, -, hcodes⟩ := Option.bind_eq_some_iff.mp h <;> exact unpairCodes_inLanes hcodes

/-- For an even number of rows, accepted bytes are the ones that `packColumn` writes for what is read. -/
theorem packColumn_unpackColumn {packed : List Nat} {k : Nat} {layout : Layout} {column : List Int}
    (heven : k % 2 = 0) (h : unpackColumn packed k layout = some column) : packColumn column layout = packed := by
  cases layout with
  | byte =>
    obtain ⟨codes, hread, hcodes⟩ := Option.bind_eq_some_iff.mp h
    simp only [byteCodes] at hread
    split at hread
    · next hcheck =>
      cases hread
      exact pairCodes_unpairCodes heven (by simpa using hcheck.2) hcodes
    · cases hread
  | dense =>
    obtain ⟨codes, hread, hcodes⟩ := Option.bind_eq_some_iff.mp h
    obtain ⟨-, hlt, hpack⟩ := packDense_unpackDense hread
    rw [packColumn, pairCodes_unpairCodes heven hlt hcodes, hpack]

/-- For an odd number of rows, the last narrow field of the byte layout changes nothing in what is read. -/
theorem unpackColumn_ignores_last_narrow {bytes : List Nat} {last last' k : Nat} (hodd : k % 2 = 1)
    (hlast : last < codeCount) (hlast' : last' < codeCount) (hwide : last / 8 = last' / 8) :
    unpackColumn (bytes ++ [last]) k .byte = unpackColumn (bytes ++ [last']) k .byte := by
  have hsame := unpairCodes_ignores_last_narrow (codes := bytes) hodd hwide
  by_cases h : bytes.length + 1 = pairCount k ∧ bytes.all (· < codeCount)
  · have hcheck : ∀ code, code < codeCount →
        (bytes ++ [code]).length = pairCount k ∧ (bytes ++ [code]).all (· < codeCount) := fun code hcode => by
      simpa [hcode] using h
    rw [unpackColumn_byte, unpackColumn_byte, byteCodes, byteCodes, if_pos (hcheck last hlast),
      if_pos (hcheck last' hlast')]
    exact hsame
  · have hcheck : ∀ code, code < codeCount →
        ¬((bytes ++ [code]).length = pairCount k ∧ (bytes ++ [code]).all (· < codeCount)) := fun code hcode => by
      simpa [hcode] using h
    rw [unpackColumn_byte, unpackColumn_byte, byteCodes, byteCodes, if_neg (hcheck last hlast),
      if_neg (hcheck last' hlast')]

/-- For an odd number of rows, the last narrow field of the dense layout changes nothing in what is read. -/
theorem unpackColumn_dense_ignores_last_narrow {codes : List Nat} {last last' k : Nat} (hodd : k % 2 = 1)
    (hlength : codes.length + 1 = pairCount k) (hcodes : ∀ code ∈ codes, code < codeCount)
    (hlast : last < codeCount) (hlast' : last' < codeCount) (hwide : last / 8 = last' / 8) :
    unpackColumn (packDense (codes ++ [last])) k .dense = unpackColumn (packDense (codes ++ [last'])) k .dense := by
  have hread : ∀ code, code < codeCount →
      unpackColumn (packDense (codes ++ [code])) k .dense = unpairCodes (codes ++ [code]) k := fun code hcode => by
    have hall : ∀ c ∈ codes ++ [code], c < codeCount := fun c hc => by
      rcases List.mem_append.mp hc with hc | hc
      · exact hcodes c hc
      · exact List.mem_singleton.mp hc ▸ hcode
    rw [unpackColumn_dense, show pairCount k = (codes ++ [code]).length by simpa using hlength.symm,
      unpackDense_packDense hall]
    rfl
  rw [hread last hlast, hread last' hlast']
  exact unpairCodes_ignores_last_narrow hodd hwide

end Q35
