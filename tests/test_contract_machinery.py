"""Reading contracts, deriving their domains, and running them: nothing is checked by mistake less than it says."""

import ast
import inspect
import random
import subprocess
import sys
import types
from pathlib import Path

import pytest

import q35ref
from q35ref import contracts
from q35ref.contracts import Contract, ContractError, domain_of, read_contracts, run, run_all
from q35ref.contracts.choosers import Sampler, every
from q35ref.contracts.contract import Arguments
from q35ref.contracts.running import modules_of

EVERYTHING = contracts.all_contracts()
LIST = "x: list[int]"
LIST_INT = "x: list[int], y: int"


def state(*lines: str, parameters: str = "x: int") -> Contract:
    """Return the contract of a function ``f`` that does nothing, in a module that now exists."""
    docstring = "".join(f"    {line}\n" for line in lines)
    source = f'def f({parameters}) -> None:\n    """Do nothing.\n\n{docstring}    """\n'
    module = types.ModuleType("planted_contract")
    exec(compile(source, "planted_contract", "exec"), vars(module))  # noqa: S102
    sys.modules["planted_contract"] = module
    return read_contracts(source, "planted_contract")[0]


@pytest.mark.parametrize(
    "line",
    [
        "pots: True",
        "post : True",
        "POST: True",
        "post:True",
        "post::True",
        "post[x]: True",
        "psot: True",
        "post:",
        "per: x",
    ],
)
def test_nearly_a_contract_is_refused(line: str) -> None:
    """A keyword that is nearly right is an error, not a remark."""
    with pytest.raises(ContractError, match=r"planted_contract\.f, line 5: expected 'pre: ' or 'post: '"):
        state("pre: x > 0", line)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('def f(x: int):\n    """F.\n\n    pre: x > 0\n    """', "has a 'pre:' but no 'post:'"),
        ('def f(x: int):\n    """F.\n\n    post: x >\n    """', "invalid syntax: x >"),
        ('def f(x: float):\n    """F.\n\n    post: True\n    """', "x must be int, list"),
        ('def f(x):\n    """F.\n\n    post: True\n    """', "x must be int, list"),
        (
            'def f(x: int):\n    """F.\n\n    post: True\n    :raises Oops: never.\n    """',
            "no built-in exception is called Oops",
        ),
        (
            'class C:\n    def f(x: int):\n        """F.\n\n        post: True\n        """',
            "only functions of a module",
        ),
        ('class C:\n    """C.\n\n    post: True\n    """', "only functions of a module"),
        ('def f(x: int):\n    """F.\n\n    post: True\n    """\n' * 2, "a second function of this name"),
    ],
)
def test_contract_that_could_not_be_checked_is_refused(source: str, message: str) -> None:
    """What neither CrossHair nor the sampler would look at is an error."""
    with pytest.raises(ContractError, match=message):
        read_contracts(source, "planted_contract")


def test_every_public_function_of_a_law_module_is_a_law() -> None:
    """A law whose contract has gone altogether would not be run."""
    names = {contract.name for contract in contracts.laws()}
    for module in modules_of(contracts):
        functions = [
            node.name for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.FunctionDef)
        ]
        public = {f"{module.__name__}.{name}" for name in functions if not name.startswith("_")}
        assert public <= names or not public & names


def test_every_law_asserts_something() -> None:
    """``post: True`` promises nothing: the promise is in the asserts."""
    for contract in contracts.laws():
        module = sys.modules[contract.module]
        source = inspect.getsource(getattr(module, contract.function))
        assert "    assert" in source or "raise AssertionError" in source, contract.name


@pytest.mark.parametrize("contract", EVERYTHING, ids=lambda contract: contract.name.removeprefix("q35ref."))
def test_samples_meet_the_conditions_at_once(contract: Contract) -> None:
    """The bounds that are read from the ``pre:`` lines say nearly all of what these say."""
    domain = domain_of(contract)
    rng = random.Random(1)
    accepted = sum(contract.accepts(domain.arguments(Sampler(rng))) for _ in range(40))
    assert accepted >= 10


