"""What a file says of its quantized tensors: the metadata entry ``"q35ref"``, version 1.

A quantized tensor NAME is stored as three: ``NAME.q35_packed`` U8 [N, column_bytes], ``NAME.q35_scale`` and
``NAME.q35_offset`` F32 [G, N]. The entry is JSON text; ``schema.json`` beside this module describes it to others,
and :func:`parse_records` refuses whatever that schema refuses.
"""

import json
import math
import reprlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Final, Literal, cast, get_args

from q35ref.checkpoints import strict_json
from q35ref.checkpoints.errors import printable
from q35ref.checkpoints.floats import FLOAT_DTYPES
from q35ref.checkpoints.header import TensorInfo
from q35ref.quality import Quality
from q35ref.reference.calibration import METHODS, Method
from q35ref.reference.codec import column_bytes
from q35ref.reference.lanes import GROUP_MULTIPLE, LAYOUTS, MAX_SIZE, NARROW_GAINS, Layout, group_count

METADATA_ENTRY: Final = "q35ref"
"""The key of a file's metadata under which the entry stands."""

SCHEMA_VERSION: Final = 1
"""The version that this module reads and writes."""

PART_SUFFIXES: Final = (".q35_packed", ".q35_scale", ".q35_offset")
"""What the names of a quantized tensor's three parts end in."""

Orientation = Literal["out_in", "in_out"]
"""How a source's matrix lies: ``out_in`` is ``[N, K]``, the Linear of PyTorch and Hugging Face; ``in_out`` is
``[K, N]``, the Conv1D of GPT-2. K is the summed dimension."""

ORIENTATIONS: Final = get_args(Orientation)
"""Every :data:`Orientation`."""

MEASURES: Final = tuple(field.name for field in fields(Quality) if field.name != "weights")
"""What is recorded of a tensor's quality, by the names of :class:`~q35ref.quality.Quality`."""

LONGEST_NUMBER: Final = sys.float_info.max
"""A float whose text is as long as that of any float >= 0."""


