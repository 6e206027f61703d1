"""``python -m tools.faults``."""

from tools.faults.cli import main

if __name__ == "__main__":
    main()
