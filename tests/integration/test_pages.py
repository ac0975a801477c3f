"""The status page and the try-it page in a real browser, on a running deployment with one node stopped."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser import chromium
from tests.integration.test_cluster import random_pinning
from tests.pictures import encoded, photo
from tests.stack import MinIONode, Stack, running, started, wait_for


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("pages")
    nodes = {n: MinIONode(n, folder / n) for n in ("m1", "m2")}
    with started(nodes), running(Stack(folder / "stack", nodes, {"i1": "m1", "i2": "m2"})) as stack:
        yield stack


def text(browser: Chrome, selector: str) -> str:
    """In one step: the status page renews itself, and an element that was found may be gone."""
    return str(browser.execute_script("return document.querySelector(arguments[0]).innerText", selector))


def attribute(browser: Chrome, selector: str, name: str) -> str:
    return str(
        browser.execute_script("return document.querySelector(arguments[0]).getAttribute(arguments[1])", selector, name)
    )


def picture_of(megabytes: int) -> bytes:
    """A JPEG of about this size: what follows its end is not looked at by decoders."""
    return encoded(photo(1600, 1200), "JPEG") + os.urandom(megabytes * 1_000_000)


def log_in(browser: Chrome, stack: Stack, page: str) -> None:
    # Cookies know no ports: another deployment's session would be taken here too.
    browser.delete_all_cookies()
    browser.get(stack.url + page)
    browser.find_element(By.NAME, "token").send_keys(stack.token("openIMAdmin", 10))
    browser.find_element(By.CSS_SELECTOR, "form [type=submit], form button").click()
    wait_for("the status page", lambda: browser.find_elements(By.ID, "headline"))


def steps(browser: Chrome) -> list[dict[str, Any]]:
    names = ("step", "instance", "node", "pin", "status", "code")
    return [
        {name: row.get_attribute(f"data-{name}") for name in names}
        for row in browser.find_elements(By.CSS_SELECTOR, "#steps tr[data-step]")
    ]


def try_it(browser: Chrome, file: Path) -> None:
    browser.find_element(By.ID, "file").send_keys(str(file))
    browser.find_element(By.ID, "start").click()

    def ended() -> bool:
        error = text(browser, "#error")
        assert not error, error
        return bool(text(browser, "#result")) and browser.find_element(By.ID, "start").is_enabled()

    wait_for("the upload", ended, timeout=120)


def complaints(browser: Chrome) -> list[str]:
    """What the console says, but for the icon that no page has and the login's own 401."""
    said = [entry["message"] for entry in browser.get_log("browser")]
    return [message for message in said if "favicon" not in message and "401 (UNAUTHORIZED)" not in message]


def test_a_phone_proves_the_deployment(browser: Chrome, deployment: Stack, tmp_path: Path) -> None:
    stack = deployment
    log_in(browser, stack, "/status")
    assert attribute(browser, "#headline", "data-all-up") == "yes"
    browser.find_element(By.CSS_SELECTOR, 'a[href$="status/upload"]').click()
    wait_for("the try-it page", lambda: browser.find_elements(By.ID, "file"))
    assert browser.find_element(By.ID, "token").get_attribute("value"), "the token of the login goes along"

    content = picture_of(12)
    file = tmp_path / "猫 & <b>.jpg"
    file.write_bytes(content)
    try_it(browser, file)
    done = steps(browser)
    names = [step["step"] for step in done]
    assert names.count("put") == 3
    api_steps = [step for step in done if step["step"] in ("initiate_multipart_upload", "complete_multipart_upload")]
    assert len(api_steps) == 2
    node_of = {"i1": "m1", "i2": "m2"}
    for step in api_steps:
        assert (step["status"], step["code"]) == ("200", "0")
        assert node_of[str(step["instance"])] == step["node"]
        assert step["pin"] in ("cookie", "hash")
    # The picture and its thumbnail are shown.
    for image in ("picture", "thumbnail"):
        wait_for(
            image,
            lambda image=image: browser.execute_script(
                f"const i = document.querySelector('#{image}'); const p = i.tagName === 'IMG' ? i : i.querySelector('img');"
                "return p && p.complete && p.naturalWidth"
            ),
            timeout=30,
        )
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), "no sideways scroll"
    # Its operation is in the balancer's log and in that of the instance that answered.
    operation = text(browser, "#operation").split()[-1]
    assert operation in (stack.folder / "nginx/access.log").read_text()
    for step in api_steps:
        log = stack.instances[str(step["instance"])].log.read_text()
        routes = [json.loads(line)["route"] for line in log.splitlines() if operation in line]
        assert step["step"] in routes
    # Once more: no byte is sent.
    browser.refresh()
    try_it(browser, file)
    assert attribute(browser, "#result", "data-dedupe") == "yes"
    assert "put" not in [step["step"] for step in steps(browser)]
    assert complaints(browser) == []


