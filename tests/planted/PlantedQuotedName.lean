module

namespace Planted

/-- Refused: quotation marks let a word be written so that none is seen. -/
theorem quotedNameClaim : 1 = 2 := «sorryAx» _

end Planted
