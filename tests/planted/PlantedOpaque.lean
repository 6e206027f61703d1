module

namespace Planted

/-- Refused: statements about it are statements about nothing known. -/
opaque hidden : Nat

end Planted
