"""The pages as texts: what they say, that nothing in them is taken for markup, and that a strict policy lets them work."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import Flask

from app.api.pages.plot import Line, line_plot
from app.api.pages.render import TEXTS, render
from app.api.pages.status import status_page
from app.api.status import page_language
from app.core.model import Record
from app.status.overview import InstanceState, NodeState, Overview
from app.status.report import Counts, Latency, Point, Report, size_text
from tests.stack import program

TEMPLATES = Path(__file__).resolve().parents[3] / "app/api/pages/templates"
NOW = 1_700_000_000.0
#: Breaks out of text, of attributes with either quote, and of scripts.
HOSTILE = """</script><script>alert(1)</script>"'><img src=x onerror=alert(1)>{{ 7*7 }}{0}&amp;"""
VOID = {"meta", "input", "img", "br", "link"}


class Page(HTMLParser):
    """A page taken apart, which ends at once where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self._texts: list[tuple[tuple[int, ...], str]] = []
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append((tag, len(self.tags) - 1))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "script":
            self.scripts.append(data)
        self._texts.append((tuple(number for _, number in self._open), data))

    def where(self, **attributes: str) -> list[dict[str, str]]:
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [found for _, found in self.tags if wanted.items() <= found.items()]

    def text(self, **attributes: str) -> str:
        """All text within the elements that have these attributes."""
        chosen = self.where(**attributes)
        numbers = {n for n, (_, found) in enumerate(self.tags) if any(found is one for one in chosen)}
        return " ".join(" ".join(data for within, data in self._texts if numbers & set(within)).split())


def point(at: float, p99: float | None = 5.0, node_ms: float | None = 1.0) -> Point:
    return Point(at, 30.0, Counts(requests=60, uploads_completed=5), Latency(p99, p99), node_ms)


def report(instance: str, node: str, down_since: float | None = None, history: list[Point] | None = None) -> Report:
    return Report(
        instance=instance,
        node=node,
        version="1",
        started=NOW - 5000,
        ready=down_since is None,
        node_ms=None if down_since else 1.5,
        down_since=down_since,
        reason="connection refused" if down_since else "",
        total=Counts(),
        recent=Counts(requests=100, errors=2, forwards=7, uploads_completed=40, uploads_deduplicated=2, uploads_failed=1),
        latency=Latency(3.25, 12.0),
        node_latency=Latency(0.5, 2.0),
        history=[point(NOW - 60), point(NOW - 30)] if history is None else history,
    )


def overview(down: bool = False) -> Overview:
    since = NOW - 600 if down else None
    return Overview(
        [
            NodeState("m1", True, 1.5, "", False, 1234, 5 << 30),
            NodeState("m2", not down, None if down else 1.5, "connection refused" if down else "", True, 10, 100),
        ],
        [
            InstanceState("i1", "m1", True, 1.0, "", 0.75, report("i1", "m1")),
            InstanceState("i2", "m2", not down, 1.0, "connection refused" if down else "", 0.25, report("i2", "m2", since)),
        ],
    )


def status(seen: Overview, spoken: str = "en", query: str = "", found: Record | None = None) -> Page:
    return Page(status_page(seen, "i1", query, found, language=spoken, nonce="NONCE", now=NOW))


def login_page(refused: bool, action: str = "status", language: str = "en") -> str:
    return render("login.html", language, nonce="NONCE", refused=refused, action=action)


def upload_page(instances: dict[str, str], api: str, language: str = "en") -> str:
    return render("upload.html", language, nonce="NONCE", instances=instances, api=api)


def hostile_pages(spoken: str) -> list[str]:
    h = HOSTILE
    seen = Overview(
        [NodeState(h, False, None, h, True, 1, 1), NodeState("", None, None, h, False, 1, 1)],
        [
            InstanceState(h, h, False, None, h, None, report(h, h, NOW - 5)),
            InstanceState(f"{h}2", h, False, None, h),
        ],
    )
    found = Record(h, h, h, h, h, h, 1, h, h, int(NOW * 1000))
    return [
        status_page(seen, h, h, found, language=spoken, nonce="NONCE", now=NOW),
        status_page(seen, h, h, None, language=spoken, nonce="NONCE", now=NOW),
        login_page(True, h, spoken),
        upload_page({h: h}, h, spoken),
    ]


def all_pages() -> list[str]:
    pages = [page for spoken in TEXTS for page in hostile_pages(spoken)]
    pages += [status_page(overview(down), "i1", language="en", nonce="NONCE", now=NOW) for down in (True, False)]
    return [
        *pages,
        login_page(False),
        upload_page({"i1": "m1"}, ""),
    ]


def test_all_well_is_said() -> None:
    page = status(overview())
    assert page.where(id="headline")[0]["data-all-up"] == "yes"
    assert page.text(id="headline") == "All is well 2 of 2 instances and 2 of 2 nodes are up."


def test_what_is_down_is_said_with_since_when_and_why() -> None:
    page = status(overview(down=True))
    headline = page.text(id="headline")
    assert page.where(id="headline")[0]["data-all-up"] == "no"
    assert headline.startswith("Node m2 is down. Instance i2 is not ready")
    assert "since 2023-11-14 22:03:20 UTC (10 min ago): connection refused" in headline


def test_an_instance_that_does_not_answer_is_said_where_since_when_is_not_known() -> None:
    seen = Overview([NodeState("m1", True, 1.0, "", False, 0, 0)], [InstanceState("i1", "m1", False, None, "refused")])
    assert status(seen).text(id="headline") == (
        "Instance i1 does not answer Instance i1 does not answer , since when is not known: refused"
    )


def test_a_headline_of_many_faults_stays_short() -> None:
    seen = Overview([NodeState(f"m{i}", False, None, "gone", False, 0, 0) for i in range(9)], [])
    page = status_page(seen, "i1", language="en", nonce="NONCE", now=NOW)
    assert "<h1>Node m0 is down. Node m1 is down. Node m2 is down. and 6 more</h1>" in page
    assert page.count(": gone</li>") == 9


def test_nodes_that_cannot_be_asked_are_no_fault() -> None:
    seen = Overview([NodeState("m1", None, None, "no keys", False, 0, 0), NodeState("", None, None, "", False, 3, 9)], [])
    page = status(seen)
    assert page.where(id="headline")[0]["data-all-up"] == "yes"
    assert [row["data-up"] for row in page.where(data_id="m1") + page.where(data_id="")] == ["unknown", "unknown"]


def test_tables_have_a_row_for_each_with_its_figures() -> None:
    page = status(overview(down=True))
    assert [(row["data-id"], row["data-up"]) for _, row in page.tags if "data-id" in row] == [
        ("i1", "yes"),
        ("i2", "no"),
        ("m1", "yes"),
        ("m2", "no"),
    ]
    assert page.text(data_id="i1") == "i1 this one m1 yes 3.25 / 12 42 1 failed 75 % 7 2"
    assert page.text(data_id="m1") == "m1 yes 0.5 / 2 1,234 5.0 GiB no"
    assert page.text(data_id="m2").endswith("10 100 B drains")


def test_a_node_without_reports_shows_its_one_probe() -> None:
    page = status(Overview([NodeState("m1", True, 1.5, "", False, 0, 0)], [InstanceState("i1", "m1", True, 1.0, "")]))
    assert "1.5 (one probe)" in page.text(data_id="m1")
    assert "told no figures" in page.text(**{"class": "notes"})


def test_a_name_is_found_not_found_or_not_asked_for() -> None:
    assert status(overview()).where(id="found") == []
    missing = status(overview(), query="u1/none")
    assert missing.where(id="found")[0]["data-found"] == "no"
    assert missing.text(id="found") == "No such name: u1/none"
    found = Record(
        "u1/a.png", "u1", "m2", "openim/data/hash/x", "x", "x", 2048, "image/png", "", int(NOW * 1000) - 7_200_000
    )
    there = status(overview(), query="u1/a.png", found=found)
    assert there.where(id="found")[0]["data-node"] == "m2"
    assert there.text(id="found").startswith("On node m2 Name u1/a.png Key in the bucket openim/data/hash/x Hash x")
    assert "2.0 KiB (2,048 bytes)" in there.text(id="found")
    assert "2023-11-14 20:13:20 UTC (2 h ago)" in there.text(id="found")
    assert there.where(id="name")[0]["value"] == "u1/a.png"


@pytest.mark.parametrize(
    ("create_time", "shown"),
    [(0, "1970-01-01 00:00:00 UTC"), (-(10**15), "-29719-04-05 22:13:20 UTC"), (10**17, "3170843-11-07"), (10**30, "1e+27")],
)
def test_a_create_time_of_nonsense_is_shown_and_no_fault(create_time: int, shown: str) -> None:
    page = status(overview(), query="n", found=Record("n", "", "", "", "", "", 0, "", "", create_time))
    assert f"Uploaded at {shown}" in page.text(id="found")


def test_the_parts_that_are_refreshed_leave_the_form_alone() -> None:
    text = status_page(overview(), "i1", language="en", nonce="NONCE", now=NOW)
    live = re.findall(r"<div data-live>", text)
    assert len(live) == 2
    first, form, second = text.index("<div data-live>"), text.index("<form"), text.rindex("<div data-live>")
    assert first < text.index('id="nodes"') < form < second < text.index("<svg")


@pytest.mark.parametrize("spoken", TEXTS)
def test_values_are_never_markup(spoken: str) -> None:
    for text, scripts in zip(hostile_pages(spoken), (1, 1, 1, 2), strict=True):
        tags = [tag for tag, _ in Page(text).tags]
        assert tags.count("script") == scripts
        assert tags.count("img") == (2 if 'id="picture"' in text else 0)
        assert "<img src=x" not in text


def test_hostile_names_arrive_as_they_are() -> None:
    seen, _, login, upload = (Page(text) for text in hostile_pages("en"))
    assert seen.where(id="found")[0]["data-node"] == HOSTILE
    assert seen.where(id="name")[0]["value"] == HOSTILE
    assert HOSTILE in seen.text(id="found") and HOSTILE in seen.text(id="headline")
    assert len(seen.where(data_id=HOSTILE)) == 2
    assert login.where(id="login")[0]["action"] == HOSTILE
    data = json.loads(next(script for script in upload.scripts if script.startswith("{")))
    assert data["instances"] == {HOSTILE: HOSTILE}


def test_a_strict_policy_lets_the_pages_work() -> None:
    """`default-src 'none'` with a nonce: neither style attributes nor handlers, and nothing from elsewhere."""
    for text in all_pages():
        for tag, attributes in Page(text).tags:
            assert not [name for name in attributes if name == "style" or name.startswith("on")], (tag, attributes)
            if tag in ("style", "script"):
                assert attributes["nonce"] == "NONCE"
            assert tag not in ("link", "base", "iframe", "object", "embed")
            assert "src" not in attributes
    for file in TEMPLATES.iterdir():
        text = file.read_text()
        assert not re.search(r"https?://|@import|url\(|innerHTML|\.style\b|\beval\b|new Function|document\.write", text), (
            file
        )


def test_the_login_page() -> None:
    fresh, refused = (Page(login_page(r)) for r in (False, True))
    form = fresh.where(id="login")[0]
    assert (form["method"], form["action"]) == ("post", "status")
    field = fresh.where(name="token")[0]
    assert (field["type"], field["autocomplete"]) == ("password", "off")
    assert fresh.where(id="refused") == []
    assert "was refused" in refused.text(id="refused")


def test_the_upload_page_has_what_tests_and_its_script_look_for() -> None:
    text = upload_page({"i1": "m1"}, "/api")
    page = Page(text)
    script = page.scripts[-1]
    ids = {found["id"] for _, found in page.tags if "id" in found}
    assert ids >= {"token", "file", "start", "operation", "steps", "picture", "thumbnail", "result", "error", "progress"}
    assert set(re.findall(r'\bid\("(\w+)"\)', script)) <= ids
    data = json.loads(page.scripts[0])
    assert (data["api"], data["instances"]) == ("/api", {"i1": "m1"})
    named = set(re.findall(r"\btexts\.(\w+)", script))
    assert named <= set(data["texts"])
    assert all(re.fullmatch(r"hint_\d{4,5}", key) for key in set(data["texts"]) - named)


def all_texts(spoken: str) -> dict[str, str]:
    """Those of the templates and those of the script."""
    texts = dict(TEXTS[spoken])
    script = texts.pop("script")
    return texts | {f"script.{key}": text for key, text in script.items()}


def test_every_text_is_there_in_both_languages() -> None:
    assert set(TEXTS) == {"en", "zh"}
    english, chinese = all_texts("en"), all_texts("zh")
    assert list(english) == list(chinese)
    for key in english:
        assert english[key].strip() and chinese[key].strip(), key
        assert fields(chinese[key]) == fields(english[key]), key
    used = set(re.findall(r"\bt\.(\w+)", " ".join(file.read_text() for file in TEMPLATES.glob("*.html"))))
    assert used - {"script"} <= set(english)


def fields(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_no_text_is_written_twice() -> None:
    for file in TEMPLATES.parent.glob("texts/*.json"):
        json.loads(file.read_text(), object_pairs_hook=unique)


def unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_every_text_is_used() -> None:
    written = " ".join(file.read_text() for file in [*TEMPLATES.iterdir(), *TEMPLATES.parent.glob("*.py")])
    unused = {key for key in all_texts("en") if not re.search(rf"\b{key.removeprefix('script.')}\b", written)}
    assert {key for key in unused if not re.fullmatch(r"script\.hint_\d+", key)} == set()


def test_pages_speak_chinese() -> None:
    page = status(overview(down=True), "zh")
    assert page.text(id="headline").startswith("节点 m2 故障；实例 i2 未就绪")
    assert page.tags[0] == ("html", {"lang": "zh-CN"})
    assert "试传文件" in upload_page({}, "", "zh")


@pytest.mark.parametrize(
    ("header", "spoken"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("en;q=0.3, ZH-Hant-TW ; q=0.7", "zh"),
        ("fr-FR,de;q=0.9", "en"),
        ("fr,zh;q=0.1", "zh"),
        ("zh;q=0", "en"),
        ("zh;q=nan,zh;q=inf,zh;q=-1,zh;q=x", "en"),
        (";;,,=;q", "en"),
    ],
)
def test_the_language_that_the_browser_likes_best(header: str, spoken: str) -> None:
    with Flask("test").test_request_context(headers={"Accept-Language": header}):
        assert page_language() == spoken


def plot(*lines: Line) -> str:
    text = line_plot("title", "ms", lines, NOW - 3600, NOW, "en")
    Page(text)
    numbers = re.findall(r' (?:[xy][12]?|c[xy]|points)="([^"]*)"', text)
    assert numbers
    for number in " ".join(numbers).replace(",", " ").split():
        assert 0 <= float(number) <= 420
    assert "nan" not in text.lower() and "inf" not in text.lower()
    return text


def test_a_plot_has_units_times_and_a_legend() -> None:
    text = plot(Line("i1", [(NOW - 60 * i, 10.0 + i) for i in range(59, -1, -1)]))
    page = Page(text)
    assert "ms" in re.findall(r">([^<>]+)</text>", text)
    assert page.text(**{"class": "end"}).split()[:4] == ["0", "20", "40", "60"]
    assert len(page.where(data_zone="time, here")) == 1
    assert next(found for _, found in page.tags if "data-minute" in found)["data-minute"] == "1699996500"
    assert "21:30" in text
    assert page.text(**{"class": "legend"}) == "i1 now 10, max 69"


def test_a_plot_leaves_gaps() -> None:
    values = [1.0, 2.0, None, 3.0, float("nan"), float("inf"), 4.0, 5.0, None]
    text = plot(Line("i1", [(NOW - 900 + 100 * i, value) for i, value in enumerate(values)]))
    assert [len(points.split()) for points in re.findall(r'points="([^"]*)"', text)] == [2, 2]
    assert text.count("<circle") == 1
    assert "max 5" in text and "now" not in Page(text).text(**{"class": "legend"})


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [Line("i1", [])],
        [Line("i1", [(NOW - 5, None)])],
        [Line("i1", [(NOW - 5, float("nan"))])],
        [Line("i1", [(0, 1.0)])],
    ],
)
def test_a_plot_of_nothing_says_so(lines: list[Line]) -> None:
    text = plot(*lines)
    assert "nothing was measured" in text and "<polyline" not in text


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.4, 7.0, 100.0, 123456.0, 1e12])
def test_a_plot_of_one_point(value: float) -> None:
    text = plot(Line("i1", [(NOW - 5, value)]))
    assert text.count("<circle") == 1 and "nothing was measured" not in text


def test_more_lines_than_colours_are_told_apart() -> None:
    text = plot(*(Line(f"i{n}", [(NOW - 5, 1.0), (NOW, 2.0)]) for n in range(9)))
    assert '<g class="c0 dashed">' in text and '<g class="c7">' in text


def test_one_line_a_node_from_several_instances() -> None:
    histories = [
        [point(NOW - 60 + shift, node_ms=ms), point(NOW - 30 + shift, node_ms=None)] for shift, ms in ((0, 2.0), (1, 4.0))
    ]
    seen = Overview(
        [NodeState("m1", True, 1.0, "", False, 0, 0)],
        [
            InstanceState(f"i{n}", "m1", True, 1.0, "", None, report(f"i{n}", "m1", history=h))
            for n, h in enumerate(histories)
        ],
    )
    text = status_page(seen, "i1", language="en", nonce="NONCE", now=NOW)
    nodes = text[text.index("Nodes, mean of the probes") : text.index("Requests per second")]
    assert nodes.count("<circle") == 1 and "max 3<" in nodes


def test_sizes() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 150 << 20, 3 << 40)] == ["0 B", "1023 B", "1.0 KiB", "150 MiB", "3.0 TiB"]


def run_node(script: str) -> str:
    return subprocess.run(
        [program("node"), "-"], input=script, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_pages_md5_is_md5() -> None:
    page = upload_page({}, "")
    source = (TEMPLATES / "md5.js").read_text()
    assert source.strip() in page
    sizes = [*range(131), 1000, 4095, 4096, 4097, 100_003, (1 << 20) + 7]
    pieces = [1, 3, 63, 64, 65, 127, 128, 1 << 20]
    answer = run_node(
        f"""{source}
        const bytes = (size) => Uint8Array.from({{length: size}}, (_, i) => i * 7 + (i >> 8) * 13 & 255);
        const inPieces = (data, piece) => {{
          const md5 = new Md5();
          for (let at = 0; at < data.length; at += piece) md5.update(data.subarray(at, at + piece));
          return md5.hex();
        }};
        const found = {json.dumps(sizes)}.map((size) => new Md5().update(bytes(size)).hex());
        const split = {json.dumps(pieces)}.map((piece) => inPieces(bytes(100003), piece));
        console.log(JSON.stringify([found, split]));
        """
    )
    found, split = json.loads(answer)

    def data(size: int) -> bytes:
        return bytes(i * 7 + (i >> 8) * 13 & 255 for i in range(size))

    assert found == [hashlib.md5(data(size)).hexdigest() for size in sizes]
    assert split == [hashlib.md5(data(100_003)).hexdigest()] * len(pieces)


@pytest.mark.parametrize("name", ["status.js", "upload.js", "md5.js"])
def test_scripts_are_whole(name: str) -> None:
    source = (TEMPLATES / name).read_text()
    # Templates take them in as they are, so that nothing of theirs may look like a template's own.
    assert not re.search(r"\{\{|\{%|\{#|</script", source)
    run_node(f"new Function({json.dumps(source)});")
