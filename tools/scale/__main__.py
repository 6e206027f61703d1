"""``python -m tools.scale``."""

from tools.scale.cli import main

if __name__ == "__main__":
    main()
