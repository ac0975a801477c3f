"""Reads YAML as text: what stands in the file is what the program gets. Knows nothing of the settings' meaning."""

from __future__ import annotations

import re
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_NULL_TAG, _TEXT_TAG, _MERGE_TAG = f"{_TAG}null", f"{_TAG}str", f"{_TAG}merge"
#: In PyYAML's texts: more than a character or the kind of a token. Aliases and tags are quoted so, and may be passwords.
_QUOTED = re.compile(r"'[^']'|'<[^']*'|\"'\"|(?P<text>'[^']*'|\"[^\"]*\")")
#: Texts that YAML readers of other versions take for numbers, such as `1e3` and `0o17`.
_LIKE_A_NUMBER = re.compile(r"[-+.]?\d")


class Null:
    """`null` or `~` without quotes. An empty value is None: nobody means a text by it."""

    def __repr__(self) -> str:
        return "null"


NULL = Null()


class _Refused(yaml.MarkedYAMLError):
    """A fault whose text holds nothing of the file but the name of a key."""


class _Loader(yaml.SafeLoader):
    """Keeps each plain scalar's text: `0123`, `1_000`, `on` and `2024-01-01` are what was written, and no other value."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (PyYAML's; filled below)
    # No numbers, dates and others even where a tag such as !!int says so.
    yaml_constructors = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (f"{_TAG}map", f"{_TAG}seq", _TEXT_TAG, None)
    } | {_MERGE_TAG: yaml.SafeLoader.construct_scalar}

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        text = super().construct_scalar(node)
        if isinstance(text, str) and any("\ud800" <= c <= "\udfff" for c in text):
            raise _Refused(None, None, "half of a surrogate pair is no character", node.start_mark)
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """PyYAML keeps the last of two equal keys; here a second `i1:` is a fault, not a silent loss of an instance."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == _NULL_TAG:
                key_node.tag = _TEXT_TAG
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or not key:
                raise _Refused(None, None, "a key must be a text, and not empty", key_node.start_mark)
            if key in seen:
                raise _Refused(None, None, f"the key {key!r} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(_NULL_TAG, re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_MERGE_TAG, re.compile(r"<<$"), ["<"])
_Loader.add_constructor(_NULL_TAG, lambda _, node: NULL if node.value else None)


def load_yaml(text: str) -> Any:
    """A YAML document of mappings, lists, texts, None and NULL.

    :raises ValueError: it is none; the text says where, and holds nothing of the file that may be a secret.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except yaml.MarkedYAMLError as e:
        problem = e.problem or "cannot be read"
        if not isinstance(e, _Refused):
            problem = _QUOTED.sub(lambda m: "..." if m["text"] else m[0], problem)
            problem += "; a text that begins with one of * & ! | > % @ ` or that holds `: ` or ` #` is written in quotes"
        mark = e.problem_mark or e.context_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise ValueError(f"{where}{problem}") from None
    except yaml.YAMLError:
        raise ValueError("holds a character that YAML does not allow") from None


class _Dumper(yaml.SafeDumper):
    """Writes texts so that every YAML reader takes them for texts."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes line breaks of Unicode into single quotes as they are, where reading makes spaces of them.
    style = '"' if not text.isprintable() else "'" if _LIKE_A_NUMBER.match(text) else None
    return dumper.represent_scalar(_TEXT_TAG, text, style=style)


_Dumper.add_representer(str, _text)


def dump_yaml(document: Any) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text
