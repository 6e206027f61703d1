module

public meta import Lean

namespace Planted

/-- Refused: with the package `Lean` a file can change Lean. -/
theorem importClaim : 1 = 1 := rfl

end Planted
