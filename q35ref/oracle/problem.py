"""One call of one operation: what a kernel is given, in a form that can be cut down and written as code.

Packed arrays are held as the integers in them, with one more narrow integer than ``k`` has where ``k`` is odd:
that last field is there in the bytes and must be ignored.
"""

import base64
import json
import zlib
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref import reference
from q35ref.backends.numpy import NumpyBackend, codec
from q35ref.backends.reference import ReferenceBackend, exact_values
from q35ref.reference.lanes import LAYOUTS, NARROW, WIDE, group_rows
from q35ref.reference.matmul import Output

Array = NDArray[Any]

AXES = {
    "q": "KN",
    "w": "KN",
    "scale": "GN",
    "offset": "GN",
    "a": "MK",
    "x": "MK",
}
"""The dimensions of each array of a problem."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "pack": ("q", "layout"),
    "unpack": ("packed", "k", "layout"),
    "calibrate": ("w", "group_size", "method"),
    "quantize": ("w", "scale", "offset", "group_size", "narrow_gain"),
    "dequantize": ("q", "scale", "offset", "group_size", "narrow_gain"),
    "quantize_activations": ("x",),
    "matmul": ("a", "packed", "k", "layout", "group_size", "narrow_gain", "scale", "offset"),
}
"""The protocol's arguments, in order."""

PACKED_OPERATIONS = ("unpack", "matmul")
"""Operations that are given packed bytes."""

LARGE = 1 << 18
"""Weights from which on the reference is too slow: the NumPy backend says what is right, which is checked against it;
of a matmul, some columns alone are judged."""

JUDGED = 3
"""Those columns: the first, middle or last ones, by the layout and the gain."""

INLINE = 800
"""Arrays are written out in code up to this many characters."""


