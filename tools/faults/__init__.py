"""What is left of `q35ref quantize` and `dequantize` when the system fails them, and what they say."""
