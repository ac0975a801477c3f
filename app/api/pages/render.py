"""Templates to text: every value is escaped, and a name that a template lacks is a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from app.api.pages.texts import Language, texts

_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, language: Language, **values: Any) -> str:
    """
    :param values: for the template, besides `t`, the texts.
    """
    return _environment.get_template(template).render(t=texts(language), **values)
