"""The native kernel on a few problems of every operation, on every path, against NumPy: what breaks it shows here."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from q35ref.backends import OPERATIONS, get
from q35ref.backends.protocol import Float32
from q35ref.oracle import Problem, problems
from q35ref.oracle.calls import call
from q35ref.oracle.cases import integers, parameters
from q35ref.reference.lanes import LAYOUTS
from tests.native_kernel import ISAS, needs_native, using

pytestmark = needs_native

EVERY = 7
"""One of so many problems: a number that keeps step with neither layouts nor gains nor groups."""

MOST = 20_000
"""Numbers that a problem works on."""


COARSE = 1e-5
"""Share of the sum of all magnitudes by which outputs may differ: many times their bound, which other tests hold."""


def as_with_numpy(problem: Problem, found: Any, right: Any) -> bool:
    """Whether two results are the same, bit for bit but for the outputs of products."""
    if problem.operation == "matmul":
        return is_same_product(found, right, problem.arrays["scale"], problem.arrays["offset"])
    parts = zip(found, right, strict=True) if isinstance(right, tuple) else [(found, right)]
    return all(one.tobytes() == other.tobytes() for one, other in parts)


def is_same_product(found: Any, right: Any, scale: Float32, offset: Float32) -> bool:
    """Whether two products have the same integers, and outputs that differ by no more than rounding may."""
    scales, offsets = abs(scale.astype(np.float64)), abs(offset.astype(np.float64))
    size = (
        np.einsum("mng,gn->mn", abs(right[0].astype(np.float64)), scales) + abs(right[1].astype(np.float64)) @ offsets
    )
    near = abs(found[2].astype(np.float64) - right[2]) <= COARSE * size
    same = found[2] == right[2]  # infinities
    return bool((found[0] == right[0]).all() and (found[1] == right[1]).all() and (near | same).all())


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_a_few_problems_of_every_operation_come_out_as_with_numpy(isa: str, operation: str) -> None:
    numpy, asked = get("numpy"), 0
    with using(isa) as native, np.errstate(invalid="ignore"):
        for problem in islice(problems(operation, 1, 1), 0, None, EVERY):
            if problem.size <= MOST:
                found = call(native, problem)
                assert (found.raised, found.faults) == (None, ())
                assert as_with_numpy(problem, found.result, call(numpy, problem).result), problem
                asked += 1
    assert asked > 10


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("isa", ISAS)
def test_long_groups_and_many_columns_are_summed_as_by_numpy(isa: str, layout: Any) -> None:
    """More chunks and columns than a panel holds, groups of several chunks and a shorter last one."""
    rng, k, n = np.random.default_rng(1), 2500, 67
    q, a = integers(k, n, rng), rng.integers(-128, 128, (5, k)).astype(np.int8)
    packed = get("numpy").pack(q, layout)
    with using(isa) as native:
        for group_size, m in ((0, 1), (0, 5), (272, 1), (272, 5)):
            scale, offset = parameters(k, n, group_size, rng)
            arguments = (a[:m], packed, k, layout, group_size, 2, scale, offset)
            found, right = native.matmul(*arguments), get("numpy").matmul(*arguments)
            assert is_same_product(found, right, scale, offset)


@pytest.mark.parametrize("isa", ISAS)
def test_weights_that_are_not_finite_are_refused(isa: str) -> None:
    with using(isa) as native:
        for problem in islice(problems("refusal", 1, 1), 0, None, EVERY):
            assert call(native, problem).raised
