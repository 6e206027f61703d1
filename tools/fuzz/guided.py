"""The process that atheris runs in: ``python -m tools.fuzz.guided TARGET STATS [libFuzzer's options] [FOLDER...]``.

The product's code is instrumented while it is imported, so that inputs which reach new code are kept and changed on.
"""

import json
import random
import sys
from pathlib import Path

import atheris

from tools.fuzz.measure import Gauge
from tools.fuzz.mutate import changed
from tools.fuzz.targets import find


def main() -> None:
    """Run the process; libFuzzer ends it."""
    name, stats = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=["q35ref"]):
        target = find(name)
    seeds, gauge = target.seeds(), Gauge(target)
    gauge.warm(seeds)

    def read(data: bytes) -> None:
        before = gauge.worst.memory_share, gauge.worst.seconds
        found = gauge.read(data)
        if (gauge.worst.memory_share, gauge.worst.seconds) != before:
            stats.write_text(json.dumps(gauge.worst.document()))
        if found is not None:
            sys.stderr.write(f"\nq35-fuzz: {found.kind}: {found.text}\n")
            raise RuntimeError(found.kind)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        """Change an input by libFuzzer's means, or by ours, which know numbers and words."""
        rng = random.Random(seed)
        if rng.random() < 0.5:
            mutated: bytes = atheris.Mutate(data, longest)
            return mutated
        return changed(bytes(data), rng, seeds, longest)

    atheris.Setup([sys.argv[0], *sys.argv[3:]], read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
