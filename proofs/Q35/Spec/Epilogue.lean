module

public import Q35.Spec.Matmul

@[expose] public noncomputable section

/-!
# The float32 epilogue of a matmul, in any order of additions

A kernel turns each group's two integers into floats, multiplies each by its parameter, and adds the products in whatever
order suits it, perhaps with fused multiply-adds. `Evaluation` is such a way to do it, a binary tree.
-/

namespace Q35

/-- One product of the epilogue: an integer, `acc` or `row_sum`, and the parameter that multiplies it. -/
structure Product where
  integer : Int
  parameter : Rat

/-- The exact value of a product. -/
def Product.exact (p : Product) : Rat := p.parameter * p.integer

/-- The products of a matmul's entry, two a group. -/
def products : List GroupTerm → List Product
  | [] => []
  | t :: rest => ⟨t.acc, t.scale⟩ :: ⟨t.rowSum, t.offset⟩ :: products rest

/-- A way to evaluate a sum of products: a binary tree of additions. A leaf rounds the integer and the product; `fused`
adds a product to a sum with one rounding for both. -/
inductive Evaluation where
  | leaf (p : Product)
  | add (left right : Evaluation)
  | fused (p : Product) (rest : Evaluation)

namespace Evaluation

/-- The products that a tree adds up, each as often as it stands there. -/
def products : Evaluation → List Product
  | leaf p => [p]
  | add left right => left.products ++ right.products
  | fused p rest => p :: rest.products

/-- What float32 arithmetic yields: each conversion, product and sum is rounded once. -/
def evaluate : Evaluation → Rat
  | leaf p => roundFloat32 (p.parameter * roundFloat32 p.integer)
  | add left right => roundFloat32 (left.evaluate + right.evaluate)
  | fused p rest => roundFloat32 (p.parameter * roundFloat32 p.integer + rest.evaluate)

/-- No conversion, product or sum on the way overflows float32. -/
def NoOverflow : Evaluation → Prop
  | leaf p => ¬ Overflows p.integer ∧ ¬ Overflows (p.parameter * roundFloat32 p.integer)
  | add left right => left.NoOverflow ∧ right.NoOverflow ∧ ¬ Overflows (left.evaluate + right.evaluate)
  | fused p rest => rest.NoOverflow ∧ ¬ Overflows p.integer
      ∧ ¬ Overflows (p.parameter * roundFloat32 p.integer + rest.evaluate)

end Evaluation

/-- A tree that evaluates the output of a matmul's entry: its products are those of the entry's groups, in any order. -/
def Evaluates (tree : Evaluation) (terms : List GroupTerm) : Prop := tree.products.Perm (products terms)

/-- The parameters of a matmul's entry are values of float32. -/
def Float32Parameters (terms : List GroupTerm) : Prop :=
  ∀ t ∈ terms, roundFloat32 t.scale = t.scale ∧ roundFloat32 t.offset = t.offset

end Q35
