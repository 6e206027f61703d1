module

namespace Planted

/-- Refused: a program that runs while Lean checks. -/
run_cmd pure ()

end Planted
