module

public import Q35.Spec.Epilogue
public import Q35.Thm.Growth

@[expose] public noncomputable section

/-!
# The float32 epilogue is within B of the exact output, in any order of additions
-/

namespace Q35

/-- The exact sum of products. -/
def exactSum : List Product → Rat
  | [] => 0
  | p :: rest => p.exact + exactSum rest

/-- The sum of the magnitudes of products. -/
def magnitudeSum : List Product → Rat
  | [] => 0
  | p :: rest => abs p.exact + magnitudeSum rest

theorem exactSum_append (ps qs : List Product) : exactSum (ps ++ qs) = exactSum ps + exactSum qs := by
  induction ps with
  | nil => simp [exactSum, Rat.zero_add]
  | cons p ps ih => simp only [List.cons_append, exactSum, ih, Rat.add_assoc]

theorem magnitudeSum_append (ps qs : List Product) :
    magnitudeSum (ps ++ qs) = magnitudeSum ps + magnitudeSum qs := by
  induction ps with
  | nil => simp [magnitudeSum, Rat.zero_add]
  | cons p ps ih => simp only [List.cons_append, magnitudeSum, ih, Rat.add_assoc]

theorem magnitudeSum_nonneg (ps : List Product) : 0 ≤ magnitudeSum ps := by
  induction ps with
  | nil => exact Rat.le_refl
  | cons p ps ih =>
    have := abs_nonneg p.exact
    simp only [magnitudeSum]
    grind

theorem abs_exactSum_le (ps : List Product) : abs (exactSum ps) ≤ magnitudeSum ps := by
  induction ps with
  | nil => simp only [exactSum, magnitudeSum, abs_zero]; exact Rat.le_refl
  | cons p ps ih =>
    have := abs_add_le p.exact (exactSum ps)
    simp only [exactSum, magnitudeSum]
    grind

/-- The order of products does not matter to their exact sum. -/
theorem exactSum_perm {ps qs : List Product} (h : ps.Perm qs) : exactSum ps = exactSum qs := by
  induction h with
  | nil => rfl
  | cons p _ ih => simp only [exactSum, ih]
  | swap p q rest => simp only [exactSum]; grind
  | trans _ _ ih₁ ih₂ => exact ih₁.trans ih₂

theorem magnitudeSum_perm {ps qs : List Product} (h : ps.Perm qs) : magnitudeSum ps = magnitudeSum qs := by
  induction h with
  | nil => rfl
  | cons p _ ih => simp only [magnitudeSum, ih]
  | swap p q rest => simp only [magnitudeSum]; grind
  | trans _ _ ih₁ ih₂ => exact ih₁.trans ih₂

theorem exactSum_products (terms : List GroupTerm) : exactSum (products terms) = exactOutput terms := by
  induction terms with
  | nil => rfl
  | cons t rest ih =>
    simp only [products, exactSum, exactOutput, Product.exact, ih]
    grind

theorem magnitudeSum_products (terms : List GroupTerm) : magnitudeSum (products terms) = outputMagnitude terms := by
  induction terms with
  | nil => rfl
  | cons t rest ih =>
    simp only [products, magnitudeSum, outputMagnitude, Product.exact, ih]
    grind

theorem products_length (terms : List GroupTerm) : (products terms).length = 2 * terms.length := by
  induction terms with
  | nil => rfl
  | cons t rest ih =>
    simp only [products, List.length_cons, ih]
    omega

namespace Evaluation

theorem products_length_pos (tree : Evaluation) : 1 ≤ tree.products.length := by
  induction tree with
  | leaf p => simp [products]
  | add left right ihl ihr => simp only [products, List.length_append]; omega
  | fused p rest ih => simp [products]

/-- Every value on the way is an integer multiple of `2^(-149)`. -/
theorem evaluate_multiple (tree : Evaluation) : IsMultiple tree.evaluate := by
  cases tree <;> exact roundFloat32_multiple _

/-- A product by a converted integer: a multiple of `2^(-149)`, off by one rounding. -/
theorem converted_product (p : Product) (h : IsMultiple p.parameter) :
    IsMultiple (p.parameter * roundFloat32 p.integer)
      ∧ abs (p.parameter * roundFloat32 p.integer - p.exact) ≤ (growth 1 - 1) * abs p.exact := by
  constructor
  · obtain ⟨n, hn⟩ := roundFloat32_intCast p.integer
    rw [hn]
    exact isMultiple_mul_int h n
  · have conversion := roundFloat32_error_le_of_multiple (isMultiple_intCast p.integer)
    have factor : p.parameter * roundFloat32 p.integer - p.exact
        = p.parameter * (roundFloat32 p.integer - p.integer) := by
      rw [Product.exact]
      grind
    have := mul_le_mul_left conversion (abs_nonneg p.parameter)
    rw [factor, abs_mul, Product.exact, abs_mul, growth_succ, growth_zero]
    grind

