"""Clients stay on one instance: by the cookie, else by the token, else by the path."""

from __future__ import annotations

import pytest

from tests.stack import API, Stack


def instance_of(api: API, **headers: str) -> str:
    """Who answers a client that has no cookie."""
    answer = api.post("part_limit", headers=headers)
    assert answer.json()["errCode"] == 0
    cookie: str = answer.headers["Set-Cookie"]
    return cookie.removeprefix("OPENIM_INSTANCE=").partition(";")[0]


def test_the_cookie_is_set_once_and_obeyed(stack: Stack) -> None:
    seen = set()
    for n in range(20):
        api = stack.api(user=f"cookie{n}", keep_cookies=True)
        first = api.post("part_limit")
        assert first.headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax")
        instance = api.session.cookies["OPENIM_INSTANCE"]
        seen.add(instance)
        for _ in range(5):
            answer = api.post("part_limit")
            assert "Set-Cookie" not in answer.headers
        # The other instance's cookie takes it there, whatever the token says.
        other = {"i1": "i2", "i2": "i1"}[instance]
        api.session.cookies.clear()
        api.session.cookies.set("OPENIM_INSTANCE", other)
        begun = api.ok("initiate_multipart_upload", _body(f"cookie{n}", n))
        assert f"/s3/{other.replace('i', 'm')}/" in begun["upload"]["sign"]["parts"][0]["url"]
    assert seen == {"i1", "i2"}


def _body(user: str, n: int) -> dict[str, object]:
    from tests.stack import initiate_body

    return initiate_body(f"{user} {n}".encode(), f"{user}/{n}")


def test_without_a_cookie_the_token_decides(stack: Stack) -> None:
    placed = []
    for n in range(40):
        api = stack.api(user=f"token{n}")
        instances = {instance_of(api) for _ in range(4)}
        assert len(instances) == 1
        placed.append(instances.pop())
    assert 8 <= placed.count("i1") <= 32


@pytest.mark.parametrize(
    "cookie",
    ["OPENIM_INSTANCE=nobody", "OPENIM_INSTANCE=", "OPENIM_INSTANCE=" + "x" * 8000, 'OPENIM_INSTANCE="i\\"1"',
     "OPENIM_INSTANCE=a; OPENIM_INSTANCE=b", "OPENIM_INSTANCE=%0a", "OPENIM_INSTANCE=../i1", "OPENIM_INSTANCE", "=;=;;;",
     "OPENIM_INSTANCE=\xe9"],
    ids=lambda c: c[:28],
)  # fmt: skip
def test_cookies_that_name_no_instance_count_as_absent(stack: Stack, cookie: str) -> None:
    for url in (stack.url, stack.instance_url("i1")):
        api = stack.api(url)
        answer = api.post("part_limit", headers={"Cookie": cookie})
        assert answer.json()["errCode"] == 0
        assert answer.headers["Set-Cookie"].split(";")[0] in ("OPENIM_INSTANCE=i1", "OPENIM_INSTANCE=i2")


def test_a_stand_in_does_not_steal_a_pinned_client(stack: Stack) -> None:
    api = stack.api(stack.instance_url("i2"))
    answer = api.post("part_limit", headers={"Cookie": "OPENIM_INSTANCE=i1"})
    assert "Set-Cookie" not in answer.headers


def test_the_path_beats_cookie_and_token(stack: Stack) -> None:
    api = stack.api()
    for wanted in ("i1", "i2"):
        for n in range(3):
            api = stack.api(f"{stack.url}/i/{wanted}", user=f"path{n}")
            other = {"i1": "i2", "i2": "i1"}[wanted]
            begun = api.post(
                "initiate_multipart_upload", _body(f"path{n}", n), headers={"Cookie": f"OPENIM_INSTANCE={other}"}
            )
            part = begun.json()["data"]["upload"]["sign"]["parts"][0]
            assert f"/s3/{wanted.replace('i', 'm')}/" in part["url"]


def test_names_under_the_path_prefix_are_passed_raw(stack: Stack) -> None:
    api = stack.api()
    name = "u1/a b%41//图?#.bin"
    content = b"prefix"
    url = api.upload(content, name)
    for instance in ("i1", "i2"):
        assert api.get(url.replace("/object/", f"/i/{instance}/object/", 1)).content == content
