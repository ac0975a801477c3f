"""What a view is told to be saved as."""

from __future__ import annotations

import pytest
from werkzeug.http import parse_options_header

from app.downloads.views import content_disposition


@pytest.mark.parametrize(
    "name", ["plain.txt", "a b.txt", 'q"u\\o.txt', "猫.png", "50%.png", "é\u0301", "a;b=c", "\r\nX: y", ""]
)
def test_content_disposition_reads_back(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    kind, options = parse_options_header(header)
    assert kind == "attachment"
    assert options.get("filename", "") == name
