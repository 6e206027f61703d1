module

public section
namespace Planted
/-- Refused: it is assumed. -/
axiom assumed : 1 = 2

theorem axiomClaim : 2 = 1 := assumed.symm

end Planted
