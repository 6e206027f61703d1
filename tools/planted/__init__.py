"""What `q35ref check` says of kernels with one planted bug each, and of kernels with none."""
