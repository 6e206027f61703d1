"""Python that shows a finding again without the oracle: it needs ctypes, NumPy and the kernel, no more.

What a kernel does beside its work shows itself only where something looks for it; such a script lays the traps that
the oracle had laid, one for each kind of fault.
"""

import base64
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from q35ref.oracle.foreign.abi import CCall, Input, Number, Output
from q35ref.oracle.foreign.environment import FLAGS, MXCSR, X86
from q35ref.oracle.foreign.observe import FILLS, REPEATS, THREADS
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import INLINE, Problem, array_code


@dataclass(frozen=True)
class Script:
    """The parts of which every such script is made."""

    load: tuple[str, ...]
    """Lines that make the kernel."""
    arrays: dict[str, str]
    """An expression for each array, inputs first; outputs hold the byte ``fill`` before."""
    arguments: dict[str, str]
    """An expression for each argument of the call."""
    function: str
    result: str = "result"
    """The name of what the function returns, or nothing."""
    outputs: tuple[str, ...] = ()
    """Arrays that the call writes; else it returns its results."""
    optional: tuple[str, ...] = ()
    """Those for which None may be passed."""
    set_threads: str = ""
    """The function that sets the number of threads, if there is one."""

    @property
    def places(self) -> list[str]:
        """The lines that make the arrays."""
        return [f"{name} = {made}" for name, made in self.arrays.items()]

    @property
    def call(self) -> str:
        """The line that calls the kernel."""
        called = f"{self.function}({', '.join(self.arguments.values())})"
        return f"{self.result} = {called}" if self.result else called

    @property
    def shown(self) -> str:
        """What is printed of a call."""
        return ", ".join([*([self.result] if self.result else []), *self.outputs])

    @property
    def types(self) -> str:
        """An expression for the types and shapes of the results of a kernel that returns them."""
        parts = f"({self.result} if isinstance({self.result}, tuple) else [{self.result}])"
        return f'[(type(part), getattr(part, "dtype", ""), getattr(part, "shape", "")) for part in {parts}]'

    @property
    def compared(self) -> str:
        """An expression for the bits of what a call gives."""
        if self.outputs:
            return (
                f"({', '.join([*([self.result] if self.result else []), *(f'{o}.tobytes()' for o in self.outputs)])},)"
            )
        return "[np.asarray(part).tobytes() for part in (result if isinstance(result, tuple) else [result])]"

    def under(self, fault: Mismatch) -> "Script":
        """Return the script with the threads, and without the results, of the call in which a fault shows."""
        threads = self.set_threads and fault.threads > 1
        load = (*self.load, f"{self.set_threads}(ctypes.c_int32({fault.threads}))") if threads else self.load
        return replace(self, load=load, arguments={**self.arguments, **dict.fromkeys(fault.left_out, "None")})

    def having(self, name: str, made: str) -> "Script":
        """Return the script with another expression for an array."""
        return replace(self, arrays={**self.arrays, name: made.format(self.arrays[name])})

    def text(self, before: Iterable[str], after: Iterable[str]) -> str:
        """Return the whole script."""
        body = [*self.load, *before, *after]
        imports = ["ctypes", "ctypes.util", "mmap", "base64", "zlib"]
        used = [f"import {name}" for name in imports if any(f"{name}." in line.replace("import ", "") for line in body)]
        filled = [f"fill = 0x{FILLS[0]:X}"] if self.outputs else []
        return "\n".join([*used, "import numpy as np", *filled, *body])


def c_script(call: CCall, library: str, threads: bool) -> Script:
    """Return the parts for a function of a shared library."""
    inputs = {a.name: expression(a.array) for a in call.arguments if isinstance(a, Input)}
    return Script(
        (f"library = ctypes.CDLL({library!r})",),
        inputs | {output.name: _filled(output) for output in call.outputs},
        {a.name: f"ctypes.c_int{a.bits}({a.value})" if isinstance(a, Number) else f"{a.name}.ctypes"
         for a in call.arguments},
        f"library.{call.symbol}",
        "status" if call.returns_status else "",
        tuple(output.name for output in call.outputs),
        call.optional,
        "library.q35_set_num_threads" if threads else "",
    )  # fmt: skip


def python_script(problem: Problem, load: tuple[str, ...]) -> Script:
    """Return the parts for a method of ``kernel``, which ``load`` makes."""
    arguments = problem.arguments()
    arrays = {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}
    return Script(
        load,
        {name: expression(array) for name, array in arrays.items()},
        {name: name if name in arrays else repr(value) for name, value in arguments.items()},
        f"kernel.{problem.operation}",
    )


