"""``python -m q35ref.contracts [MODULE ...]``: run the contracts of some modules, or all of them.

One line a contract; exit status 1 if one is violated.
"""

import importlib
import sys

from q35ref.contracts import all_contracts, run_all
from q35ref.contracts.contract import read_module

SEED = 1
COUNT = 200


def main(names: list[str]) -> int:
    """Run the contracts of the modules of these names."""
    chosen = [c for name in names for c in read_module(importlib.import_module(name))] if names else all_contracts()
    failed = False
    for outcome in run_all(SEED, COUNT, chosen):
        how = "exhausted" if outcome.exhausted else "tested"
        print(f"{outcome.name}: {how}, {outcome.cases} cases")
        if outcome.violation is not None:
            failed = True
            print(f"{outcome.name}: violated: {outcome.violation.message}; {outcome.violation.code}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
