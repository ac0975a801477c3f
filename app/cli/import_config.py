"""`openim-direct import-config`: turns v3.4.0's files into an instances.yaml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from app.cli.options import UserError
from app.config.document import dump_yaml, load_yaml
from app.config.load import ConfigError, parse
from app.config.v340 import convert
from app.core.errors import ImportFault


@click.command("import-config")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there; else to stdout.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def import_config(files: tuple[Path, ...], output: Path | None, force: bool) -> None:
    """Turn v3.4.0's config.yaml (one for each third RPC and its MinIO node) into an instances.yaml.

    What could not be carried over is named; where something is missing, nothing is written.
    """
    if output is not None and output.exists() and not force:
        raise UserError(f"{output} is there already; --force replaces it")
    try:
        imported = convert([(str(file), _read(file)) for file in files])
    except ImportFault as e:
        raise UserError(f"not all of v3.4.0's settings are there, nothing is written\n{e}") from None
    text = "# Written by `openim-direct import-config` from v3.4.0's configuration. Holds secrets: keep it from others.\n"
    text += dump_yaml(imported.document)
    try:
        parse(text, os.environ, base=Path.cwd())
    except ConfigError as e:
        imported.notes.append(f"still to be mended in the result:\n{e}")
    if output is None:
        click.echo(text, nl=False)
    else:
        # Readable for its owner alone from the first byte on.
        with open(output, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(text)
        click.echo(f"wrote {output}", err=True)
    for note in imported.notes:
        click.echo(f"look at: {note}", err=True)


def _read(file: Path) -> Any:
    try:
        return load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{file}: cannot be read: {e.strerror if isinstance(e, OSError) else 'it is not UTF-8'}") from None
    except ValueError as e:
        raise UserError(f"{file}: not YAML: {e}") from None
