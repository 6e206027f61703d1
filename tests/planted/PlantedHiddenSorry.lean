module

namespace Planted

open Lean in
/-- Refused: a macro puts the word together, so that nobody meets it who only reads. -/
macro "trivially" : tactic => return ⟨.node .none (.str `Lean.Parser.Tactic ("tacticSo" ++ "rry")) #[mkAtom "s"]⟩

theorem hiddenSorryClaim : 1 = 2 := by trivially

end Planted