@dataclass(frozen=True, eq=False)
class Problem:
    """The input of one call."""

    operation: str
    """The protocol's method."""
    k: int
    """Rows, the summed dimension."""
    arrays: dict[str, Array]
    """Arrays by name; see :data:`AXES`."""
    layout: str = "byte"
    group_size: int = 0
    narrow_gain: int = 2
    method: str = "minmax"
    origin: str = ""
    """An expression that makes the problem this one was cut from."""

    def __repr__(self) -> str:
        """Return what the problem is about; :meth:`code` makes it again."""
        arrays = ", ".join(f"{name} {list(array.shape)}" for name, array in self.arrays.items())
        settings = f"{self.layout}, group size {self.group_size}, gain {self.narrow_gain}, {self.method}"
        return f"<Problem {self.operation}: K = {self.k}; {arrays}; {settings}>"

    @property
    def n(self) -> int:
        """Columns."""
        return next((a.shape[1] for name, a in self.arrays.items() if AXES[name][1] == "N"), 1)

    @property
    def m(self) -> int:
        """Rows of activations."""
        return next((len(a) for name, a in self.arrays.items() if AXES[name][0] == "M"), 1)

    @property
    def size(self) -> int:
        """Numbers that the call works on: what it costs to judge."""
        return self.k * self.n * self.m

    @property
    def input_size(self) -> int:
        """Numbers in its arrays: what there is to read. Of packed arrays the integers count."""
        return sum(array.size for array in self.arrays.values())

    @property
    def large(self) -> bool:
        """Whether the reference would take seconds for it."""
        width = self.m if "x" in self.arrays else self.n
        return width > JUDGED and self.k * width >= LARGE

    @property
    def work(self) -> int:
        """What it costs to judge, in numbers."""
        return (self.judged[0].size if self.judged else 4000) if self.large else self.size

    @property
    def refusal(self) -> bool:
        """Whether the kernel must refuse: the weights hold a NaN or an infinity."""
        return self.operation == "quantize" and not np.isfinite(self.arrays["w"]).all()

    def legal(self) -> bool:
        """Whether the format allows the input, but for weights that are not finite."""
        scale, q = self.arrays.get("scale"), self.arrays.get("q")
        if scale is not None and not (scale > 0).all():
            return False
        lanes = [] if q is None else [(q[0::2], WIDE), (q[1::2], NARROW)]
        return all(lane.size == 0 or low <= lane.min() <= lane.max() <= high for lane, (low, high) in lanes)

    def columns(self) -> list[list[int]]:
        """Return the integers of each column, ``k`` of them."""
        integers: list[list[int]] = self.arrays["q"][: self.k].T.tolist()
        return integers

    @cached_property
    def expected(self) -> Any:
        """What the reference returns for the call."""
        backend = NumpyBackend() if self.large else ReferenceBackend()
        return getattr(backend, self.operation)(**self.arguments())

    @cached_property
    def entries(self) -> list[list[Output]]:
        """What the reference says of each entry ``[M][N]`` of a matmul, bounds included."""
        return [
            [
                reference.matmul_entry(row, column, self.group_size, self.narrow_gain, scale, offset)
                for column, scale, offset in zip(
                    self.columns(), self.parameter("scale"), self.parameter("offset"), strict=True
                )
            ]
            for row in self.arrays["a"][:, : self.k].tolist()
        ]

    def parameter(self, name: str) -> list[list[Fraction]]:
        """Return the exact values of a parameter, column by column."""
        return [exact_values(column) for column in self.arrays[name].T]

    def arguments(self) -> dict[str, Any]:
        """Return the call's arguments by name, arrays fresh, contiguous and the caller's own."""
        values: dict[str, Any] = {name: np.array(array, order="C") for name, array in self.arrays.items()}
        values |= {"k": self.k, "layout": self.layout, "group_size": self.group_size}
        values |= {"narrow_gain": self.narrow_gain, "method": self.method}
        if self.operation in PACKED_OPERATIONS:
            values["packed"] = self._packed()
        return {name: values[name] for name in ARGUMENTS[self.operation]}

    def _packed(self) -> Array:
        layout, q = _layout(self.layout), self.arrays["q"]
        if self.large:
            return codec.pack(q, layout)
        return np.array([list(reference.pack_column(column, layout)) for column in q.T.tolist()], np.uint8)

    @property
    def judged(self) -> "tuple[Problem, slice] | None":
        """The part of a large matmul that is judged, and its columns; nothing if that is all of it."""
        if not self.large or self.operation != "matmul":
            return None
        start = (LAYOUTS.index(self.layout) + self.narrow_gain - 1) * (self.n - JUDGED) // 2
        columns = slice(start, start + JUDGED)
        return self.restrict(columns=columns), columns

    def restrict(
        self, rows: slice | None = None, columns: slice | None = None, activations: slice | None = None
    ) -> "Problem":
        """Return the problem cut to some rows, columns and rows of activations.

        ``rows`` must begin at a group's first row, or at any even row of a problem that has one group.
        """
        first, last = (0, self.k) if rows is None else (rows.start, rows.stop)
        stored = last + (last % 2 if self.operation in PACKED_OPERATIONS else 0)
        groups = [g for g, r in enumerate(group_rows(self.k, self.group_size)) if r.stop > first and r.start < last]
        everything = slice(None)
        cuts = {
            "K": slice(first, last),
            "N": columns or everything,
            "M": activations or everything,
            "G": slice(groups[0], groups[-1] + 1),
        }
        arrays = {name: array[cuts[AXES[name][0]], cuts[AXES[name][1]]] for name, array in self.arrays.items()}
        if "q" in arrays:
            arrays["q"] = self.arrays["q"][first:stored, cuts["N"]]
        parts = {"rows": rows, "columns": columns, "activations": activations}
        cut = ", ".join(f"{name}={part!r}" for name, part in parts.items() if part is not None)
        origin = f"{self.origin}.restrict({cut})" if self.origin else ""
        return replace(self, k=last - first, arrays=arrays, origin=origin)

    def with_settings(self, **settings: Any) -> "Problem":
        """Return the problem with other settings."""
        changed = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        origin = f"{self.origin}.with_settings({changed})" if self.origin else ""
        return replace(self, **settings, origin=origin)

    def folded(self) -> str:
        """Return the whole problem as text for :func:`unfold`."""
        parts = {name: [array.dtype.str, array.shape, array.tobytes().hex()] for name, array in self.arrays.items()}
        told = [self.operation, self.k, parts, self.layout, self.group_size, self.narrow_gain, self.method]
        return base64.b85encode(zlib.compress(json.dumps(told).encode())).decode()

    def with_array(self, name: str, values: Array) -> "Problem":
        """Return the problem with one array replaced."""
        return replace(self, arrays={**self.arrays, name: values}, origin="")

    def code(self, kernel: str = "kernel") -> str:
        """Return Python that makes the input and calls ``kernel``; only NumPy and q35ref are needed."""
        if any(len(array_code(array)) > INLINE for array in self.arrays.values()):
            call = f"{kernel}.{self.operation}(*problem.arguments().values())"
            made = self.origin or f"q35ref.oracle.unfold({self.folded()!r})"
            return f"import q35ref\nproblem = {made}  # too long to be written out\n{call}"
        names = ARGUMENTS[self.operation]
        lines = ["import numpy as np"]
        if self.operation in PACKED_OPERATIONS:
            lines.append("from q35ref.backends import get")
        lines += [f"{name} = {array_code(array)}" for name, array in self.arrays.items()]
        if self.operation in PACKED_OPERATIONS:
            lines.append(f'packed = get("reference").pack(q, {self.layout!r})')
        settings = [name for name in names if name not in (*self.arrays, "packed")]
        if settings:
            values = ", ".join(repr(getattr(self, name)) for name in settings)
            lines.append(f"{', '.join(settings)} = {values}")
        return "\n".join([*lines, f"{kernel}.{self.operation}({', '.join(names)})"])


