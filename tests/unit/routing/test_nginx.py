"""The rendered text; what it does is tested with a real nginx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.load import parse
from app.config.models import Deployment
from app.routing.balancer.common import RenderError
from app.routing.balancer.nginx import render


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


def test_no_secret_is_in_it() -> None:
    assert "hidden" not in render(deployment(), full=True)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "listen 10002;"),
        ({"public_url": "http://im.example.com"}, "listen 80;"),
        ({"public_url": "http://127.0.0.1:1234"}, "listen 127.0.0.1:1234;"),
        ({"balancer": {"listen": "8080"}}, "listen 8080;"),
        ({"public_url": "https://h", "balancer": {"certificate": "/c.pem", "certificate_key": "/k.pem"}}, "listen 443 ssl;"),
    ],
)
def test_where_it_listens(change: dict[str, Any], line: str) -> None:
    assert line in render(deployment(**change))


def test_https_needs_a_certificate_or_a_port_behind_a_proxy() -> None:
    with pytest.raises(RenderError, match=r"balancer\.certificate"):
        render(deployment(public_url="https://im.example.com"))
    assert "listen 8080;" in render(deployment(public_url="https://im.example.com", balancer={"listen": "8080"}))


def test_an_include_has_no_http_block() -> None:
    text = render(deployment())
    assert "http {" not in text
    assert "server_name im.example.com;" in text
    assert "http {" in render(deployment(), full=True)


def test_a_dead_instances_clients_go_first_to_its_own_node() -> None:
    text = render(deployment())
    upstream = text.split("upstream oim_i1 {")[1].split("}")[0]
    servers = [line.split()[1] for line in upstream.splitlines() if "server" in line]
    assert servers == ["10.0.0.1:10011", "10.0.0.3:10011", "10.0.0.2:10011"]
    assert "10.0.0.3:10011 max_fails=0 backup weight=1000;" in upstream


def test_ids_that_are_words_of_nginx() -> None:
    instances = {"default": {"node": "m1", "bind": "10.0.0.1:1"}, "include": {"node": "m1", "bind": "10.0.0.1:2"}}
    text = render(deployment(instances=instances))
    assert "\\default oim_default;" in text
    assert "\\include oim_include;" in text
