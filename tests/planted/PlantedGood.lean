module

public section
namespace Planted
/-- Nothing is wrong here: the words sorry, axiom and native_decide stand in a comment, /- even /- deep -/ in one -/. -/
theorem promised : 1 = 1 := rfl

def x' : Char := '"' -- a quotation mark, no string: sorry

/-- -/
theorem another (n : Nat) : n + 0 = n := by omega

end Planted
