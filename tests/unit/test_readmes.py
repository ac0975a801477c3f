"""README.md and its Chinese translation say the same, section by section, as far as a machine can tell."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = "README.md", "README_zh-CN.md"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
#: `v3.4.0` and `m1` are no figures; digits right after a Chinese character are.
_FIGURE = re.compile(r"(?<![A-Za-z\d_.,])(\d+(?:[.,]\d+)*)(?:[\s-](million|megapixel|MP)\b)?")


@dataclass
class Section:
    """From one heading to the next; what stands before the first has level 0."""

    level: int
    title: str
    prose: str = ""
    #: Whole code blocks, fenced (with their fences) or indented.
    code: list[str] = field(default_factory=list)
    #: Rows of each table, with its head and the line below it.
    tables: list[int] = field(default_factory=list)

    def spans(self) -> list[str]:
        """Code spans; one that is broken over two lines counts as one with a space."""
        return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", self.prose)]

    def commands(self) -> Counter[str]:
        return Counter(span for span in self.spans() if span.startswith(("openim-direct ", "deploy/", "tests/")))

    def links(self) -> list[str]:
        return _LINK.findall(re.sub(r"`[^`]+`", "", self.prose))

    def figures(self) -> Counter[str]:
        return Counter(number + (" million" if unit else "") for number, unit in _FIGURE.findall(self.prose))


def sections_of(text: str) -> list[Section]:
    found = [Section(0, "")]
    fence, in_code, in_table, blank = "", False, False, True
    for line in text.splitlines():
        here = found[-1]
        if fence:
            here.code[-1] += "\n" + line
            fence = "" if line.strip() == fence else fence
            continue
        if opening := re.match(r" *(```+|~~~+)", line):
            fence = opening[1]
            here.code.append(line)
        elif line.startswith("    ") and (in_code or blank):
            if in_code:
                here.code[-1] += "\n" + line
            else:
                here.code.append(line)
            in_code, blank = True, False
            continue
        elif heading := re.match(r"(#{1,6}) +(.+)", line):
            found.append(Section(len(heading[1]), heading[2].strip()))
        else:
            here.prose += line + "\n"
            if line.startswith("|"):
                if in_table:
                    here.tables[-1] += 1
                else:
                    here.tables.append(1)
        in_code, in_table, blank = False, line.startswith("|"), not line.strip()
    return found


def anchor_of(title: str) -> str:
    """As GitHub makes it: lower case, punctuation left out, spaces as hyphens."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def readme(name: str) -> list[Section]:
    return sections_of((REPO / name).read_text(encoding="utf-8"))


def differences(what: Callable[[Section], object]) -> list[str]:
    """One line for each section in which the two differ, with its title in both."""
    return [
        f'"{one.title}" / "{other.title}": {what(one)!r} in {ENGLISH}, {what(other)!r} in {CHINESE}'
        for one, other in zip(readme(ENGLISH), readme(CHINESE), strict=False)
        if what(one) != what(other)
    ]


def counted(what: Callable[[Section], Counter[str]]) -> list[str]:
    """As `differences`, of multisets: only what one of the two has more of is shown."""
    lines = []
    for one, other in zip(readme(ENGLISH), readme(CHINESE), strict=False):
        more, less = what(one) - what(other), what(other) - what(one)
        if more or less:
            lines.append(
                f'"{one.title}" / "{other.title}": only in {ENGLISH} {sorted(more.elements())}, '
                f"only in {CHINESE} {sorted(less.elements())}"
            )
    return lines


def told(lines: list[str]) -> str:
    return "sections that differ:\n" + "\n".join(lines)


def test_both_have_the_same_headings() -> None:
    one, other = readme(ENGLISH), readme(CHINESE)
    assert len(one) > 10
    if len(one) != len(other):
        # Titles are in two languages: what is alike in both is found by level, code, tables and figures.
        marks, others = (
            [repr((s.level, s.code, s.tables, sorted(s.figures().items()))) for s in side] for side in (one, other)
        )
        lines = []
        for tag, a, b, c, d in difflib.SequenceMatcher(None, marks, others, autojunk=False).get_opcodes():
            if tag != "equal":
                lines += [f'"{s.title}" (level {s.level}) has no counterpart in {CHINESE}' for s in one[a:b]]
                lines += [f'"{s.title}" (level {s.level}) has no counterpart in {ENGLISH}' for s in other[c:d]]
        pytest.fail(told(lines))
    lines = differences(lambda s: s.level)
    assert not lines, told(lines)


def test_code_blocks_are_the_same_to_the_byte() -> None:
    assert sum(len(s.code) for s in readme(ENGLISH)) > 5
    lines = []
    for one, other in zip(readme(ENGLISH), readme(CHINESE), strict=False):
        for number, (a, b) in enumerate(zip_longest(one.code, other.code), 1):
            if a != b:
                lines.append(f'"{one.title}" / "{other.title}", block {number}:\n{a}\n-- but in {CHINESE}:\n{b}')
    assert not lines, told(lines)


def test_commands_and_files_in_the_text_are_the_same() -> None:
    assert sum(s.commands().total() for s in readme(ENGLISH)) > 10
    lines = counted(Section.commands)
    assert not lines, told(lines)


def test_tables_have_the_same_number_of_rows() -> None:
    assert sum(len(s.tables) for s in readme(ENGLISH)) > 4
    lines = differences(lambda s: s.tables)
    assert not lines, told(lines)


def test_figures_are_the_same() -> None:
    lines = counted(Section.figures)
    assert not lines, told(lines)


def test_links_lead_to_the_same_places() -> None:
    """Anchors are translated with their headings: they are held to the next test, and here to be anchors in both."""

    def links(section: Section) -> Counter[str]:
        found = ("#" if link.startswith("#") else link for link in section.links())
        return Counter("the other README" if link in (ENGLISH, CHINESE) else link for link in found)

    lines = counted(links)
    assert not lines, told(lines)


@pytest.mark.parametrize(("name", "other"), [(ENGLISH, CHINESE), (CHINESE, ENGLISH)])
def test_links_resolve(name: str, other: str) -> None:
    sections = readme(name)
    anchors = {anchor_of(s.title) for s in sections if s.level}
    for section in sections:
        for link in section.links():
            path, _, anchor = link.partition("#")
            if "://" in link:
                continue
            assert (REPO / path).exists(), f'{name}, "{section.title}": {link} is not there'
            assert path or anchor in anchors, f'{name}, "{section.title}": no heading has the anchor #{anchor}'
    assert other in sections[1].links(), f"{name} does not link to {other} under its title"


def test_the_reader_tells_code_from_headings_and_tables() -> None:
    text = (
        "# A\n\n```sh\n# no heading\n| no | table |\n```\n\n| a |\n|---|\n| `tests/run.sh\n\n"
        "1. Text:\n\n        # code\n\n   more `openim-direct\n   check`, 12-megapixel and 3 m1\n## B\n"
    )
    (_, a, b) = sections_of(text)
    assert (a.level, a.title, b.level, b.title) == (1, "A", 2, "B")
    assert a.code == ["```sh\n# no heading\n| no | table |\n```", "        # code"]
    assert a.tables == [3]
    assert a.figures() == Counter({"1": 1, "12 million": 1, "3": 1})
