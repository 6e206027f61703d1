"""Bugs that no result shows alone: what a kernel does beside its work."""

from q35ref.oracle.bugs.base import Bug

ANY = ("pack", "unpack", "calibrate", "quantize", "dequantize", "quantize_activations", "matmul")


class Behaviour(Bug):
    """Seen by how a call goes (:data:`q35ref.oracle.judge.FAULTS`), not by what it gives."""

    operations = ANY


class Crash(Behaviour):
    """A call ends the process by a signal."""

    effect = "whoever calls it dies with it"


class Hang(Behaviour):
    """A call does not come back."""

    effect = "whoever calls it waits for ever"


class Exits(Behaviour):
    """A call ends the process as if all were done."""

    effect = "whoever calls it stops in silence, with a status of its own choosing"


class OutOfBoundsWrite(Behaviour):
    """Bytes outside the outputs are written."""

    effect = "other data change, now or only in production"


class Overread(Behaviour):
    """Bytes outside the inputs are read."""

    effect = "a crash where an array ends with its page, or results that depend on strangers' data"


class Misaligned(Behaviour):
    """Arrays are taken to lie at rounder addresses than their elements need."""

    effect = "a crash on a slice of an array"


class InputModified(Behaviour):
    """An input array is written."""

    effect = "the next call, or the caller, computes with other numbers"


class ChangedEnvironment(Behaviour):
    """The caller's rounding mode, or another setting of the floating-point unit, is not put back."""

    effect = "all arithmetic after the call is another"


class NullResult(Behaviour):
    """A result that the caller does not want (NULL) is written nevertheless, or the others come out differently."""

    effect = "a crash, or other numbers, for callers that want a part of the results"


class StaleOutput(Behaviour):
    """Results are added to what the output held before."""

    effect = "right in the first call on zeroed memory, wrong in the next"


class KeptState(Behaviour):
    """What a call gives depends on calls before it."""

    effect = "right alone and in most tests, wrong in a program that makes other calls too"


class StaleCache(Behaviour):
    """What was made of an array is used again for other contents at its address."""

    effect = "right until a buffer is used a second time, then the weights of another layer"


class ReusedResult(Behaviour):
    """A result is changed by a later call, which returns the same array."""

    effect = "results that are kept turn into others"


class ThreadRace(Behaviour):
    """Equal calls give unequal results, or the number of threads changes them."""

    effect = "wrong now and then"
