module

namespace Planted

/-- Refused: nothing needs its hypothesis, and Lean says so. -/
theorem warningClaim (n : Nat) (unused : 0 < n) : n = n := rfl

end Planted
