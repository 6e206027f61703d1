"""``python -m tools.mutation``."""

from tools.mutation.cli import main

if __name__ == "__main__":
    main()
