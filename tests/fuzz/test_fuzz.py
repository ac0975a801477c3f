"""A few seconds of fuzzing; `requests_run` goes on for as long as one likes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.fuzz.requests_run import run, workers
from tests.stack import MinIONode, Stack, running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("fuzz")
    node = MinIONode("m1", folder / "m1")
    node.start()
    try:
        node.wait()
        with running(Stack(folder, {"m1": node}, {"i1": "m1"}, balancer=None)) as made:
            yield made
    finally:
        node.process.stop()


@pytest.fixture(scope="module")
def described(stack: Stack) -> Any:
    return schemathesis.openapi.from_url(f"{stack.instance_url('i1')}/openapi.json")


def test_answers_are_as_described(described: Any, stack: Stack) -> None:
    """For each operation of the description, requests that fit it and requests that do not."""
    headers = {"operationID": "fuzz", "token": stack.token()}
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) == 10
    for operation in operations:

        @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def answered(case: Any) -> None:
            case.call_and_validate(
                headers=headers,
                allow_redirects=False,
                checks=[not_a_server_error, status_code_conformance, response_schema_conformance, content_type_conformance],
            )

        answered()


def test_odd_requests_from_a_seed(stack: Stack) -> None:
    before = {p.pid for p in workers(stack)}
    answers, wrong = run(stack, 3000, seed=20261125)
    assert wrong == []
    assert sum(answers.values()) == 3000
    assert answers["POST 200"] > 500
    assert answers["POST 400"] > 200
    assert {p.pid for p in workers(stack)} == before
