"""The try-it page: an upload by the browser, with who served each step."""

from __future__ import annotations

from collections.abc import Mapping

from app.api.pages.render import TEXTS, render


def upload_page(instances: Mapping[str, str], api: str, *, language: str, nonce: str) -> str:
    """
    :param instances: ID of each instance to that of its node.
    :param api: what the object API's URLs begin with, as the browser sees it: "" or "/api", say.
    :param nonce: of the Content-Security-Policy, which has to let this page connect to the nodes, and show their pictures.
    """
    data = {"instances": dict(instances), "api": api.rstrip("/"), "texts": TEXTS[language]["script"]}
    return render("upload.html", language, nonce=nonce, data=data)
