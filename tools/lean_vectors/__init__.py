"""The committed vectors as Lean statements: how they are written, and which file holds which."""
