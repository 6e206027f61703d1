"""``python -m q35ref`` is the ``q35ref`` command."""

from q35ref.cli import main

if __name__ == "__main__":
    main(prog_name="q35ref")
