module

set_option linter.unusedVariables false

namespace Planted

/-- Refused: a warning is switched off. -/
theorem optionClaim (n : Nat) (unused : 0 < n) : n = n := rfl

end Planted
