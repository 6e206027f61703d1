module

namespace Planted

/-- Refused: it is false. -/
theorem errorClaim : 1 = 2 := by decide

end Planted
