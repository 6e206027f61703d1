"""A run of the benchmark: its sections one after the other, in one process."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from q35ref.backends.native.library import Library
from tools.bench.contender import Contender, Skipped, admitted
from tools.bench.machine import describe, load, versions
from tools.bench.record import Measurement, Record, Section
from tools.bench.rounds import Samples, round_robin
from tools.bench.sections import SECTIONS, Bench
from tools.bench.settings import Settings


def run(
    settings: Settings,
    names: Iterable[str],
    library: Library,
    tell: Callable[[str], None],
    finished: Callable[[Record], None] = lambda _: None,
) -> Record:
    """Time the sections of these names. Errors: WrongResult, CompilerError.

    ``tell`` is told of what begins and of peers that are not there, ``finished`` given each section's own record.
    """
    sections: list[Section] = []
    measurements: list[Measurement] = []
    skipped: list[Skipped] = []
    for name in names:
        before = load()
        with ExitStack() as stack:
            bench = Bench(settings, library, stack, skipped)
            known = len(skipped)
            right = admitted(SECTIONS[name](bench), skipped)
            for note in skipped[known:]:
                tell(note.text())
            tell(f"{name}: {len(right)} contenders, {settings.rounds} rounds")
            samples = round_robin(list(right), settings.rounds)
            found = [
                measurement(name, contender, taken, settings.rounds, right[contender])
                for contender, taken in samples.items()
            ]
        measurements += found
        sections.append(Section(name, settings.rounds, before, load()))
        finished(Record(describe(), versions(), library.isas, (sections[-1],), tuple(found), ()))
    return Record(describe(), versions(), library.isas, tuple(sections), tuple(measurements), tuple(skipped))


def measurement(section: str, contender: Contender, taken: Samples, rounds: int, error: float | None) -> Measurement:
    """Return what is kept of a contender's samples."""
    low, middle, high = taken.quartiles(rounds)
    return Measurement(
        section=section,
        work=contender.work,
        name=contender.name,
        path=contender.path,
        k=contender.k,
        n=contender.n,
        rows=contender.rows,
        threads=contender.threads,
        bytes=contender.bytes,
        calm=len(taken.calm),
        disturbed=len(taken.disturbed),
        seconds=middle,
        quartiles=(low, high),
        error=error,
    )
