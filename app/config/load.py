"""instances.yaml to the settings of a deployment. The only reader of settings, and of the variables that they name.

Every fault of a file is found in one pass and named by its path in the file (`nodes.m1.endpoint`). `${VAR}` and
`${VAR:-default}` are replaced inside strings, after YAML was parsed, so that a value never becomes structure.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from app.config.document import load_yaml
from app.config.faults import ConfigError, described, path_of
from app.config.models import Deployment
from app.config.preparation import Preparation
from app.config.rules import breaches, complete
from app.config.section import PARTIAL

__all__ = ["ConfigError", "load", "parse"]


def load(path: str | Path, environ: Mapping[str, str] = os.environ) -> Deployment:
    """Read a deployment file.

    :raises ConfigError: with every fault of the file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        others_read = bool(path.stat().st_mode & stat.S_IROTH)
    except FileNotFoundError:
        raise ConfigError(str(path), [("", "no such file; name it with --config or OPENIM_DIRECT_CONFIG")]) from None
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is not UTF-8"
        raise ConfigError(str(path), [("", f"cannot be read: {reason}")]) from None
    return _read(text, environ, path.resolve().parent, str(path), others_read)


def parse(text: str, environ: Mapping[str, str], base: Path, source: str = "instances.yaml") -> Deployment:
    """Read a deployment from its text; relative files are meant from `base`.

    :raises ConfigError: with every fault of the text.
    """
    return _read(text, environ, base, source, others_read=False)


def _read(text: str, environ: Mapping[str, str], base: Path, source: str, others_read: bool) -> Deployment:
    """
    :param others_read: whether every user of this machine may read the text.
    """
    try:
        document = load_yaml(text)
    except ValueError as e:
        raise ConfigError(source, [("", f"not YAML: {e}")]) from None
    if not isinstance(document, dict):
        raise ConfigError(source, [("", "must be a mapping with public_url, auth, nodes and instances")])
    preparation = Preparation(environ, base)
    prepared = preparation.section(document, Deployment)
    faults = preparation.faults
    faulty = [path for path, _ in faults]
    try:
        deployment = Deployment.model_validate(prepared)
    except ValidationError as e:
        faults += described(e)
        faulty += [path_of(error["loc"]) for error in e.errors(include_url=False)]
        deployment = Deployment.model_validate(prepared, context=PARTIAL)
    faults += breaches(deployment, base, faulty)
    if faults:
        raise ConfigError(source, faults)
    warnings = list(preparation.warnings)
    if others_read and preparation.holds_secrets:
        warnings.insert(0, f"{source} holds secrets and every user of this machine may read it: chmod o-r {source}")
    if "old_threads" in deployment.server.model_fields_set:
        warnings.append("server.threads has no meaning any more: write server.views and server.connections, or leave it out")
    deployment = complete(deployment, base)
    deployment._warnings = tuple(warnings)
    return deployment
