module

public section
namespace Planted
/-- Refused: its proof is left out, in code that comments -- /- try -/ to hide. -/
theorem sorryClaim : 1 = 2 := by /- /- nested -/ still a comment -/ sorry

end Planted
