"""The modules' order, and the one place of each library. What a folder may import is told by its rank alone."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"

#: From the bottom up: a module imports its own folder and those above it in this list, never one below.
RANKS = (
    "core",
    "config",
    "observability",
    "storage",
    "records",
    "auth",
    "uploads",
    "downloads",
    "routing",
    "status",
    "operations",
    "api",
    "compose",
    "server",
    "cli",
)
#: Libraries, and the only folders or modules that import them.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "flask": ("api",),
    "werkzeug": ("api", "server"),
    "jinja2": ("api.pages", "config.describe", "routing.balancer"),
    "PIL": ("downloads.decoder",),
    "pillow_heif": ("downloads.decoder",),
    "rich": ("cli",),
    "minio": ("storage",),
    "urllib3": ("storage",),
    "requests": ("storage", "routing", "status", "operations"),
    "prometheus_client": ("observability",),
    "sqlalchemy": ("records",),
    "redis": ("auth.redis_store",),
    "cachetools": ("records.cache", "auth.tokens", "uploads.limits", "downloads.pictures"),
    "idna": ("core.addresses",),
    "jwt": ("auth.tokens",),
    "itsdangerous": ("auth.sealing",),
    "yaml": ("config",),
    "pydantic": ("config",),
    "pydantic_core": ("config",),
    "click": ("cli",),
    "gevent": ("server", "routing.forwarding"),
    "gunicorn": ("server",),
}
#: Modules that do no input or output of their own (but for their templates): given the same arguments they answer the same.
PURE = (
    "core.addresses",
    "core.errors",
    "core.go_json",
    "core.model",
    "core.names",
    "core.wire",
    "storage.signing",
    "uploads.parts",
    "routing.pinning",
    "routing.balancer",
)
INPUT_OUTPUT = {"os", "socket", "subprocess", "requests", "urllib3", "minio", "sqlalchemy", "redis", "threading", "flask"}


def modules() -> dict[str, ast.Module]:
    """Every module of app/ by its dotted name without `app.`; packages by their folder's name."""
    found = {}
    for file in sorted(APP.rglob("*.py")):
        parts = file.relative_to(APP).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and parts != ("__main__",):
            found[".".join(parts)] = ast.parse(file.read_text())
    return found


def imported(tree: ast.Module) -> set[str]:
    """What a module imports, as dotted names, wherever the import stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            # `from app.core import wire` imports the module app.core.wire.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(tree: ast.Module, known: Iterable[str]) -> set[str]:
    """The modules of ours that a module imports."""
    known = set(known)
    found = set()
    for name in imported(tree):
        parts = name.split(".")
        if parts[0] != "app":
            continue
        # The longest prefix that is a module: the rest is a name in it.
        for end in range(len(parts), 1, -1):
            if ".".join(parts[1:end]) in known:
                found.add(".".join(parts[1:end]))
                break
    return found


def breaches(trees: dict[str, ast.Module]) -> list[str]:
    """Imports against the order of RANKS."""
    found = []
    for name, tree in trees.items():
        rank = RANKS.index(name.split(".")[0])
        for other in ours(tree, trees):
            if RANKS.index(other.split(".")[0]) > rank:
                found.append(f"{name} imports {other}")
    return found


def cycle(trees: dict[str, ast.Module]) -> list[str]:
    """A cycle among the modules' imports, or nothing."""
    arrows = {name: ours(tree, trees) - {name} for name, tree in trees.items()}
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(arrows[name]):
            found = walk(other, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(arrows) if (found := walk(name, []))), [])


def test_every_folder_has_a_rank() -> None:
    folders = {name.split(".")[0] for name in modules()}
    assert folders == set(RANKS), "a folder without a rank, or a rank without a folder"
    assert len(RANKS) == len(set(RANKS))


def test_imports_run_one_way() -> None:
    assert breaches(modules()) == []


def test_no_cycles_within_a_folder_either() -> None:
    assert cycle(modules()) == []


def test_these_checks_can_fail() -> None:
    trees = {
        "core.a": ast.parse("from app.api import b"),
        "api.b": ast.parse("from app.api.c import thing"),
        "api.c": ast.parse("import app.api.b"),
    }
    assert breaches(trees) == ["core.a imports api.b"]
    assert cycle(trees) == ["api.b", "api.c", "api.b"]


def test_each_library_has_its_place() -> None:
    found = []
    for name, tree in modules().items():
        for library in {i.split(".")[0] for i in imported(tree)} & set(ONLY_IN):
            if not any(name == place or name.startswith(f"{place}.") for place in ONLY_IN[library]):
                found.append(f"{name} imports {library}")
    assert found == []


def test_pure_modules_do_no_input_or_output() -> None:
    trees = {n: t for n, t in modules().items() if any(n == p or n.startswith(f"{p}.") for p in PURE)}
    assert len(trees) >= len(PURE)
    for name, tree in trees.items():
        assert not {i.split(".")[0] for i in imported(tree)} & INPUT_OUTPUT, name


def test_only_the_standard_library_and_declared_packages_are_imported() -> None:
    declared = set(ONLY_IN) | {"app", "msgspec", "_typeshed"}
    found = {
        f"{name} imports {i}"
        for name, tree in modules().items()
        for i in {i.split(".")[0] for i in imported(tree)}
        if i not in sys.stdlib_module_names and i not in declared
    }
    assert found == set()


def test_no_file_is_longer_than_350_lines() -> None:
    lengths = {str(f.relative_to(APP)): len(f.read_text().splitlines()) for f in APP.rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 350} == {}


def test_views_are_short_enough_to_be_read() -> None:
    """Each function that answers a route, by its decorator."""
    lengths = {
        f"{name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, tree in modules().items()
        if name.startswith("api.")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(isinstance(d, ast.Call) for d in node.decorator_list)
    }
    assert len(lengths) > 12
    assert {name: n for name, n in lengths.items() if n > 25} == {}


def test_the_top_level_can_be_read_at_a_glance() -> None:
    entries = [p.name for p in APP.iterdir() if p.name != "__pycache__"]
    assert len(entries) <= 18, entries
