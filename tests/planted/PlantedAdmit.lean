module

namespace Planted

/-- Refused: as `sorry` is. -/
theorem admitClaim : 1 = 2 := by admit

end Planted
