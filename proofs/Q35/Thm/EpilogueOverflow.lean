module

public import Q35.Thm.Epilogue

@[expose] public noncomputable section

/-!
# Where nothing overflows on the way, float32 arithmetic is the evaluation that the bound is about

`roundFloat32` has no upper limit. Here: with `S < 2^127` and `n·u ≤ 1/2` no conversion, product or sum needs one.
-/

namespace Q35

theorem growth_le_two {n : Nat} (h : n ≤ 2 ^ 23) : growth n ≤ 2 := by
  have size : (n : Rat) ≤ ((2 ^ 23 : Nat) : Rat) := by exact_mod_cast h
  have half : ((2 ^ 23 : Nat) : Rat) * unitRoundoff = 1 / 2 := by decide +kernel
  have few : (n : Rat) * unitRoundoff ≤ 1 / 2 := half ▸ mul_le_mul_right size (Rat.le_of_lt unitRoundoff_pos)
  have positive : 0 ≤ growth n := Rat.le_trans (by decide) (one_le_growth n)
  have rest : (1 : Rat) / 2 ≤ 1 - n * unitRoundoff := by grind
  have := Rat.le_trans (mul_le_mul_left rest positive) (growth_mul_le_one n)
  grind

theorem not_overflows_intCast {i : Int} (h : i.natAbs ≤ 2 ^ 31) : ¬ Overflows i := by
  rw [overflows_iff, abs_intCast]
  have size : (i.natAbs : Rat) ≤ ((2 ^ 31 : Nat) : Rat) := by exact_mod_cast h
  have : ((2 ^ 31 : Nat) : Rat) < overflowThreshold := by decide +kernel
  grind

namespace Evaluation

/-- No step of a tree overflows whose products are few and sum up to less than `2^127` in magnitude. -/
theorem noOverflow_of_small (tree : Evaluation) (multiples : ∀ p ∈ tree.products, IsMultiple p.parameter)
    (int32 : ∀ p ∈ tree.products, p.integer.natAbs ≤ 2 ^ 31) (small : magnitudeSum tree.products < 2 ^ 127)
    (few : tree.products.length + 1 ≤ 2 ^ 23) : tree.NoOverflow := by
  induction tree with
  | leaf p =>
    have here : p ∈ (leaf p).products := by simp [products]
    obtain ⟨_, close⟩ := converted_product p (multiples p here)
    refine ⟨not_overflows_intCast (int32 p here), ?_⟩
    simp only [products, magnitudeSum, Rat.add_zero] at small
    exact not_overflows_of_close Rat.le_refl close small (growth_le_two (by decide))
  | add left right ihl ihr =>
    simp only [products, magnitudeSum_append, List.length_append] at small few
    have sizeL := magnitudeSum_nonneg left.products
    have sizeR := magnitudeSum_nonneg right.products
    have posL := left.products_length_pos
    have posR := right.products_length_pos
    have multiplesL : ∀ p ∈ left.products, IsMultiple p.parameter := fun p hp => multiples p (by simp [products, hp])
    have multiplesR : ∀ p ∈ right.products, IsMultiple p.parameter := fun p hp => multiples p (by simp [products, hp])
    refine ⟨ihl multiplesL (fun p hp => int32 p (by simp [products, hp])) (by grind) (by omega),
      ihr multiplesR (fun p hp => int32 p (by simp [products, hp])) (by grind) (by omega), ?_⟩
    have hl := left.evaluate_error_le multiplesL
    have hr := right.evaluate_error_le multiplesR
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
    exact not_overflows_of_close bounded close small (growth_le_two few)
  | fused p rest ih =>
    simp only [products, magnitudeSum, List.length_cons] at small few
    have here : p ∈ (fused p rest).products := by simp [products]
    have multiplesR : ∀ q ∈ rest.products, IsMultiple q.parameter := fun q hq => multiples q (by simp [products, hq])
    have size := magnitudeSum_nonneg rest.products
    have sizeP := abs_nonneg p.exact
    obtain ⟨_, product⟩ := converted_product p (multiples p here)
    refine ⟨ih multiplesR (fun q hq => int32 q (by simp [products, hq])) (by grind) (by omega),
      not_overflows_intCast (int32 p here), ?_⟩
    have hr := rest.evaluate_error_le multiplesR
    have weak := mul_le_mul_right (show growth 1 - 1 ≤ growth (rest.products.length + 1) - 1 by
      have := growth_mono (show 1 ≤ rest.products.length + 1 by omega)
      grind) sizeP
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
    exact not_overflows_of_close bounded close small (growth_le_two (by omega))

end Evaluation

/-- If the integers fit int32, `S < 2^127` and `2G + 1 ≤ 2^23`, no conversion, product or sum on the way overflows, in
any order of additions: IEEE 754 arithmetic is then the arithmetic that `epilogue_error_le` is about. -/
theorem epilogue_no_overflow {tree : Evaluation} {terms : List GroupTerm} (order : Evaluates tree terms)
    (parameters : Float32Parameters terms)
    (int32 : ∀ t ∈ terms, t.acc.natAbs ≤ 2 ^ 31 ∧ t.rowSum.natAbs ≤ 2 ^ 31)
    (small : outputMagnitude terms < 2 ^ 127) (few : 2 * terms.length + 1 ≤ 2 ^ 23) : tree.NoOverflow := by
  apply tree.noOverflow_of_small
  · exact fun p hp => multiples_of_products parameters p (order.mem_iff.mp hp)
  · have fits : ∀ p ∈ products terms, p.integer.natAbs ≤ 2 ^ 31 := by
      clear order parameters small few
      induction terms with
      | nil => simp [products]
      | cons t rest ih =>
        have here := int32 t (by simp)
        have there := ih (fun s hs => int32 s (by simp [hs]))
        simp only [products, List.mem_cons]
        rintro p (rfl | rfl | hp)
        · exact here.1
        · exact here.2
        · exact there p hp
    exact fun p hp => fits p (order.mem_iff.mp hp)
  · rwa [magnitudeSum_perm order, magnitudeSum_products]
  · rwa [order.length_eq, products_length]

end Q35
