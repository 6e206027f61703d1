"""Two runs that write the same destination at once."""

import time

import numpy as np

from tools.faults.bench import SECOND, WHOLE, Bench
from tools.faults.files import temporaries
from tools.faults.record import Row
from tools.faults.trial import FINISHED, KILLED, ending


def two_writers(bench: Bench, count: int, seed: int, duration: float, kill: bool) -> Row:
    """Start two runs, of the two versions, at most half a run apart; kill one of them at a random moment if asked.

    A run that is not killed must finish; the destination is what one of those that finished has written, or a killed
    one just before its end.
    """
    rng, tally = np.random.default_rng(seed), bench.tally()
    for _ in range(count):
        bench.put_older(there=True)
        apart, moment = rng.uniform(0, duration / 2), rng.uniform(0, duration)
        jobs = [bench.first, bench.second] if rng.random() < 0.5 else [bench.second, bench.first]
        first = jobs[0].start()
        time.sleep(apart)
        second = jobs[1].start()
        if kill:
            time.sleep(moment)
            first.kill()
        ends = [ending(first, killed=kill), ending(second)]
        allowed = {(FINISHED, WHOLE), (FINISHED, SECOND)}
        about = f"{apart:.3f} s apart"
        tally.see(*ends[1], allowed, about)
        if ends[0][0] not in (FINISHED, KILLED if kill else FINISHED):
            tally.blame(f"{about}: the first run {ends[0][0]} ({ends[0][1]})")
        left = len(temporaries(bench.destination.parent))
        if left > int(ends[0][0] == KILLED):
            tally.blame(f"{about}: {left} temporary files are left")
    what = "two writers, the first one killed" if kill else "two writers"
    return tally.row(what, bench.first, f"started up to {duration / 2:.2f} s apart", WHOLE)
