module

namespace Planted

/-- Refused: the warning is caught before it is heard. -/
#guard_msgs (drop warning) in
theorem guardedClaim (n : Nat) (unused : 0 < n) : n = n := rfl

end Planted
