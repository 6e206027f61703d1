"""Checks the Lean proofs, with lake or with Lean in WebAssembly."""
