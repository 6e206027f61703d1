"""Makes the loader of Lean's WebAssembly build, 90 MB of JavaScript, small and quick; Lean itself is not changed.

As it comes, it gives each of Lean's 200 000 functions a name in JavaScript that nothing uses, in each of a dozen
threads, and looks a function up by going through the names of all. That costs 4 GB of memory and half a minute a start.
"""

import re
from typing import Final

SLOW: Final = "newSymIndex=Object.keys(lib.exports).indexOf(symbol)"
FAST: Final = "newSymIndex=(lib.__map??=new Map(Object.keys(lib.exports).map((name,i)=>[name,i]))).get(symbol)??-1"

_HEAD: Final = "function assignWasmExports(wasmExports){"
_NAMES: Final = re.compile(r"var ([\w$,]+);\Z")
_ASSIGNMENT: Final = re.compile(r'([\w$]+)=Module\["[\w$]+"\]=(?:wasmTable=)?wasmExports\["[\w$.]+"\](?:\.value)?')
_WORD: Final = re.compile(r"[\w$]+")


class UnknownLoader(Exception):
    """The loader is not the one that is known here."""


def quick_loader(text: str) -> str:
    """Return the loader with a table of its symbols, and names for those functions alone that it calls itself.

    Errors: UnknownLoader.
    """
    if text.count(SLOW) != 1 or text.count(_HEAD) != 1:
        raise UnknownLoader("expected one search for a symbol and one list of exports")
    before, _, after = text.replace(SLOW, FAST).partition(_HEAD)
    assignments, _, after = after.partition("}")
    # The names are declared right before; a search from the end, for there are 20 MB of them.
    names = _NAMES.match(before, max(before.rfind("var "), 0))
    found = [_ASSIGNMENT.fullmatch(assignment) for assignment in assignments.rstrip(";").split(";")]
    if names is None or None in found:
        raise UnknownLoader("expected declarations of names, then one assignment to each")
    before = before[: names.start()]
    used = {*_WORD.findall(before), *_WORD.findall(after)}
    kept = [assignment for assignment in found if assignment and assignment[1] in used]
    declared = ",".join(name for name in names[1].split(",") if name in used)
    return f"{before}var {declared};{_HEAD}{';'.join(assignment[0] for assignment in kept)}}}{after}"
