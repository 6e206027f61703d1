"""What a release is made of: the rules for wheel and sdist, and what must work once they are installed."""
