module

namespace Planted

-- Refused by its text: Lean's kernel is told to look away. The audit asks it again.
set_option debug.skipKernelTC true in
/-- Lean finds this true: nobody but its kernel looks. -/
theorem uncheckedClaim : 1 = 2 := by decide +kernel

end Planted
