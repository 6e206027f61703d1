"""What packing and unpacking take of memory beside their arguments, and what the backend claims of itself."""

import numpy as np
import pytest

from q35ref.backends.numpy import NumpyBackend, codec
from q35ref.reference.lanes import LAYOUTS, Layout
from tests.memory_peak import peak

K, N = 1024, 2048

ROWS = (16, 64, K)
"""Of as many weights each: multiples of 16, which are whole words."""


@pytest.mark.parametrize("k", ROWS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_packing_takes_three_bytes_a_weight_at_most(layout: Layout, k: int) -> None:
    """A turned copy, codes, and words of eight codes; the stream. Of rows that fill their words."""
    q = np.zeros((k, K * N // k), np.int8)
    assert peak(lambda: codec.pack(q, layout)) < 3.1 * q.size


@pytest.mark.parametrize("k", ROWS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_unpacking_takes_half_a_mebibyte_beside_its_result(layout: Layout, k: int) -> None:
    """However many columns there are: four bytes for each of the 2**17 codes that are unpacked at a time."""
    packed = codec.pack(np.zeros((k, K * N // k), np.int8), layout)
    assert peak(lambda: codec.unpack(packed, k, layout)) < K * N + 4.1 * 2**17


@pytest.mark.parametrize("layout", LAYOUTS)
def test_long_columns_are_unpacked_one_at_a_time(layout: Layout) -> None:
    k = 2**20
    packed = codec.pack(np.zeros((k, 2), np.int8), layout)
    assert peak(lambda: codec.unpack(packed, k, layout)) < 2 * k + 4.1 * (k // 2)


def test_it_claims_correct_rounding() -> None:
    """So that checks hold it to that."""
    assert NumpyBackend().correctly_rounded
