"""q35ref: reference, proofs and conformance oracle for the 3.5-bit (4+3) weight format."""
