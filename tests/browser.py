"""A real Chromium without a window."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.stack import program


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """A browser of a phone's width, until the end."""
    options = ChromeOptions()
    options.binary_location = program("chromium")
    for argument in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *("--window-size=390,844", f"--user-data-dir={profile}"),
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"intl.accept_languages": "en"})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(program("chromedriver")))
    driver.set_page_load_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()
