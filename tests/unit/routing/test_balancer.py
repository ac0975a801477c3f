"""The rendered text; what it does is tested with a real nginx and a real HAProxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from app.cli.main import main
from app.config.load import parse
from app.config.models import Deployment
from app.routing.balancer.context import RenderError
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
    with pytest.raises(RenderError, match="http:// endpoints only"):
        haproxy(deployment(nodes=nodes))


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
