module

namespace Planted

/-- Refused: nothing that Lean's kernel has checked. -/
unsafe def unsafeClaim : 1 = 2 := unsafeClaim

end Planted
