"""Imports run one way: HTTP in api/, storage in node, SQL in records, and nothing below api/ knows Flask."""

from __future__ import annotations

import ast
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"

#: Module to the modules of ours that it may import. A new module must be listed.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "model": set(),
    "signing": set(),
    "http_pool": set(),
    "names": {"errors"},
    "wire": {"errors"},
    "reader": set(),
    "config": {"reader"},
    "sealing": {"errors"},
    "auth": {"errors"},
    "endpoints": {"http_pool"},
    "trail": set(),
    "metrics": {"report", "trail"},
    "history": {"health", "metrics", "report"},
    "report": set(),
    "request_log": set(),
    "gunicorn_io": set(),
    "node": {"config", "endpoints", "errors", "http_pool", "metrics", "model", "signing", "trail"},
    "record_cache": {"errors", "model"},
    "redis_store": {"errors"},
    "limits": {"errors"},
    "legacy_table": {"model"},
    "records": {"errors", "legacy_table", "metrics", "model"},
    "uploads": {"auth", "errors", "model", "names", "sealing", "wire"},
    "forms": {"auth", "errors", "model", "names", "sealing", "uploads", "wire"},
    "legacy_ids": {"errors", "model", "sealing", "uploads"},
    "thumbnail_format": set(),
    "thumbnails": {"thumbnail_format"},
    "thumbnail_helper": {"thumbnail_format"},
    "pictures": {"errors", "model", "thumbnail_format"},
    "downloads": {"errors", "metrics", "model", "names", "pictures", "thumbnail_format", "wire"},
    "pinning": {"config"},
    "forwarding": {"config", "errors", "http_pool", "metrics", "sealing"},
    "health": {"errors", "metrics"},
    "services": {
        "auth",
        "config",
        "forms",
        "legacy_ids",
        "downloads",
        "forwarding",
        "health",
        "history",
        "model",
        "overview",
        "sealing",
        "uploads",
    },
    "api.call": {"errors", "metrics", "trail", "wire"},
    "api.observe": {"api.call", "forwarding", "metrics", "pinning", "services", "trail", "wire"},
    "api.status": {"errors", "forwarding", "history", "metrics", "pages", "sealing", "services"},
    "api.health": {"services"},
    "api.openapi": {"wire"},
    "api.objects": {
        "api.call",
        "auth",
        "sealing",
        "downloads",
        "errors",
        "forwarding",
        "metrics",
        "names",
        "pinning",
        "services",
        "trail",
        "uploads",
        "wire",
    },
    "api.app": {"api", "errors", "services", "trail", "wire"},
    "compose": {
        "api.app",
        "auth",
        "config",
        "downloads",
        "forwarding",
        "health",
        "history",
        "metrics",
        "overview",
        "node",
        "records",
        "sealing",
        "services",
        "uploads",
        "legacy_table",
        "redis_store",
        "limits",
        "forms",
        "legacy_ids",
        "record_cache",
        "pictures",
        "thumbnail_helper",
    },
    "gunicorn_conf": set(),
    "worker": {"errors", "gunicorn_io", "wire"},
    "wsgi": {"compose", "config", "request_log"},
    "client": set(),
    "balancer.common": {"config", "errors", "forwarding", "wire"},
    "balancer.nginx": {"balancer.common", "config", "errors", "forwarding"},
    "balancer.haproxy": {"balancer.common", "config", "errors", "forwarding"},
    "cli.haproxy": {"balancer.common", "balancer.haproxy", "cli.options"},
    "checks": {"config", "errors", "http_pool", "signing"},
    "transfer": {"errors", "model"},
    "migrate": {"errors", "model", "transfer"},
    "retention": {"errors", "model"},
    "cli.nodes": {"cli.options", "compose", "config", "errors", "node", "reader"},
    "cli.migrate": {"cli.nodes", "cli.options", "compose", "migrate", "transfer", "report"},
    "cli.retention": {"cli.nodes", "cli.options", "compose", "errors", "retention", "report"},
    "overview": {"config", "errors", "health", "http_pool", "report"},
    "pages.texts": set(),
    "pages.render": {"pages.texts"},
    "pages.plot": {"pages.render", "pages.texts"},
    "pages.status": {"model", "overview", "pages.plot", "pages.render", "pages.texts", "report"},
    "pages.upload": {"pages.render", "pages.texts"},
    "cli.status": {"cli.nodes", "cli.options", "compose", "overview", "report"},
    "cli.check": {"checks", "cli.options", "compose"},
    "v340_config": {"errors"},
    "cli.import_config": {"cli.options", "config", "errors", "reader", "v340_config"},
    "policy": {"config"},
    "cli.policy": {"cli.options", "policy"},
    "cli.options": {"config"},
    "cli.main": {"cli"},
    "cli.nginx": {"balancer.common", "balancer.nginx", "cli.options"},
    "cli.serve": {"cli.options", "compose", "config", "gunicorn_conf", "request_log", "services"},
    "cli.token": {"auth", "cli.options"},
    "cli.upload": {"auth", "cli.options", "client"},
}
#: Library to the only modules that import it.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "flask": ("api.",),
    "jinja2": ("pages.",),
    "PIL": ("thumbnails",),
    "pillow_heif": ("thumbnails",),
    "rich": ("cli.",),
    "minio": ("node",),
    "prometheus_client": ("metrics",),
    "sqlalchemy": ("records", "legacy_table"),
    "redis": ("redis_store",),
    "jwt": ("auth",),
    "itsdangerous": ("sealing",),
    "yaml": ("config", "reader"),
    "click": ("cli.",),
    "gunicorn": ("cli.serve", "gunicorn_io", "worker"),
    "requests": ("client",),
}


def modules() -> dict[str, ast.Module]:
    found = {}
    for file in sorted(APP.rglob("*.py")):
        name = ".".join(file.relative_to(APP).with_suffix("").parts)
        if not name.endswith("__"):
            found[name] = ast.parse(file.read_text())
    return found


def imports(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "app" or (node.module.startswith("app.") and node.module.count(".") == 1):
                package = (APP / node.module.replace("app", "", 1).strip(".")).is_dir()
                names |= {f"{node.module}.{a.name}" for a in node.names} if package else {node.module}
            else:
                names.add(node.module)
    return names


def test_every_module_is_in_the_map() -> None:
    assert set(modules()) == set(MAY_IMPORT) - ({"wsgi"} - set(modules()))


def test_imports_run_one_way() -> None:
    breaches = []
    for name, tree in modules().items():
        for imported in imports(tree):
            if not imported.startswith("app."):
                continue
            target = imported.removeprefix("app.")
            if target == "__version__":
                continue
            if not any(target == allowed or target.startswith(f"{allowed}.") for allowed in MAY_IMPORT[name]):
                breaches.append(f"{name} imports {target}")
    assert breaches == []


def test_each_library_has_its_place() -> None:
    breaches = []
    for name, tree in modules().items():
        for imported in {i.split(".")[0] for i in imports(tree)}:
            for allowed in [ONLY_IN.get(imported)]:
                if allowed is not None and not any(name == a or (a.endswith(".") and name.startswith(a)) for a in allowed):
                    breaches.append(f"{name} imports {imported}")
    assert breaches == []