@pytest.mark.parametrize(
    ("lines", "parameters", "expected"),
    [
        (["pre: -1 <= x < 2"], "x: int", [(-1,), (0,), (1,)]),
        (["pre: x > 3 and 6 > x"], "x: int", [(4,), (5,)]),
        (["pre: 0 <= x <= 1", "pre: x <= y", "pre: y <= 1"], "x: int, y: int", [(0, 0), (0, 1), (1, 1)]),
        (["pre: 0 <= x <= 70", "pre: x % 35 == 0"], "x: int", [(0,), (35,), (70,)]),
        (["pre: len(x) <= 1", "pre: all(0 <= q <= 1 for q in x)"], LIST, [([],), ([0],), ([1],)]),
        (
            ["pre: len(x) == y", "pre: 1 <= y <= 2", "pre: all(q == y for q in x)"],
            LIST_INT,
            [([1], 1), ([2, 2], 2)],
        ),
        (["pre: len(x) == 2", "pre: all(i <= q <= i for i, q in enumerate(x))"], LIST, [([0, 1],)]),
        (["pre: len(x) == 2", "pre: all(q == 7 for q in x[::2]) and all(q == 8 for q in x[1::2])"], LIST, [([7, 8],)]),
        (["pre: 1 <= x <= 9", "pre: x in (3, 8)"], "x: int", [(3,), (8,)]),
    ],
)
def test_small_domains_are_exhausted(lines: list[str], parameters: str, expected: list[tuple[object, ...]]) -> None:
    """All arguments within the bounds are found, each once."""
    contract = state(*lines, "post: True", parameters=parameters)
    found = every(domain_of(contract), 100)
    assert found is not None
    accepted = [tuple(arguments.values()) for arguments in found if contract.accepts(arguments)]
    assert sorted(accepted) == sorted(expected)
    outcome = run(contract, seed=1, count=1)
    assert (outcome.exhausted, outcome.cases) == (True, len(expected))


def test_large_and_unbounded_domains_are_not_exhausted() -> None:
    """They would take for ever."""
    assert every(domain_of(state("pre: x >= 0", "post: True")), 100) is None
    assert every(domain_of(state("pre: 0 <= x <= 100", "post: True")), 100) is None


@pytest.mark.parametrize("condition", ["x * x == 3", "1 < x < 1", "0 <= x <= 9 and x > 9", "x % 1000003 == 77777"])
def test_contract_that_hardly_anything_meets_fails(condition: str) -> None:
    """An impossible ``pre:`` proves nothing, and passes nothing."""
    outcome = run(state(f"pre: {condition}", "post: True"), seed=1, count=100)
    assert outcome.violation is not None
    assert outcome.violation.message.startswith("nothing is shown: ")


def test_no_contract_at_all_is_an_error() -> None:
    """Running nothing is not a success."""
    with pytest.raises(RuntimeError, match="no contract to run"):
        list(run_all(seed=1, count=1, contracts=[]))


def test_laws_refuse_to_run_without_assertions() -> None:
    """Under ``python -O`` every law would hold."""
    command = [sys.executable, "-O", "-m", "q35ref.contracts", "q35ref.contracts.rounding"]
    done = subprocess.run(command, cwd=Path(q35ref.__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run them without -O" in done.stderr


def test_list_without_a_limit_is_refused() -> None:
    """A list of any length at all has no domain to draw from."""
    with pytest.raises(ContractError, match="the length of x has no upper limit"):
        run(state("pre: len(x) >= 1", "post: True", parameters="x: list[int]"), seed=1, count=1)


def test_violations_say_what_happened() -> None:
    """A false ``post:``, one that cannot be evaluated, an exception that is not allowed, and one that is."""
    violation = run(state("pre: 3 <= x <= 9", "post: _ == x"), seed=1, count=1).violation
    assert violation is not None
    assert violation.message == "post: _ == x: false, the result is None"
    assert violation.code == "q35ref.contracts.check('planted_contract.f', x=3)"
    violation = run(state("pre: x == 3", "post: _ > x"), seed=1, count=1).violation
    assert violation is not None
    assert violation.message.startswith("post: _ > x: TypeError: ")
    refused: Arguments = {"stream": [255, 255], "count": 2}
    unpack = next(c for c in EVERYTHING if c.name == "q35ref.reference.codec.unpack_dense")
    assert unpack.raises == ("ValueError",)
    assert unpack.check(refused) is None


def test_exception_that_no_contract_allows_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only ``:raises`` allows one."""

    def broken(wide: int, narrow: int) -> int:
        raise KeyError(wide)

    monkeypatch.setattr("q35ref.reference.codec.pack_pair", broken)
    violation = contracts.check("q35ref.reference.codec.pack_pair", wide=5, narrow=-2)
    assert violation is not None
    assert violation.message == "KeyError: 5"


def test_check_wants_a_contract_and_legal_arguments() -> None:
    """A case is repeated as it was, or not at all."""
    with pytest.raises(LookupError, match=r"no contract is called q35ref\.nothing"):
        contracts.check("q35ref.nothing")
    with pytest.raises(ValueError, match="a pre: refuses"):
        contracts.check("q35ref.reference.codec.unpack_pair", code=128)
