module

namespace Planted

/-- Refused: the compiler is believed. -/
theorem nativeDecideClaim : 2 + 2 = 4 := by native_decide

end Planted
