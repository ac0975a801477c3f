"""nginx's configuration from a deployment. Pure: text in, text out.

What each line is for was tried on nginx 1.22 and 1.31; the traps are named beside the lines that avoid them.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from app.config.models import Deployment, Instance
from app.core.errors import APIError, ArgsError, NetworkError
from app.routing.balancer.common import (
    COMPLETE_READ_TIMEOUT,
    DOWN,
    READ_TIMEOUT,
    authority,
    failure_body,
    listen_address,
    public_path,
    s3_prefixes,
)
from app.routing.forwarding import MARK_HEADER, PREFIX_HEADER

#: Redirects of views are the same for everyone. HEAD is a key of its own: its redirect is signed for HEAD.
_CACHE = [
    "        proxy_cache oim_views;",
    '        proxy_cache_key "$request_method$http_host$request_uri";',
    "        proxy_cache_convert_head off;",
    "        proxy_cache_lock on;",
]
_MAP_WORDS = {"default", "hostnames", "include", "volatile"}


def render(
    deployment: Deployment,
    full: bool = False,
    run_dir: str | None = None,
    user: str | None = None,
    native: bool = False,
) -> str:
    """
    :param full: a complete file instead of an include for an existing http block.
    :param run_dir: where a complete file keeps its pid, logs and spool, instead of nginx's own places.
    :param user: whom nginx runs as when root starts it with `run_dir`.
    :param native: pin by `sticky route` (open source since nginx 1.29.6) instead of maps and an upstream per instance.
    :raises RenderError: says which key is missing.
    """
    parts = [_maps(deployment, native), _upstreams(deployment, native), _server(deployment, full, native)]
    if deployment.views.cache > 1:
        parts.insert(0, _cache_zone(run_dir))
    http = "\n".join(parts)
    note = "# Rendered by `openim-direct nginx` from instances.yaml; change that, and render again.\n"
    if not full:
        return note + "# To be included in an http block.\n\n" + http
    return note + _main(run_dir, user) + _indent(http) + "}\n"


def _cache_zone(run_dir: str | None) -> str:
    place = f"{run_dir}/views" if run_dir is not None else "/var/cache/openim-direct"
    return (
        "# Redirects of views, for the seconds that the instances allow (views.cache).\n"
        f"proxy_cache_path {place} levels=1:2 keys_zone=oim_views:10m max_size=256m inactive=60s use_temp_path=off;\n"
    )


def _main(run_dir: str | None, user: str | None) -> str:
    lines = ["worker_processes auto;"]
    if run_dir is not None:
        if user is not None:
            # Started by root, nginx would change to a user who may not enter this folder.
            lines.append(f"user {user};")
        lines += [f"pid {run_dir}/nginx.pid;", f"error_log {run_dir}/error.log notice;"]
    lines += ["events { worker_connections 4096; }", "", "http {"]
    # Signed URLs open the content, so a log holds the path without its query.
    lines += [
        "    log_format openim_direct '$remote_addr [$time_iso8601] \"$request_method $uri\" $status $body_bytes_sent '",
        "                             '$request_time $upstream_addr $upstream_response_time \"$http_operationid\"';",
    ]
    if run_dir is not None:
        lines.append(f"    access_log {run_dir}/access.log openim_direct;")
        lines += [
            f"    {kind}_temp_path {run_dir}/{kind}_temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ]
    else:
        lines.append("    access_log /var/log/nginx/openim-direct.log openim_direct;")
    lines += ["    server_tokens off;", "    sendfile on;", "    tcp_nopush on;", "    keepalive_timeout 65s;", "", ""]
    return "\n".join(lines)


def _maps(deployment: Deployment, native: bool) -> str:
    # An instance's name in the maps: its ID for `sticky route`, else the upstream that prefers it.
    pins = [f"    {_map_key(i.id)} {i.id if native else f'oim_{i.id}'};" for i in deployment.instances.values()]
    lines = [
        "# Without an instance cookie: the token decides, and without a token the address.",
        'map $http_token $oim_key { "" $remote_addr; default $http_token; }',
        "",
        "# The instance cookie. Other values fall to the hash, as if there were none.",
        f"map $cookie_{deployment.cookie.name} $oim_by_cookie {{",
        '    default "";' if native else "    default oim_hash;",
        *pins,
        "}",
        "",
        "# /i/<instance>/object/...: that instance, and the raw rest of the path. A location's capture would be decoded,",
        "# and break names with spaces, % or Chinese characters.",
        "map $request_uri $oim_iid {",
        '    default "";',
        f'    "~^{_optional(public_path(deployment))}/i/(?<oim_i>[A-Za-z0-9_-]+)/object/" $oim_i;',
        "}",
        "map $oim_iid $oim_by_path {",
        '    default "";',
        *pins,
        "}",
        "# An instance that is gone: views of its links go where those without an instance go; nothing else does.",
        'map "$oim_by_path $request_method" $oim_known { "~^ (GET|HEAD)$" 1; "~^ " ""; default 1; }',
        *([] if native else ['map $oim_by_path $oim_to_path { "" oim_hash; default $oim_by_path; }']),
        *(['map $oim_by_path $oim_route { "" $oim_by_cookie; default $oim_by_path; }'] if native else []),
        "map $request_uri $oim_path {",
        "    default $request_uri;",
        f'    "~^{_optional(public_path(deployment))}(?:/i/[A-Za-z0-9_-]+)?(?<oim_p>/object/.*)$" $oim_p;',
        "}",
        "",
        "# The MinIO nodes. Only the bucket is reachable: health, admin and STS routes are not.",
        'map $request_uri $oim_s3 {\n    default "";',
    ]
    for node, prefix in s3_prefixes(deployment):
        lines.append(f'    "~^{_re(prefix)}/{_re(node.bucket)}/" {urlsplit(node.endpoint).scheme}://oim_s3_{node.id};')
    lines += ["}", 'map $request_uri $oim_s3_path {\n    default "";']
    for n, (node, prefix) in enumerate(s3_prefixes(deployment)):
        lines.append(f'    "~^{_re(prefix)}(?<oim_r{n}>/{_re(node.bucket)}/.*)$" $oim_r{n};')
    lines += ["}", ""]
    return "\n".join(lines)


def _upstreams(deployment: Deployment, native: bool) -> str:
    instances = list(deployment.instances.values())
    lines = [
        "# max_fails=0: an instance that failed is asked again at once, so that a client is back on its own as soon as it",
        "# returns, and when all answer 503 the client gets their JSON instead of nginx's page.",
    ]
    if native:
        # `hash` stands before `sticky`; the other way round sticky is switched off, with no more than a warning.
        pinned = [_serve(i, f"route={i.id}") for i in instances]
        lines.append(_upstream("oim", ["hash $oim_key consistent;", "sticky route $oim_route;", *pinned], keepalive=32))
    else:
        lines.append(_upstream("oim_hash", ["hash $oim_key consistent;", *map(_serve, instances)], keepalive=32))
    for instance in [] if native else instances:
        servers = [_serve(instance)]
        for n, other in enumerate(_stand_ins(deployment, instance)):
            # Equal backups alternate; the weight keeps a pinned client's stand-in steady.
            servers.append(_serve(other, "backup weight=1000" if n == 0 else "backup"))
        lines.append(_upstream(f"oim_{instance.id}", servers, keepalive=32))
    for node in deployment.nodes.values():
        # One node, one server: nowhere else has its objects. In a cluster any endpoint has all of them.
        dead = " max_fails=0" if len(node.endpoints) == 1 else " max_fails=1 fail_timeout=5s"
        servers = [f"server {authority(endpoint)}{dead};" for endpoint in node.endpoints]
        lines.append(_upstream(f"oim_s3_{node.id}", servers, keepalive=64))
    if deployment.balancer.legacy_api is not None:
        lines.append(_upstream("oim_legacy", [f"server {authority(deployment.balancer.legacy_api)};"], keepalive=32))
    return "\n".join(lines)


def _server(deployment: Deployment, full: bool, native: bool) -> str:
    by_cookie, by_path = ("oim", "oim") if native else ("$oim_by_cookie", "$oim_to_path")
    name = "_" if full else urlsplit(deployment.public_url).hostname
    lines = [
        "server {",
        f"    listen {listen_address(deployment)}{' ssl' if deployment.balancer.certificate else ''};",
        f"    server_name {name};",
    ]
    if deployment.balancer.certificate is not None:
        lines += [
            f"    ssl_certificate {deployment.balancer.certificate};",
            f"    ssl_certificate_key {deployment.balancer.certificate_key};",
        ]
    lines += [
        "",
        "    # Signed URLs are long, in requests and in redirects.",
        "    large_client_header_buffers 4 32k;",
        "    proxy_buffer_size 16k;",
        "    proxy_buffers 8 16k;",
        "    client_max_body_size 16m;",
        "    proxy_http_version 1.1;",
        "    proxy_connect_timeout 1s;",
        "    # One proxy_set_header in a location would drop all of these.",
        '    proxy_set_header Connection "";',
        "    proxy_set_header Host $http_host;",
        "    proxy_set_header X-Real-IP $remote_addr;",
        "    proxy_set_header X-Forwarded-For $remote_addr;",
        "    proxy_set_header X-Forwarded-Proto $scheme;",
        f'    proxy_set_header {MARK_HEADER} "";',
        "    # Which instance the path named; for logs and metrics.",
        f"    proxy_set_header {PREFIX_HEADER} $oim_iid;",
        "",
        "    # A POST is tried on another instance too: every POST of the object API may be repeated.",
        "    proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent;",
        f"    proxy_next_upstream_timeout {2 * READ_TIMEOUT}s;",
        f"    proxy_read_timeout {READ_TIMEOUT}s;",
        "",
        "    # An address, not a named location: a request that could not be read has no URI to go on with.",
        "    error_page 400 414 494 505 =400 /.oim_bad;",
        "    error_page 404 @oim_unknown;",
        "    error_page 413 @oim_large;",
        "    error_page 502 504 = @oim_last;",
        "    recursive_error_pages on;",
        "",
    ]
    for prefix in dict.fromkeys(["", public_path(deployment)]):
        lines += [
            f"    location = {prefix}/object {{ return 404; }}",
            f"    location {prefix}/object/ {{",
            *(_CACHE if deployment.views.cache > 1 else []),
            f"        proxy_pass http://{by_cookie}$oim_path;",
            "    }",
            f"    location = {prefix}/object/complete_multipart_upload {{",
            f"        proxy_read_timeout {COMPLETE_READ_TIMEOUT}s;",
            f"        proxy_pass http://{by_cookie}$oim_path;",
            "    }",
            f"    location {prefix}/i/ {{",
            '        if ($oim_iid = "") { return 404; }',
            '        if ($oim_known = "") { return 404; }',
            f"        proxy_read_timeout {COMPLETE_READ_TIMEOUT}s;",
            f"        proxy_pass http://{by_path}$oim_path;",
            "    }",
        ]
        for page in ("/status", "/status/upload"):
            # For admins. /metrics and /status.json stay inside.
            lines.append(f"    location = {prefix}{page} {{ proxy_pass http://{by_cookie}{page}$is_args$args; }}")
    for prefix in dict.fromkeys(["/s3", *(p for _, p in s3_prefixes(deployment) if not p.startswith("/s3/"))]):
        lines += [
            f"    location {prefix}/ {{",
            '        if ($oim_s3 = "") { return 404; }',
            "        # Parts of up to 5 GiB stream through, instead of going to a spool file first.",
            "        client_max_body_size 0;",
            "        error_page 404 @oim_unknown;",
            "        error_page 502 504 =503 @oim_down;",
            "        proxy_request_buffering off;",
            "        proxy_buffering off;",
            "        # Another endpoint of a cluster, where the first cannot be reached.",
            "        proxy_next_upstream error;",
            "        proxy_read_timeout 300s;",
            "        proxy_send_timeout 300s;",
            "        proxy_ssl_server_name on;",
            "        proxy_pass $oim_s3$oim_s3_path;",
            "    }",
        ]
    if deployment.balancer.legacy_api is not None:
        scheme = urlsplit(deployment.balancer.legacy_api).scheme
        lines += [
            "    location / {",
            "        # v3.4.0's other routes are not all repeatable.",
            "        proxy_next_upstream error timeout;",
            "        proxy_read_timeout 60s;",
            "        error_page 502 504 =503 @oim_down;",
            f"        proxy_pass {scheme}://oim_legacy;",
            "    }",
        ]
    else:
        lines.append("    location / { return 404; }")
    lines += [
        "    # The last one asked did not answer, but another may have said 503, and why: once more, for that answer.",
        "    location @oim_last {",
        "        proxy_next_upstream error timeout non_idempotent;",
        "        error_page 502 504 =503 @oim_down;",
        f"        proxy_pass http://{'oim' if native else 'oim_hash'}$oim_path;",
        "    }",
        "    location @oim_unknown {",
        "        default_type text/plain;",
        "        add_header Access-Control-Allow-Origin * always;",
        "        return 404 '404 page not found';",
        "    }",
        *_json_page("= /.oim_bad", 400, ArgsError("the request is malformed, or its URL or headers are too long")),
        *_json_page("@oim_large", 413, ArgsError("the body is over 16 MiB")),
        *_json_page("@oim_down", 503, NetworkError(DOWN)),
        "}",
        "",
    ]
    return "\n".join(lines)


def _json_page(location: str, status: int, error: APIError) -> list[str]:
    """nginx's own errors in OpenIM's envelope, with v3.4.0's CORS header, so that a browser client can read them."""
    retry = ["        add_header Retry-After 2 always;"] if status == 503 else []
    return [
        f"    location {location} {{",
        *(["        internal;"] if location.startswith("=") else []),
        "        default_type application/json;",
        "        add_header Access-Control-Allow-Origin * always;",
        *retry,
        f"        return {status} '{failure_body(error)}';",
        "    }",
    ]


