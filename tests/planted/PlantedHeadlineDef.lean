module

public section
namespace Planted
/-- Refused as a headline: a name for a statement is no proof of it. -/
abbrev promisedOnly : Prop := 1 = 2

end Planted
