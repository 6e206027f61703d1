module

namespace Planted

/-- Refused: Lean reads the arrow and a minus where others see a comment. -/
def commentClaim : Option Int := do
  let x <-- some 1
  return x

end Planted