def _stand_ins(deployment: Deployment, instance: Instance) -> list[Instance]:
    """Who serves a dead instance's clients: instances of its own node first, which can go on with its uploads; then the
    others, beginning behind it, so that not all fall to one."""
    ordered = list(deployment.instances.values())
    at = ordered.index(instance)
    others = ordered[at + 1 :] + ordered[:at]
    return sorted(others, key=lambda other: other.node != instance.node)


def _upstream(name: str, servers: list[str], keepalive: int) -> str:
    # `keepalive` stands after `hash`, or is not obeyed.
    body = "\n".join(f"    {line}" for line in [f"zone {name} 64k;", *servers, f"keepalive {keepalive};"])
    return f"upstream {name} {{\n{body}\n}}\n"


def _serve(instance: Instance, more: str = "") -> str:
    return f"server {authority(instance.url)} max_fails=0{' ' + more if more else ''};"


def _map_key(value: str) -> str:
    # A value that is one of map's own words is written with a backslash.
    return f"\\{value}" if value.lower() in _MAP_WORDS else value


def _re(text: str) -> str:
    return re.sub(r"[.~]", lambda m: f"\\{m.group()}", text)


def _optional(prefix: str) -> str:
    return f"(?:{_re(prefix)})?" if prefix else ""


def _indent(text: str) -> str:
    return "".join(f"    {line}\n" if line.strip() else "\n" for line in text.splitlines())
