"""Round-robin: in every round each contender runs in turn, so that a machine that slows down slows all of them."""

import resource
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.bench.contender import Contender

MOST_ROUNDS = 2
"""Times the rounds that were asked for, where other processes disturb them."""

SETTLE = 0.015
"""Seconds after a call with several threads: a library's workers spin for a while before they sleep."""

SWITCH_EVERY = 5e-3
"""Seconds of a sample for each of which the system's own housekeeping may take the processor away once."""


@dataclass
class Samples:
    """Seconds of one call, one number a round."""

    calm: list[float] = field(default_factory=list)
    """Of rounds in which no other process took the processor away."""
    disturbed: list[float] = field(default_factory=list)

    def used(self, rounds: int) -> list[float]:
        """Return the calm ones if there are enough of them, else all."""
        return self.calm if 2 * len(self.calm) >= rounds else self.calm + self.disturbed

    def quartiles(self, rounds: int) -> tuple[float, float, float]:
        """Return the lower quartile, the median and the upper one of the samples in use."""
        used = self.used(rounds)
        if len(used) == 1:
            return used[0], used[0], used[0]
        low, middle, high = statistics.quantiles(used, n=4, method="inclusive")
        return low, middle, high


def _switches() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def time_once(contender: Contender, samples: Samples) -> None:
    """Take one sample, right after a warm call."""
    contender.prepare()
    contender.run()
    switches, begun = _switches(), time.perf_counter()
    for _ in range(contender.calls):
        contender.run()
    seconds = time.perf_counter() - begun
    calm = _switches() - switches <= 1 + seconds / SWITCH_EVERY
    contender.finish()
    (samples.calm if calm else samples.disturbed).append(seconds / contender.calls)
    if contender.threads > 1:
        time.sleep(SETTLE)


def round_robin(contenders: Sequence[Contender], rounds: int) -> Mapping[Contender, Samples]:
    """Time all of them for ``rounds`` rounds, and some more rounds those whose samples were disturbed."""
    samples = {contender: Samples() for contender in contenders}
    for number in range(MOST_ROUNDS * rounds):
        waiting = [c for c in contenders if number < rounds or len(samples[c].calm) < rounds]
        for contender in waiting:
            time_once(contender, samples[contender])
    return samples
