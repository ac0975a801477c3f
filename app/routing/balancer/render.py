"""Renders a balancer's configuration from its template in `templates/`; what each line there is for stands beside it."""

from __future__ import annotations

import re
from typing import Any

import jinja2

from app.config.models import Deployment
from app.routing.balancer.context import COMMON, Machine, describe, regex

_NGINX_MAP_WORDS = {"default", "hostnames", "include", "volatile"}


class Quoted(str):
    """A value that stands in single quotes."""

    __slots__ = ()


def quoted(text: str) -> Quoted:
    """Put a text in single quotes. Raises as `in_quotes`."""
    return Quoted(f"'{in_quotes(text)}'")


def in_quotes(text: str) -> Quoted:
    """A text that the template itself puts in single quotes.

    :raises ValueError: for what would end them, or change within them.
    """
    # Neither nginx nor HAProxy has an escape for all of these; nginx takes $ for a variable, and HAProxy % in some places.
    if re.search(r"['\\$%\n]", text):
        raise ValueError(f"cannot stand in quotes: {text!r}")
    return Quoted(text)


def map_key(value: str) -> str:
    """Write a value that is one of the words of nginx's `map` with a backslash."""
    return f"\\{value}" if value.lower() in _NGINX_MAP_WORDS else value


def one_word(value: Any) -> Any:
    """Refuse a value that would end a word or a directive. Validated configuration has none; this holds it.

    :raises ValueError: for such a value, unless it stands in quotes.
    """
    if not isinstance(value, Quoted) and re.search(r"[\s;{}\"'#]", str(value)):
        raise ValueError(f"cannot stand in a balancer's configuration: {value!r}")
    return value


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("app.routing.balancer"),
    autoescape=False,  # noqa: S701 (not HTML; `one_word` guards)
    undefined=jinja2.StrictUndefined,
    finalize=one_word,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_environment.filters.update(quoted=quoted, in_quotes=in_quotes, regex=regex, map_key=map_key)


def nginx(
    deployment: Deployment,
    full: bool = False,
    run_dir: str | None = None,
    group: str | None = None,
    native: bool = False,
    machine: Machine = COMMON,
) -> str:
    """Render nginx's configuration.

    :param full: a complete file instead of an include for an existing http block.
    :param run_dir: where a complete file keeps its pid, logs and spool, instead of nginx's own places.
    :param group: root's, where root starts nginx with `run_dir`.
    :param native: pin by `sticky route` (open source since nginx 1.29.6) instead of maps and an upstream per instance.
    :param machine: that nginx runs on.
    :raises RenderError: says which key is missing.
    """
    template = _environment.get_template("nginx.conf.j2" if full else "nginx_include.conf.j2")
    # KiB, with room for hosts of several addresses each.
    zone = 64 * (1 + len(deployment.instances) // 16)
    return template.render(describe(deployment, machine), full=full, run_dir=run_dir, group=group, native=native, zone=zone)


def haproxy(deployment: Deployment, machine: Machine = COMMON) -> str:
    """Render HAProxy's configuration, for version 2.4 and later. Parameters and errors as of `nginx`."""
    return _environment.get_template("haproxy.cfg.j2").render(describe(deployment, machine))
