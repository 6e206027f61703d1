module

public import Q35.Spec.Lanes

@[expose] public noncomputable section

/-!
# Integers to codes to bytes, and back

A pair of rows `2i, 2i+1` of a column makes one 7-bit code: the wide integer modulo 16 in bits 3 to 6, the narrow
integer modulo 8 in bits 0 to 2. A column's codes are stored one a byte, or as one little-endian bit stream, where
8 codes fill exactly 7 bytes. Mirrors `q35ref/reference/codec.py`. Streams and columns that Python refuses to unpack are
`none` here; the functions of pairs, codes and integers are total, where Python refuses what is outside a lane.
-/

namespace Q35

/-- Number of codes: a code has 7 bits. -/
def codeCount : Nat := 128

/-- Read an unsigned field of `bits` bits as two's complement. -/
def signExtend (field bits : Nat) : Int :=
  let half : Nat := 2 ^ (bits - 1)
  (((field + half) % (2 * half) : Nat) : Int) - half

/-- The 7-bit code of a pair: `(wide mod 16) * 8 + narrow mod 8`. -/
def packPair (wide narrow : Int) : Nat := (wide % 16).toNat * 8 + (narrow % 8).toNat

/-- The wide and the narrow integer of a 7-bit code. -/
def unpackPair (code : Nat) : Int × Int := (signExtend (code / 8) 4, signExtend (code % 8) 3)

/-- Number of codes of a column of `k` rows, `⌈k/2⌉`. -/
def pairCount (k : Nat) : Nat := (k + 1) / 2

/-- The codes of a column of integers, two rows a code; a missing last narrow integer counts as 0. -/
def pairCodes : List Int → List Nat
  | [] => []
  | [wide] => [packPair wide 0]
  | wide :: narrow :: rest => packPair wide narrow :: pairCodes rest

/-- The integers that codes stand for, two a code. -/
def unpairAll : List Nat → List Int
  | [] => []
  | code :: rest => (unpackPair code).1 :: (unpackPair code).2 :: unpairAll rest

/-- The `k` integers that `codes` stand for; for odd `k` the last narrow field is ignored. -/
def unpairCodes (codes : List Nat) (k : Nat) : Option (List Int) :=
  if codes.length = pairCount k then some ((unpairAll codes).take k) else none

/-- Number of bytes of `count` codes in the dense layout, `⌈7·count/8⌉`. -/
def denseBytes (count : Nat) : Nat := (7 * count + 7) / 8

/-- Number of bytes of a packed column of `k` rows. -/
def columnBytes (k : Nat) (layout : Layout) : Nat :=
  match layout with
  | .byte => pairCount k
  | .dense => denseBytes (pairCount k)

/-- The number that has these digits in base `base`, the least one first. -/
def ofDigits (base : Nat) : List Nat → Nat
  | [] => 0
  | digit :: rest => ofDigits base rest * base + digit

/-- The lowest `count` digits of a number in base `base`, the least one first. -/
def toDigits (base : Nat) : Nat → Nat → List Nat
  | 0, _ => []
  | count + 1, number => number % base :: toDigits base count (number / base)

/-- Up to 8 codes as bytes: a number in base 128, written in base 256. -/
def packBlock (codes : List Nat) : List Nat := toDigits 256 (denseBytes codes.length) (ofDigits 128 codes)

/-- The `count` codes, up to 8, of up to 7 bytes; `none` if a padding bit after the last code is set. -/
def unpackBlock (bytes : List Nat) (count : Nat) : Option (List Nat) :=
  let number := ofDigits 256 bytes
  if number / 128 ^ count = 0 then some (toDigits 128 count number) else none

/-- The dense stream of `codes`: code `i` holds stream bits `[7i, 7i + 7)`, padding bits clear. -/
def packDense : List Nat → List Nat
  | c0 :: c1 :: c2 :: c3 :: c4 :: c5 :: c6 :: c7 :: rest => packBlock [c0, c1, c2, c3, c4, c5, c6, c7] ++ packDense rest
  | block => packBlock block

/-- The codes of a stream's blocks of 7 bytes, `count` in all. -/
def unpackBlocks : List Nat → Nat → Option (List Nat)
  | b0 :: b1 :: b2 :: b3 :: b4 :: b5 :: b6 :: rest, count => do
    let block ← unpackBlock [b0, b1, b2, b3, b4, b5, b6] (min 8 count)
    let more ← unpackBlocks rest (count - 8)
    some (block ++ more)
  | block, count => unpackBlock block count

/-- The `count` codes of a dense stream, `none` for a stream of the wrong length, a value above 255, and padding bits
that are set. -/
def unpackDense (stream : List Nat) (count : Nat) : Option (List Nat) :=
  if stream.length = denseBytes count ∧ stream.all (· < 256) then unpackBlocks stream count else none

/-- The packed bytes of a column of integers. -/
def packColumn (column : List Int) (layout : Layout) : List Nat :=
  match layout with
  | .byte => pairCodes column
  | .dense => packDense (pairCodes column)

/-- The codes of a `byte` column are its bytes, if there are `count` and each is a code. -/
def byteCodes (packed : List Nat) (count : Nat) : Option (List Nat) :=
  if packed.length = count ∧ packed.all (· < codeCount) then some packed else none

/-- The `k` integers of a packed column, `none` for a wrong length, a code above 127, and set padding bits. -/
def unpackColumn (packed : List Nat) (k : Nat) (layout : Layout) : Option (List Int) := do
  let codes ← match layout with
    | .byte => byteCodes packed (pairCount k)
    | .dense => unpackDense packed (pairCount k)
  unpairCodes codes k

end Q35