/-- With `L` products in a tree, its value is off by at most `(1 + u)^(L + 1) - 1` times the sum of their magnitudes:
two roundings for a product, one for each sum on the longest path. -/
theorem evaluate_error_le (tree : Evaluation) (multiples : ∀ p ∈ tree.products, IsMultiple p.parameter) :
    abs (tree.evaluate - exactSum tree.products)
      ≤ (growth (tree.products.length + 1) - 1) * magnitudeSum tree.products := by
  induction tree with
  | leaf p =>
    obtain ⟨multiple, close⟩ := converted_product p (multiples p (by simp [products]))
    have := rounding_step multiple Rat.le_refl close
    simpa only [evaluate, products, exactSum, magnitudeSum, List.length_cons, List.length_nil, Rat.add_zero] using this
  | add left right ihl ihr =>
    have hl := ihl (fun p hp => multiples p (by simp [products, hp]))
    have hr := ihr (fun p hp => multiples p (by simp [products, hp]))
    have sizeL := magnitudeSum_nonneg left.products
    have sizeR := magnitudeSum_nonneg right.products
    have posL := left.products_length_pos
    have posR := right.products_length_pos
    have moreL := growth_mono (show left.products.length + 1 ≤ left.products.length + right.products.length by omega)
    have moreR := growth_mono (show right.products.length + 1 ≤ left.products.length + right.products.length by omega)
    have weakL := mul_le_mul_right (show growth (left.products.length + 1) - 1
      ≤ growth (left.products.length + right.products.length) - 1 by grind) sizeL
    have weakR := mul_le_mul_right (show growth (right.products.length + 1) - 1
      ≤ growth (left.products.length + right.products.length) - 1 by grind) sizeR
    have close : abs (left.evaluate + right.evaluate - (exactSum left.products + exactSum right.products))
        ≤ (growth (left.products.length + right.products.length) - 1)
          * (magnitudeSum left.products + magnitudeSum right.products) := by
      have := abs_add_le (left.evaluate - exactSum left.products) (right.evaluate - exactSum right.products)
      have same : left.evaluate - exactSum left.products + (right.evaluate - exactSum right.products)
        = left.evaluate + right.evaluate - (exactSum left.products + exactSum right.products) := by grind
      rw [same] at this
      grind
    have bounded : abs (exactSum left.products + exactSum right.products)
        ≤ magnitudeSum left.products + magnitudeSum right.products := by
      have := abs_add_le (exactSum left.products) (exactSum right.products)
      have := abs_exactSum_le left.products
      have := abs_exactSum_le right.products
      grind
    have := rounding_step (isMultiple_add left.evaluate_multiple right.evaluate_multiple) bounded close
    simpa only [evaluate, products, exactSum_append, magnitudeSum_append, List.length_append] using this
  | fused p rest ih =>
    have hr := ih (fun q hq => multiples q (by simp [products, hq]))
    obtain ⟨multiple, product⟩ := converted_product p (multiples p (by simp [products]))
    have size := magnitudeSum_nonneg rest.products
    have weak := mul_le_mul_right (show growth 1 - 1 ≤ growth (rest.products.length + 1) - 1 by
      have := growth_mono (show 1 ≤ rest.products.length + 1 by omega)
      grind) (abs_nonneg p.exact)
    have close : abs (p.parameter * roundFloat32 p.integer + rest.evaluate - (p.exact + exactSum rest.products))
        ≤ (growth (rest.products.length + 1) - 1) * (abs p.exact + magnitudeSum rest.products) := by
      have := abs_add_le (p.parameter * roundFloat32 p.integer - p.exact) (rest.evaluate - exactSum rest.products)
      have same : p.parameter * roundFloat32 p.integer - p.exact + (rest.evaluate - exactSum rest.products)
        = p.parameter * roundFloat32 p.integer + rest.evaluate - (p.exact + exactSum rest.products) := by grind
      rw [same] at this
      grind
    have bounded : abs (p.exact + exactSum rest.products) ≤ abs p.exact + magnitudeSum rest.products := by
      have := abs_add_le p.exact (exactSum rest.products)
      have := abs_exactSum_le rest.products
      grind
    have := rounding_step (isMultiple_add multiple rest.evaluate_multiple) bounded close
    simpa only [evaluate, products, exactSum, magnitudeSum, List.length_cons] using this

