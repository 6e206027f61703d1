"""Tables of a record as rows of text: the command prints them, the page shows them."""

from tools.bench.tables import Grid
from tools.scale.record import Record


def giga(number: float) -> str:
    """Return a number in billions.

    >>> giga(1_234_567_890)
    '1.23'
    """
    return f"{number / 1e9:.3g}"


def mebi(number: int) -> str:
    """Return bytes in MiB, nothing for none."""
    return f"{number / 2**20:,.0f}" if number else ""


def runs(record: Record) -> Grid:
    """Return a row for each run, and for the copy that is their floor."""
    source, fastest = record.source.bytes, min(record.copies)
    serial = record.runs[0]
    rows = [["copy of the same files", f"{fastest:.1f}", giga(source / fastest), "1.00", "", "", "", "", ""]]
    for run in record.runs:
        rate = source / run.seconds
        rows.append(
            [
                run.name,
                f"{run.seconds:.1f}",
                giga(rate),
                f"{rate / record.copied:.2f}",
                f"{serial.seconds / run.seconds:.2f}",
                f"{run.cpu:.1f}",
                mebi(run.peak),
                mebi(run.worker_peak) if run is not serial else "",
                run.digest[:16],
            ]
        )
    headings = ["run", "s", "GB/s of source", "of copy", "of serial", "CPU s", "peak MiB", "a worker's", "SHA-256"]
    return Grid("Runs", headings, rows, 1)


def parts(record: Record) -> Grid:
    """Return where the time goes, on one matrix alone."""
    found = record.parts
    total = found.read + found.quantize + found.measure
    rows = [
        [what, how, f"{seconds * 1e3:.0f}", f"{found.weights / seconds / 1e6:.0f}", f"{seconds / total:.0%}"]
        for what, how, seconds in (
            ("read, widen to float32", "NumPy", found.read),
            ("calibrate, quantize, pack", "native, if it is built", found.quantize),
            ("measure the error of every weight", "NumPy, in doubles", found.measure),
        )
    ]
    return Grid("Where the time goes", ["part", "by", "CPU ms", "M weights/s", "share"], rows, 2)
