"""``python -m tools.planted``."""

from tools.planted.cli import main

if __name__ == "__main__":
    main()
