"""The deployment that most integration tests share: two nodes, two instances, nginx. Tests that stop something make
their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import API, MinIONode, Stack, running, started

pytestmark = pytest.mark.integration


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, MinIONode]]:
    """Two independent MinIO nodes, which no test stops."""
    folder = tmp_path_factory.mktemp("nodes")
    made = {n: MinIONode(n, folder / n) for n in ("m1", "m2")}
    with started(made):
        yield made


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> Iterator[Stack]:
    with running(Stack(tmp_path_factory.mktemp("stack"), nodes, {"i1": "m1", "i2": "m2"})) as made:
        yield made


@pytest.fixture
def api(stack: Stack) -> API:
    """Through nginx, without cookies."""
    return stack.api()


@pytest.fixture
def i1(stack: Stack) -> API:
    """Straight to the instance of m1."""
    return stack.api(stack.instance_url("i1"))


@pytest.fixture
def i2(stack: Stack) -> API:
    return stack.api(stack.instance_url("i2"))


@pytest.fixture
def small() -> bytes:
    """Small content that no other test uploads."""
    return os.urandom(4096)
