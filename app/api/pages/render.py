"""Renders templates: every value is escaped, and a name that a template lacks is a fault."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jinja2

from app.status.report import size_text

_FOLDER = Path(__file__).parent
#: The texts of each language by their keys. `{...}` is filled in; those in `script` go to the try-it page's script.
TEXTS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_bytes()) for file in _FOLDER.glob("texts/*.json")}


def number_text(value: float) -> str:
    """Write a number as short as it can be read: three digits, and no exponent."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{1 if value >= 10 else 2}f}".rstrip("0").rstrip(".")


def utc_text(seconds: float, form: str) -> str:
    """Write a Unix time as `time.strftime` does; nothing where it is beyond what the clock knows."""
    try:
        return time.strftime(form, time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return ""


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(size=size_text, number=number_text, utc=utc_text, thousands="{:,}".format)


def render(template: str, language: str, **values: Any) -> str:
    """
    :param language: a key of `TEXTS`.
    :param values: for the template, besides `t`, the texts.
    """
    return _environment.get_template(template).render(t=TEXTS[language], **values)