def expression(array: Any) -> str:
    """Return Python that makes an array, compressed if it is long.

    >>> expression(np.array([[1, 2]], np.int8))
    'np.array([[1, 2]], np.int8)'
    """
    plain = array_code(array)
    if len(plain) <= INLINE:
        return plain
    folded = base64.b85encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
    shape = f".reshape({array.shape}).copy()"
    return f"np.frombuffer(zlib.decompress(base64.b85decode({folded!r})), np.{array.dtype}){shape}"


def _filled(output: Output) -> str:
    dtype = np.dtype(output.dtype)
    size = int(np.prod(output.shape, dtype=np.int64)) * dtype.itemsize
    view = "" if dtype.name == "uint8" else f".view(np.{dtype.name})"
    return f"np.full({size}, fill, np.uint8){view}.reshape({output.shape})"


def write(script: Script, fault: Mismatch | None) -> str:
    """Return the script that shows a fault; without one, a call and its results."""
    if fault is None or fault.kind not in TRAPS:
        shown = script.shown if fault is None or fault.kind != "shape" else f"repr({script.shown}), {script.types}"
        conditioned = script if fault is None else script.under(fault)
        return conditioned.text(script.places, [conditioned.call, f"print({shown})"])
    return TRAPS[fault.kind](script.under(fault), fault)


def _modified(script: Script, fault: Mismatch) -> str:
    name = fault.place
    before = [*script.places, f"before = {name}.tobytes()"]
    return script.text(before, [script.call, f'print("{name} is as it was:", {name}.tobytes() == before)'])


def _environment(script: Script, _: Mismatch) -> str:
    x86 = [
        "def settings():",
        "    held = ctypes.create_string_buffer(256)",
        "    libm.fegetenv(held), libm.fesetenv(held)",
        f"    mxcsr = int.from_bytes(held.raw[{MXCSR}:{MXCSR + 4}], 'little') & ~0x{FLAGS:X}",
        '    return f"x87 {held.raw[:2].hex()}, MXCSR 0x{mxcsr:X}"',
    ]
    other = ["def settings():", '    return f"rounding mode 0x{libm.fegetround():X}"']
    read = ['libm = ctypes.CDLL(ctypes.util.find_library("m"))', *(x86 if X86 else other), "before = settings()"]
    again = replace(script, load=(*read, *script.load))
    return again.text(script.places, [script.call, 'print("before:", before)', 'print("after: ", settings())'])


SLACK: Final = 1 << 24
"""Bytes around an array that are looked at."""


def _written_outside(script: Script, fault: Mismatch) -> str:
    name = fault.place
    room = [
        "def amid(array):",
        f"    room = np.full({SLACK} + array.nbytes + {SLACK}, 0xC3, np.uint8)",
        f"    copy = room[{SLACK}:-{SLACK}].view(array.dtype).reshape(array.shape)",
        "    copy[...] = array",
        "    return copy, room",
    ]
    made = f"{name}, room = amid({script.arrays[name]})"
    places = [made if line.startswith(f"{name} = ") else line for line in script.places]
    found = f"np.flatnonzero(np.r_[room[:{SLACK}], room[-{SLACK}:]] != 0xC3).size"
    return script.text([*room, *places], [script.call, f'print("bytes changed outside {name}:", {found})'])


PLACE: Final = (
    "PAGE = mmap.PAGESIZE",
    "libc = ctypes.CDLL(None)",
    "libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)",
    'def held(array, near="end", access=mmap.PROT_READ | mmap.PROT_WRITE):',
    '    """Return a copy against a forbidden page."""',
    "    inner = -(-array.nbytes // PAGE) * PAGE",
    "    memory = mmap.mmap(-1, inner + 2 * PAGE)",
    "    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))",
    '    first = PAGE + (inner - array.nbytes if near == "end" else 0)',
    "    copy = np.frombuffer(memory, array.dtype, array.size, first).reshape(array.shape)",
    "    copy[...] = array",
    "    for start, length, allowed in (0, PAGE, 0), (PAGE, inner, access), (PAGE + inner, PAGE, 0):",
    "        libc.mprotect(base + start, length, allowed)",
    "    return copy",
)
"""A function of the script."""


def _sealed(script: Script, fault: Mismatch) -> str:
    name = fault.place
    said = [f'print("{name} cannot be written:", flush=True)']
    sealed = script.having(name, "held({}, access=mmap.PROT_READ)")
    return script.text([*PLACE, *sealed.places], [*said, script.call, f"print({script.shown})"])


