"""Choosers: where the integers of a contract's arguments come from."""

import contextlib
import math
import random
from collections.abc import Sequence

from q35ref.contracts.contract import Arguments
from q35ref.contracts.domain import Chooser, Domain, Rejected

SMALL = 40
"""Half of the integers without a limit are this close to the limit that they have, or to zero."""

BITS = 80
"""The others have up to this many bits: beyond int64, and beyond a double's significand."""


class Unbounded(Exception):
    """A domain that cannot be exhausted."""


class Recorder:
    """Passes on what another chooser chooses, and remembers it."""

    def __init__(self, choose: Chooser) -> None:
        """Listen to ``choose``."""
        self.choose = choose
        self.choices: list[int] = []

    def __call__(self, low: int | None, high: int | None) -> int:
        """Choose."""
        self.choices.append(self.choose(low, high))
        return self.choices[-1]


class Sampler:
    """Chooses at random, the ends of ranges, zero and powers of two with their neighbours far too often."""

    def __init__(self, rng: random.Random) -> None:
        """Take randomness from ``rng``."""
        self.rng = rng

    def __call__(self, low: int | None, high: int | None) -> int:
        """Choose."""
        if low is not None and high is not None:
            edges = [low, high, 0, 1, -1, (low + high) // 2, self._power(max(abs(low), abs(high)).bit_length())]
            edge = self.rng.choice(edges)
            return edge if low <= edge <= high and self.rng.random() < 0.3 else self.rng.randint(low, high)
        size = self._magnitude()
        if low is not None:
            return low + size
        if high is not None:
            return high - size
        return self.rng.choice((-1, 1)) * size

    def _power(self, bits: int) -> int:
        return int(self.rng.choice((-1, 1)) * 2 ** self.rng.randint(0, bits) + self.rng.randint(-1, 1))

    def _magnitude(self) -> int:
        kind = self.rng.random()
        if kind < 0.5:
            return self.rng.randint(0, SMALL)
        if kind < 0.7:
            return abs(self._power(BITS))
        return self.rng.getrandbits(self.rng.randint(1, BITS))


class Replayer:
    """Chooses what it is told to, moved into the limits; when it runs out, what is nearest to zero."""

    def __init__(self, choices: Sequence[int]) -> None:
        """Replay ``choices``."""
        self.choices = iter(choices)

    def __call__(self, low: int | None, high: int | None) -> int:
        """Choose."""
        choice = next(self.choices, 0)
        choice = choice if low is None else max(choice, low)
        return choice if high is None else min(choice, high)


class _Odometer:
    """Chooses the least value of each range at first, then counts up, the last range fastest."""

    def __init__(self) -> None:
        self.prefix: list[int] = []
        self.wheels: list[tuple[int, int]] = []

    def __call__(self, low: int | None, high: int | None) -> int:
        if low is None or high is None:
            raise Unbounded
        position = len(self.wheels)
        value = self.prefix[position] if position < len(self.prefix) else low
        self.wheels.append((value, high))
        return value

    def turn(self) -> bool:
        """Prepare the next choices; return whether there are any."""
        while self.wheels:
            value, high = self.wheels.pop()
            if value < high:
                self.prefix = [wheel[0] for wheel in self.wheels] + [value + 1]
                self.wheels = []
                return True
        return False


def every(domain: Domain, limit: int) -> list[Arguments] | None:
    """Return all arguments within a domain's bounds; None if one has no limit, or there may be more than ``limit``."""
    try:
        if _size_of_largest(domain) > limit:
            return None
        return _count_up(domain, limit)
    except Unbounded:
        return None


def _size_of_largest(domain: Domain) -> int:
    """Return how many arguments there are of the shape that has the longest lists: a guess, to give up early."""
    sizes = []

    def choose_highest(low: int | None, high: int | None) -> int:
        if low is None or high is None:
            raise Unbounded
        sizes.append(high - low + 1)
        return high

    with contextlib.suppress(Rejected):
        domain.arguments(choose_highest)
    return math.prod(sizes)


def _count_up(domain: Domain, limit: int) -> list[Arguments] | None:
    odometer = _Odometer()
    found: list[Arguments] = []
    for _ in range(limit):
        with contextlib.suppress(Rejected):
            found.append(domain.arguments(odometer))
        if not odometer.turn():
            return found
    return None