@dataclass(frozen=True)
class TensorRecord:
    """One quantized tensor of a file."""

    name: str
    """Its name, that of the source's tensor."""
    k: int
    """Rows, the summed dimension."""
    n: int
    """Columns."""
    group_size: int
    """Rows of a group; 0 for the whole column."""
    narrow_gain: int
    """Factor of the narrow lane."""
    layout: Layout
    """How codes are stored."""
    method: Method
    """How the parameters were chosen."""
    source_dtype: str
    """The source's dtype."""
    orientation: Orientation
    """How the source's matrix lies."""
    quality: Quality
    """The errors, measured at quantization against the source as float32."""

    @property
    def shape(self) -> tuple[int, int]:
        """The source's shape."""
        return (self.n, self.k) if self.orientation == "out_in" else (self.k, self.n)

    @property
    def parts(self) -> tuple[TensorInfo, TensorInfo, TensorInfo]:
        """The stored tensors: packed, scale, offset. Errors: ValueError for an illegal size."""
        packed, scale, offset = (self.name + suffix for suffix in PART_SUFFIXES)
        parameters = (group_count(self.k, self.group_size), self.n)
        return (
            TensorInfo(packed, "U8", (self.n, column_bytes(self.k, self.layout))),
            TensorInfo(scale, "F32", parameters),
            TensorInfo(offset, "F32", parameters),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of codes and parameters together."""
        return sum(part.nbytes for part in self.parts)

    @property
    def bits_per_weight(self) -> Fraction:
        """True bits a weight: codes with their padding, scales and offsets, as they are stored."""
        return Fraction(8 * self.nbytes, self.k * self.n)

    def document(self) -> dict[str, object]:
        """Return the record as the schema has it; a number that is not finite becomes null."""
        described = {key: getattr(self, key) for key in RULES}
        return {**described, "quality": {key: finite_or_none(getattr(self.quality, key)) for key in MEASURES}}


RULES: Final[dict[str, tuple[Any, ...] | range]] = {
    "k": range(1, MAX_SIZE + 1),
    "n": range(1, MAX_SIZE + 1),
    "group_size": range(0, MAX_SIZE + 1, GROUP_MULTIPLE),
    "narrow_gain": NARROW_GAINS,
    "layout": LAYOUTS,
    "method": METHODS,
    "source_dtype": FLOAT_DTYPES,
    "orientation": ORIENTATIONS,
}
"""The values that each key of a record may have; ranges and gains are of integers, the others of text."""


def unmeasured() -> Quality:
    """Return a quality that takes as much room as any, to foresee the length of a header."""
    return Quality(0, **dict.fromkeys(MEASURES, LONGEST_NUMBER))


def finite_or_none(value: float) -> float | None:
    """Return a float as JSON can say it."""
    return value if math.isfinite(value) else None


def encode_records(records: Iterable[TensorRecord]) -> str:
    """Return the text of the metadata entry."""
    tensors = {record.name: record.document() for record in records}
    document = {"schema_version": SCHEMA_VERSION, "tensors": tensors}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse_records(text: str | None) -> dict[str, TensorRecord]:
    """Return the quantized tensors that a metadata entry describes, none for ``None``.

    Errors: ValueError for text that is not of this schema and version.
    """
    if text is None:
        return {}
    document = strict_json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"metadata {METADATA_ENTRY!r}: expected a JSON object")
    version = document.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ValueError(
            f"metadata {METADATA_ENTRY!r}: expected schema_version {SCHEMA_VERSION}, got {reprlib.repr(version)}"
        )
    tensors = _object(f"metadata {METADATA_ENTRY!r}", document, ("schema_version", "tensors"))["tensors"]
    if not isinstance(tensors, dict) or not tensors:
        raise ValueError(f"metadata {METADATA_ENTRY!r}: expected tensors to be an object that names at least one")
    return {name: _parse_record(name, entry) for name, entry in tensors.items()}


def check_parts(tensors: Mapping[str, TensorInfo], records: Mapping[str, TensorRecord]) -> None:
    """Refuse records without their parts, parts without a record, and a name that is stored in both ways.

    Errors: ValueError that names the tensor.
    """
    expected = {}
    for name, record in records.items():
        about = f"tensor {printable(name)}"
        if name in tensors:
            raise ValueError(f"{about}: expected it quantized or not, got both")
        try:
            parts = record.parts
        except ValueError as error:
            raise ValueError(f"{about}: {error}") from None
        for part in parts:
            expected[part.name] = part
            found = tensors.get(part.name)
            got = "none" if found is None else f"{found.dtype} {list(found.shape)}"
            if found is None or (found.dtype, found.shape) != (part.dtype, part.shape):
                raise ValueError(
                    f"{about}: expected {printable(part.name)} to be {part.dtype} {list(part.shape)}, got {got}"
                )
    for name in tensors:
        if name.endswith(PART_SUFFIXES) and name not in expected:
            raise ValueError(f"tensor {printable(name)}: a part of a quantized tensor that the metadata lacks")


def _parse_record(name: str, entry: object) -> TensorRecord:
    about = f"tensor {printable(name)}"
    found = _object(about, entry, (*RULES, "quality"))
    for key, allowed in RULES.items():
        # Types first: a range would be searched from end to end for text, and True is 1 to a tuple.
        if type(found[key]) is not type(allowed[0]) or found[key] not in allowed:
            raise ValueError(f"{about}: expected {key} to be {_describe(allowed)}, got {reprlib.repr(found[key])}")
    measured = _object(f"{about}: quality", found["quality"], MEASURES)
    for key, value in measured.items():
        if value is not None and (type(value) not in (int, float) or not 0 <= value <= LONGEST_NUMBER):
            raise ValueError(f"{about}: expected {key} to be a finite number >= 0 or null, got {reprlib.repr(value)}")
    described = cast("dict[str, Any]", {key: found[key] for key in RULES})
    numbers = {key: float("nan") if value is None else float(value) for key, value in measured.items()}
    return TensorRecord(name, **described, quality=Quality(found["k"] * found["n"], **numbers))


def _object(about: str, value: object, keys: Iterable[str]) -> dict[str, Any]:
    wanted = set(keys)
    if not isinstance(value, dict) or value.keys() != wanted:
        raise ValueError(f"{about}: expected an object of {', '.join(sorted(wanted))}")
    return value


def _describe(allowed: tuple[Any, ...] | range) -> str:
    if isinstance(allowed, range):
        step = f", a multiple of {allowed.step}" if allowed.step > 1 else ""
        return f"an integer from {allowed.start} to {allowed.stop - 1}{step}"
    return f"one of {', '.join(map(repr, allowed))}"