def _overread(script: Script, fault: Mismatch) -> str:
    name = fault.place
    names = [name] if name in script.arrays else list(script.arrays)
    sides = []
    for near, where in (("end", "ends at"), ("start", "begins after")):
        for held in names:
            placed = script.having(held, f"held({{}}, near={near!r})")
            sides += [f'print("{held} {where} a forbidden page:", flush=True)', *placed.places]
            sides += [script.call, f"print({script.shown})"]
    return script.text(PLACE, sides)


def _misaligned(script: Script, fault: Mismatch) -> str:
    name = fault.place
    odd = [
        "def odd(array):",
        '    """Return a copy at an address that is a multiple of the element\'s size alone."""',
        "    room = np.zeros(array.nbytes + 128, np.uint8)",
        "    first = -room.ctypes.data % 64 + array.itemsize",
        "    copy = room[first : first + array.nbytes].view(array.dtype).reshape(array.shape)",
        "    copy[...] = array",
        "    return copy",
    ]
    moved = script
    for each in [name] if name in script.arrays else script.arrays:
        moved = moved.having(each, "odd({})")
    whole = [*script.places, script.call, f"print({script.shown})"]
    said = ['print("at odd addresses:", flush=True)']
    return script.text([*odd, *whole], [*said, *moved.places, script.call, f"print({script.shown})"])


def _repeated(script: Script, _: Mismatch) -> str:
    threads = [f"    {script.set_threads}(ctypes.c_int32(threads))"] if script.set_threads else []
    body = [f"    {line}" for line in script.places] + [f"    {script.call}", f"    results.append({script.compared})"]
    first, second = (f"0x{fill:X}" for fill in FILLS)
    calls = f"[({first}, 1)] * {REPEATS + 1} + [({second}, t) for t in (1, *{MANY} * {THREADS})]"
    loop = ["results = []", f"for fill, threads in {calls}:", *threads]
    told = 'print(sum(result != results[0] for result in results), "of", len(results), "equal calls came to another")'
    return script.text(loop, [*body, told])


MANY: Final = 10
"""How often each number of threads is tried: a race shows itself now and then."""


def _null(script: Script, fault: Mismatch) -> str:
    """The results are shown with all asked for, then without some."""
    whole = replace(script, arguments={**script.arguments, **{name: f"{name}.ctypes" for name in script.optional}})
    lines = [*script.places, whole.call, f"print({script.shown})"]
    for left_out in [fault.left_out] if fault.left_out else [(name,) for name in script.optional]:
        without = replace(whole, arguments={**whole.arguments, **dict.fromkeys(left_out, "None")})
        lines.append(f'print("NULL for {" and ".join(left_out)}:", flush=True)')
        lines += [*script.places, without.call, f"print({script.shown})"]
    return script.text([], lines)


def _reversed(script: Script) -> list[str]:
    """Return lines that put other contents into the inputs: the columns in the opposite order."""
    inputs = [name for name in script.arrays if name not in script.outputs]
    columns_last = ("scale", "offset", "A") if script.outputs else ("scale", "offset", "q", "w")
    return [f"{name}[...] = np.flip({name}, {-1 if name in columns_last else 0})" for name in inputs]


def _cached(script: Script, _: Mismatch) -> str:
    inputs = [name for name in script.arrays if name not in script.outputs]
    return script.text(
        script.places,
        [
            script.call,
            *_reversed(script),
            script.call,
            f"there = {script.compared}",
            *(f"{name} = {name}.copy()" for name in inputs),
            script.call,
            f'print("other contents, the same result at other addresses:", there == {script.compared})',
        ],
    )


def _returned_again(script: Script, _: Mismatch) -> str:
    held = [script.call, "first = result", f"before = {script.compared}", *_reversed(script), script.call]
    told = [*held, "result = first", f'print("the first result is as it was:", before == {script.compared})']
    return script.text(script.places, told)


TRAPS: Final[dict[str, Callable[[Script, Mismatch], str]]] = {
    "modified input": _modified,
    "environment": _environment,
    "flush-to-zero": _environment,
    "out-of-bounds write": _written_outside,
    "written input": _sealed,
    "overread": _overread,
    "misaligned": _misaligned,
    "stale output": _repeated,
    "thread dependent": _repeated,
    "not repeatable": _repeated,
    "null result": _null,
    "stale cache": _cached,
    "changed result": _returned_again,
}
"""What lays the trap for each kind of fault; the others show themselves."""