def unfold(text: str) -> Problem:
    """Return the problem that :meth:`Problem.folded` wrote.

    >>> unfold(Problem("pack", 1, {"q": np.array([[3]], np.int8)}).folded()).arrays["q"].tolist()
    [[3]]
    """
    operation, k, parts, layout, group_size, narrow_gain, method = json.loads(zlib.decompress(base64.b85decode(text)))
    arrays: dict[str, Array] = {
        name: np.frombuffer(bytes.fromhex(data), dtype).reshape(shape) for name, (dtype, shape, data) in parts.items()
    }
    return Problem(operation, k, arrays, layout, group_size, narrow_gain, method)


def _layout(name: str) -> Any:
    return name


def _pattern(array: Array) -> Array:
    """Return the first row or two if they repeat all the way down, bit for bit, else the whole array."""
    for rows in (1, 2):
        if len(array) > 2 * rows and np.resize(array[:rows], array.shape).tobytes() == array.tobytes():
            return array[:rows]
    return array


def array_code(array: Array) -> str:
    """Return an expression that restores every bit of an array that is small or has a pattern."""
    dtype = f"np.{array.dtype}"
    if array.ndim == 1:
        return f"{array_code(array[None])}[0]"
    if len(array) == 1 and array.size > 8 and array.tobytes() == array.size * array.flat[0].tobytes():
        return f"np.full({array.shape}, {_number(array.flat[0])}, {dtype})"
    pattern = _pattern(array)
    rows = ", ".join("[" + ", ".join(_number(value) for value in row) + "]" for row in pattern)
    if len(pattern) < len(array):
        return f"np.resize(np.array([{rows}], {dtype}), {array.shape})"
    return f"np.array([{rows}], {dtype})"


def _number(value: Any) -> str:
    if isinstance(value, np.integer):
        return str(int(value))
    number = float(value)
    if np.isnan(number):
        return "np.nan"
    if np.isinf(number):
        return "np.inf" if number > 0 else "-np.inf"
    fraction, exponent = np.frexp(abs(number))
    if fraction == 0.5 and abs(exponent) > 12:
        return f"{'-' if number < 0 else ''}2.0**{exponent - 1}"
    return repr(number)
