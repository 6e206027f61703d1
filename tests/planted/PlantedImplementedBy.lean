module

namespace Planted

def other : Nat := 2

/-- Refused: it computes something else than it says. -/
@[implemented_by other]
def one : Nat := 1

end Planted
