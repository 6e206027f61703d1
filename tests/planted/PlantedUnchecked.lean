module

namespace Planted

/-- Refused: Lean's kernel is told to look away. -/
set_option debug.skipKernelTC true in
theorem uncheckedClaim : 1 = 1 := rfl

end Planted
