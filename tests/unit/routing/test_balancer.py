"""The rendered text; what it does is tested with a real nginx and a real HAProxy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from app.cli.main import main
from app.config.load import parse
from app.config.models import Deployment
from app.routing.balancer.context import Machine, RenderError
from app.routing.balancer.render import haproxy, nginx, one_word, quoted, regex

REPO = Path(__file__).resolve().parents[3]
RENDERED = Path(__file__).parent / "rendered"


def deployment(**change: Any) -> Deployment:
    document = {
        "public_url": "http://im.example.com:10002",
        "auth": {"secret": "hidden-value"},
        "nodes": {
            n: {"endpoint": f"http://10.0.0.{n[1]}:9000", "access_key": "hidden", "secret_key": "hidden-value"}
            for n in ("m1", "m2")
        },
        "instances": {
            "i1": {"node": "m1", "bind": "10.0.0.1:10011"},
            "i2": {"node": "m2", "bind": "10.0.0.2:10011"},
            "i3": {"node": "m1", "bind": "10.0.0.3:10011"},
        },
        **change,
    }
    return parse(yaml.safe_dump(document), {}, Path("/"))


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("nginx.conf", "nginx --full --sticky map"),
        ("nginx-native.conf", "nginx --sticky native"),
        ("haproxy.cfg", "haproxy"),
    ],
)
def test_the_sample_deployment_renders_as_committed(file: str, command: str) -> None:
    done = CliRunner().invoke(main, [*command.split(), "--config", str(REPO / "instances.yaml")])
    assert done.exit_code == 0, done.output
    again = f"python -m app {command} --config instances.yaml > tests/unit/routing/rendered/{file}"
    assert done.stdout == (RENDERED / file).read_text(), f"where this change is meant: {again}"


def test_no_secret_is_in_it() -> None:
    assert "hidden" not in nginx(deployment(), full=True) + haproxy(deployment())


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "listen 10002;"),
        ({"public_url": "http://im.example.com"}, "listen 80;"),
        ({"public_url": "http://127.0.0.1:1234"}, "listen 127.0.0.1:1234;"),
        ({"public_url": "http://127.0.0.9:1234"}, "listen 127.0.0.9:1234;"),
        ({"public_url": "http://LocalHost:1234"}, "listen 127.0.0.1:1234;"),
        ({"public_url": "http://[::1]:1234"}, "listen 127.0.0.1:1234;\n    listen [::1]:1234;"),
        ({"public_url": "http://[fd00::1]"}, "listen 80;\n    listen [::]:80;"),
        ({"balancer": {"listen": "8080"}}, "listen 8080;"),
        ({"public_url": "https://h", "balancer": {"certificate": "/c.pem", "certificate_key": "/k.pem"}}, "listen 443 ssl;"),
    ],
)
def test_where_it_listens(change: dict[str, Any], line: str) -> None:
    assert line in nginx(deployment(**change))


@pytest.mark.parametrize(
    ("change", "listens"),
    [
        ({}, ["10002", "[::]:10002"]),
        ({"public_url": "http://[2001:db8::1]:1234"}, ["1234", "[::]:1234"]),
        ({"public_url": "http://127.0.0.1:1234"}, ["127.0.0.1:1234", "[::1]:1234"]),
        ({"public_url": "http://[::1]:1234"}, ["127.0.0.1:1234", "[::1]:1234"]),
        ({"public_url": "http://localhost:1234"}, ["127.0.0.1:1234", "[::1]:1234"]),
        ({"balancer": {"listen": "8080"}}, ["8080", "[::]:8080"]),
        ({"balancer": {"listen": "0.0.0.0:8080"}}, ["0.0.0.0:8080"]),
        ({"balancer": {"listen": "[::1]:8080"}}, ["[::1]:8080"]),
    ],
)
def test_both_families_are_listened_on_unless_an_address_is_named(change: dict[str, Any], listens: list[str]) -> None:
    made = deployment(**change)
    assert re.findall(r"listen (.*);", nginx(made)) == listens
    binds = [f":{listen}" if ":" not in listen else listen for listen in listens]
    if len(binds) == 2:
        binds[1] += " v6only"
    assert re.findall(r"\n    bind (.*)", haproxy(made)) == binds
    # Where the machine has no IPv6, neither of them would start.
    assert re.findall(r"listen (.*);", nginx(made, machine=Machine(ipv6=False))) == listens[:1]


def test_the_name_of_the_server_is_as_clients_send_it() -> None:
    assert "server_name [2001:db8::1];" in nginx(deployment(public_url="http://[2001:DB8::1]:80"))


def test_https_needs_a_certificate_or_a_port_behind_a_proxy() -> None:
    with pytest.raises(RenderError, match=r"balancer\.certificate"):
        nginx(deployment(public_url="https://im.example.com"))
    assert "listen 8080;" in nginx(deployment(public_url="https://im.example.com", balancer={"listen": "8080"}))


def test_an_include_has_no_http_block() -> None:
    text = nginx(deployment())
    assert "http {" not in text
    assert "server_name im.example.com;" in text
    # nginx takes a dot off the name that a request says, and keeps an address's brackets.
    assert "server_name im.example.com;" in nginx(deployment(public_url="http://IM.Example.com."))
    assert "server_name [fd00::1];" in nginx(deployment(public_url="http://[fd00::0001]"))
    assert "http {" in nginx(deployment(), full=True)


def test_a_dead_instances_clients_go_first_to_its_own_node() -> None:
    text = nginx(deployment())
    upstream = text.split("upstream oim_i_i1 {")[1].split("}")[0]
    servers = [line.split()[1] for line in upstream.splitlines() if "server" in line]
    assert servers == ["10.0.0.1:10011", "10.0.0.3:10011", "10.0.0.2:10011"]
    assert "10.0.0.3:10011 max_fails=0 backup weight=1000;" in upstream


def test_ids_that_are_words_of_nginx() -> None:
    instances = {"default": {"node": "m1", "bind": "10.0.0.1:1"}, "include": {"node": "m1", "bind": "10.0.0.1:2"}}
    text = nginx(deployment(instances=instances))
    assert "\\default oim_i_default;" in text
    assert "\\include oim_i_include;" in text


def test_a_clusters_endpoints_stand_in_for_each_other_and_a_single_node_has_none() -> None:
    keys = {"access_key": "hidden", "secret_key": "hidden-value"}
    nodes = {"m1": {"endpoints": ["http://a:9000", "http://[fd00::1]"], **keys}, "m2": {"endpoint": "http://b", **keys}}
    text = nginx(deployment(nodes=nodes))
    assert "server a:9000 max_fails=1 fail_timeout=5s;\n    server [fd00::1]:80 max_fails=1 fail_timeout=5s;\n" in text
    assert "server b:80 max_fails=0;\n" in text
    text = haproxy(deployment(nodes=nodes))
    assert "server m1_1 a:9000\n    server m1_2 [fd00::1]:80\n" in text
    assert "server m2 b:80\n" in text


def test_a_signed_path_of_the_balancers_host_leads_to_its_node() -> None:
    nodes = {
        "m1": {"endpoint": "http://a:9000", "sign_endpoint": "http://im.example.com:10002/files.one"},
        "m2": {"endpoint": "https://b", "sign_endpoint": "https://elsewhere.example.com/files.two"},
    }
    text = nginx(deployment(nodes=nodes))
    assert '"~^/files\\.one/openim/" http://oim_s3_m1;' in text
    assert '"~^/s3/m2/openim/" https://oim_s3_m2;' in text
    assert "location /files.one/ {" in text
    assert "files.two" not in text


def test_certificates_of_nodes_and_instances_are_verified_for_their_names() -> None:
    keys = {"access_key": "hidden", "secret_key": "hidden-value"}
    nodes = {
        "m1": {"endpoint": "https://a", **keys},
        "m2": {"endpoints": ["https://b1", "https://b2:9443"], "ca_file": "/b.pem", **keys},
        "m3": {"endpoint": "http://c", **keys},
    }
    instances = {f"i{n}": {"node": f"m{n}", "bind": "10.0.0.1:1", "url": f"https://h{n}"} for n in (1, 2, 3)}
    made = deployment(nodes=nodes, instances=instances, ca_file="/a.pem", balancer={"legacy_api": "https://old"})
    text = nginx(made)
    blocks = {line.split("{")[0].strip(): line for line in text.split("\n    location ")}
    for location, file, name in (
        ("/s3/", "/a.pem", "$oim_s3_name"),
        ("/s3/m2/", "/b.pem", "$oim_s3_name"),
        ("/", "/a.pem", "old"),
    ):
        assert (
            f"proxy_ssl_verify on;\n        proxy_ssl_verify_depth 4;\n        proxy_ssl_trusted_certificate {file};"
            in blocks[location]
        )
        assert f"proxy_ssl_name {name};" in blocks[location]
    assert (
        '"~^/s3/m2/openim/" b1;' in text
        and '"~^/s3/m3/openim/" ' not in text.split("map $request_uri $oim_s3_name")[1].split("}")[0]
    )
    assert "proxy_ssl_name h1;" in text and "proxy_pass http://" not in text
    text = haproxy(made)
    for server in ("i2 h2:443 cookie i2", "m1 a:443", "m2_2 b2:9443", "legacy old:443"):
        host = re.search(r" (\S+):", server)[1]  # type: ignore[index]
        file = "/b.pem" if server.startswith("m2") else "/a.pem"
        assert (
            f"server {server} ssl verify required ca-file {file} verifyhost {host} sni str({host}) check-sni {host}\n"
            in text
        )
    assert "server m3 c:80\n" in text
    # By the system's authorities; and where there is nothing to verify by.
    assert "proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;" in nginx(deployment(nodes=nodes))
    for render in (nginx, haproxy):
        with pytest.raises(RenderError, match="set ca_file"):
            render(deployment(nodes=nodes), machine=Machine(authorities=None))
        for address in ("https://10.0.0.1", "https://[::1]:9000"):
            with pytest.raises(RenderError, match="write a host name instead of an address"):
                render(deployment(nodes={**nodes, "m1": {"endpoint": address, **keys}}, ca_file="/a.pem"))


def test_hosts_are_passed_on_as_they_were_signed() -> None:
    nodes = {
        "m1": {"endpoint": "http://a:9000", "sign_endpoint": "https://S3.Example.com:443/s3/m1"},
        "m2": {"endpoint": "http://b:9000", "sign_endpoint": "http://[::1]:80/s3/m2"},
    }
    text = nginx(deployment(nodes=nodes))
    lines = text.split("map $http_host $oim_host {")[1].split("}")[0].strip().splitlines()
    assert [line.strip() for line in lines] == [
        "default $http_host;",
        '"~*^im\\.example\\.com:10002$" im.example.com:10002;',
        '"~*^s3\\.example\\.com(:443)?$" s3.example.com;',
        '"~*^\\[::1\\](:80)?$" [::1];',
    ]
    text = haproxy(deployment(nodes=nodes))
    assert "set-header Host s3.example.com if { req.hdr(Host) -i -m reg ^s3\\.example\\.com(:443)?$ }" in text


def test_a_signed_path_of_the_balancers_host_in_another_way_of_writing() -> None:
    nodes = {"m1": {"endpoint": "http://a:9000", "sign_endpoint": "http://IM.Example.com:80/files"}}
    text = nginx(
        deployment(public_url="http://im.example.com", nodes=nodes, instances={"i1": {"node": "m1", "bind": "h:1"}})
    )
    assert "location /files/ {" in text


def test_views_are_cached_where_a_cache_of_whole_seconds_can_hold_them() -> None:
    for seconds, cached in ((0, False), (1, False), (2, True)):
        text = nginx(deployment(views={"cache": seconds}), full=True, run_dir="/run/x")
        assert "proxy_cache_path /run/x/views " in text or not cached
        # With and without an instance in their path.
        assert text.count("proxy_cache oim_views;") == 2 * cached


def test_listed_origins_are_compared_with_case_and_to_their_end() -> None:
    change = {"cors": {"origins": ["https://web.example.com", "http://10.0.0.9:3000"]}}
    text = nginx(deployment(**change))
    assert '"~^https://web\\.example\\.com$" $http_origin;' in text
    assert '"~^http://10\\.0\\.0\\.9:3000$" $http_origin;' in text
    assert "{ req.fhdr(Origin) -m str http://10.0.0.9:3000 }" in haproxy(deployment(**change))


@pytest.mark.parametrize("value", ["a b", "a;", "a\n", "{", "}", '"', "'", "#"])
def test_no_value_ends_a_directive(value: str) -> None:
    assert one_word(quoted("{} is;")) == "'{} is;'"
    with pytest.raises(ValueError, match="cannot stand in a balancer's configuration"):
        nginx(deployment(), full=True, run_dir=value)
    with pytest.raises(ValueError, match="cannot stand in a balancer's configuration"):
        one_word(regex(value))


@pytest.mark.parametrize("value", ["it's", "a\\b", "$uri", "a\n", "%x"])
def test_no_text_ends_its_quotes(value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in quotes"):
        quoted(value)


@pytest.mark.parametrize("url", ["http://im.example.com.", "http://im.example.com.:8080"])
def test_a_host_that_ends_in_a_dot_is_signed_with_it_whether_a_client_sends_it_or_not(url: str) -> None:
    """Python's requests leaves it out of Host; Go's client, Java's and curl do not."""
    made = deployment(public_url=url)
    name = url.removeprefix("http://")
    (pattern,) = re.findall(rf'"~\*\^(.*)\$" {re.escape(name)};', nginx(made))
    assert f"set-header Host {name} if {{ req.hdr(Host) -i -m reg ^{pattern}$ }}" in haproxy(made)
    for sent in (name, name.replace("com.", "com")):
        assert re.fullmatch(pattern, sent)
    assert not re.fullmatch(pattern, name.replace("com.", "com.x"))