def test_one_operation_from_the_page_to_the_instance_it_was_forwarded_to(
    browser: Chrome, deployment: Stack, tmp_path: Path
) -> None:
    """Behind a balancer that pins nobody: sooner or later complete reaches the other instance, and is sent on."""
    with running(Stack(tmp_path / "stack", deployment.nodes, {"i1": "m1", "i2": "m2"}, balancer=random_pinning)) as stack:
        log_in(browser, stack, "/status")
        file = tmp_path / "small.bin"
        for _ in range(40):
            file.write_bytes(os.urandom(1000))
            browser.get(f"{stack.url}/status/upload")
            try_it(browser, file)
            (done,) = [step for step in steps(browser) if step["step"] == "complete_multipart_upload"]
            if "→" in str(done["instance"]):
                break
        first, owner = str(done["instance"]).split(" → ")
        assert {first, owner} == {"i1", "i2"}
        assert done["node"] == {"i1": "m1", "i2": "m2"}[owner]
        operation = text(browser, "#operation").split()[-1]
        assert operation in (stack.folder / "nginx/access.log").read_text()
        told = {}
        for instance in (first, owner):
            lines = [
                json.loads(line) for line in stack.instances[instance].log.read_text().splitlines() if operation in line
            ]
            (told[instance],) = [line for line in lines if line["route"] == "complete_multipart_upload"]
        assert told[first]["forwardedTo"] == owner
        assert told[owner]["forwardedBy"] == first


def test_the_page_says_which_node_is_stopped(browser: Chrome, deployment: Stack) -> None:
    stack = deployment
    stack.api().upload(b"where am I", "u1/<script>alert(1)</script>")
    stack.nodes["m2"].stop()
    try:
        log_in(browser, stack, "/status")

        def named() -> bool:
            browser.get(f"{stack.url}/status?name=u1%2F%3Cscript%3Ealert(1)%3C%2Fscript%3E")
            return attribute(browser, "#headline", "data-all-up") == "no"

        wait_for("the page to say so", named)
        headline = text(browser, "#headline")
        assert "m2" in headline
        assert "m1" not in headline
        up = {node: attribute(browser, f'#nodes tr[data-id="{node}"]', "data-up") for node in stack.nodes}
        assert up == {"m1": "yes", "m2": "no"}
        assert attribute(browser, "#found", "data-node") in ("m1", "m2")
        assert "u1/<script>alert(1)</script>" in text(browser, "#found")
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        picture = os.environ.get("OPENIM_DIRECT_SCREENSHOTS")
        if picture:
            shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            Path(picture).write_bytes(base64.b64decode(shot["data"]))
        # The page renews itself: no click, and the node that is back is seen.
        stack.nodes["m2"].start()
        wait_for("the page to see it return", lambda: "m2" not in text(browser, "#headline"), timeout=40)
        assert complaints(browser) == []
    finally:
        if not stack.nodes["m2"].process.alive():
            stack.nodes["m2"].start()