end Evaluation

theorem multiples_of_products {terms : List GroupTerm} (h : Float32Parameters terms) :
    ∀ p ∈ products terms, IsMultiple p.parameter := by
  induction terms with
  | nil => simp [products]
  | cons t rest ih =>
    have here := h t (by simp)
    have there := ih (fun s hs => h s (by simp [hs]))
    simp only [products, List.mem_cons]
    rintro p (rfl | rfl | hp)
    · exact isMultiple_of_fixed here.1
    · exact isMultiple_of_fixed here.2
    · exact there p hp

/-- What any order of additions yields is off by at most `(1 + u)^n - 1` times `S`, `n = 2G + 1`. -/
theorem epilogue_growth {tree : Evaluation} {terms : List GroupTerm} (order : Evaluates tree terms)
    (parameters : Float32Parameters terms) :
    abs (tree.evaluate - exactOutput terms) ≤ (growth (2 * terms.length + 1) - 1) * outputMagnitude terms := by
  have multiples : ∀ p ∈ tree.products, IsMultiple p.parameter :=
    fun p hp => multiples_of_products parameters p (order.mem_iff.mp hp)
  have := tree.evaluate_error_le multiples
  rwa [exactSum_perm order, magnitudeSum_perm order, exactSum_products, magnitudeSum_products, order.length_eq,
    products_length] at this

theorem outputMagnitude_nonneg (terms : List GroupTerm) : 0 ≤ outputMagnitude terms := by
  rw [← magnitudeSum_products]
  exact magnitudeSum_nonneg _

/-- **The epilogue's bound.** Evaluated in float32 over any binary tree of additions, with or without fused
multiply-adds, the output is within `B = n·u/(1 - n·u)·S` of the exact value, `n = 2G + 1`, as long as `n·u < 1`. -/
theorem epilogue_error_le {tree : Evaluation} {terms : List GroupTerm} (order : Evaluates tree terms)
    (parameters : Float32Parameters terms) (few : ((2 * terms.length + 1 : Nat) : Rat) * unitRoundoff < 1) :
    abs (tree.evaluate - exactOutput terms) ≤ outputBound terms.length (outputMagnitude terms) :=
  Rat.le_trans (epilogue_growth order parameters)
    (mul_le_mul_right (growth_le_relativeBound few) (outputMagnitude_nonneg terms))

/-- With an activation scale the result is multiplied once more: `n` grows by one, and `2^(-150)` is added. -/
theorem scaledEpilogue_error_le {tree : Evaluation} {terms : List GroupTerm} (activationScale : Rat)
    (order : Evaluates tree terms) (parameters : Float32Parameters terms)
    (few : ((2 * terms.length + 2 : Nat) : Rat) * unitRoundoff < 1) :
    abs (roundFloat32 (activationScale * tree.evaluate) - activationScale * exactOutput terms)
      ≤ scaledOutputBound terms.length (outputMagnitude terms) activationScale := by
  have sum := epilogue_growth order parameters
  have rounding := roundFloat32_error_le_any (activationScale * tree.evaluate)
  have size := abs_nonneg activationScale
  have bounded : abs (exactOutput terms) ≤ outputMagnitude terms := by
    rw [← exactSum_products, ← magnitudeSum_products]
    exact abs_exactSum_le _
  have value : abs tree.evaluate ≤ growth (2 * terms.length + 1) * outputMagnitude terms := by
    have := abs_add_le (tree.evaluate - exactOutput terms) (exactOutput terms)
    have : tree.evaluate - exactOutput terms + exactOutput terms = tree.evaluate := by grind
    grind
  have scaledValue := mul_le_mul_left (mul_le_mul_left value size) (Rat.le_of_lt unitRoundoff_pos)
  have scaledSum := mul_le_mul_left sum size
  have total := mul_le_mul_right (growth_le_relativeBound few)
    (Rat.mul_nonneg size (outputMagnitude_nonneg terms))
  have triangle := abs_sub_le (roundFloat32 (activationScale * tree.evaluate)) (activationScale * tree.evaluate)
    (activationScale * exactOutput terms)
  have factor : abs (activationScale * tree.evaluate - activationScale * exactOutput terms)
      = abs activationScale * abs (tree.evaluate - exactOutput terms) := by
    rw [← abs_mul]
    congr 1
    grind
  rw [abs_mul] at rounding
  rw [growth_succ] at total
  rw [scaledOutputBound]
  grind

end Q35
