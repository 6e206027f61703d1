module

public import Q35.Spec.Lanes

@[expose] public section

/-!
# How numbers are written in the vectors' statements

Written by hand, unlike its neighbours. Lean reads `-5` at length, as an operator that may be anyone's; a sign of our
own, `−5`, is read ten times faster, and there are thousands.
-/

namespace Q35.Vectors

/-- The negative integer `−n`. -/
def negative (n : Nat) : Int := -(n : Int)

-- Without the option its code would hold constants that no importer of the WebAssembly build finds.
set_option compiler.extract_closed false in
@[inherit_doc] scoped prefix:max "−" => negative

/-- `significand · 2^exponent`, the form of every float32: `dyadic −3 −2` is `-3/4`. -/
noncomputable def dyadic (significand exponent : Int) : Rat := significand * (2 : Rat) ^ exponent

/-- `numerator / denominator`, where the denominator is no power of two. -/
noncomputable def ratio (numerator : Int) (denominator : Nat) : Rat := mkRat numerator denominator

/-- The first `length` items of a pattern that repeats for ever. -/
noncomputable def repeated (pattern : List Int) (length : Nat) : List Int :=
  tabulate (fun i => pattern.getD (i % pattern.length) 0) 0 length

end Q35.Vectors
