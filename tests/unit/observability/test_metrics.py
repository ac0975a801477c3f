"""What is counted: by names and labels that exist."""

from __future__ import annotations

import ast
from pathlib import Path

from app.observability.metrics import METRICS

APP = Path(__file__).resolve().parents[3] / "app"
COUNTED = {"count": 0, "_observe": 1, "_set": 1}


def test_whatever_is_counted_is_a_metric_with_these_labels() -> None:
    """They are named by texts, which no type checker holds against the table."""
    seen = set()
    for file in APP.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if not isinstance(call, ast.Call):
                continue
            function = ast.unparse(call.func).removeprefix("metrics.")
            if function not in COUNTED or (function == "count" and "metrics" not in file.read_text()):
                continue
            labels = len(call.args) - 1 - COUNTED[function]
            for name in (
                n.value for n in ast.walk(call.args[0]) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ):
                assert len(METRICS[name]) - 2 == labels, f"{file.name}:{call.lineno} {name}"
                seen.add(name)
    assert seen == set(METRICS)
