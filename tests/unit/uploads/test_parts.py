"""The size of parts, by what holds for every size."""

from __future__ import annotations

import pytest

from app.core.errors import InternalError
from app.uploads.parts import MAX_PART_SIZE, MAX_SIZE, MIN_PART_SIZE, part_size


@pytest.mark.parametrize("edge", [1, MIN_PART_SIZE, MIN_PART_SIZE * 10000, 1 << 40, MAX_SIZE])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_part_size_by_invariants(edge: int, off: int) -> None:
    size = edge + off
    if not 0 < size <= MAX_SIZE:
        with pytest.raises(InternalError):
            part_size(size)
        return
    chosen = part_size(size)
    assert MIN_PART_SIZE <= chosen <= MAX_PART_SIZE
    assert -(-size // chosen) <= 10000
    # The smallest that holds.
    assert chosen == MIN_PART_SIZE or -(-size // (chosen - 1)) > 10000


@pytest.mark.parametrize("size", [0, -1, -(2**63), MAX_SIZE + 1, 2**63 - 1])
def test_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(InternalError):
        part_size(size)
