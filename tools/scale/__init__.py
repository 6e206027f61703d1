"""Quantization of a checkpoint of many gigabytes in shards: throughput, memory, and the same bytes from any runner."""
