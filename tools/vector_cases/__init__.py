"""What the vector files are made from: definitions independent of the reference, faulty variants, inputs."""
