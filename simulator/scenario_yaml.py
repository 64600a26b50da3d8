"""Reads a scenario's YAML; every complaint is one sentence with file, line, field and what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from simulator.scenario_checks import Flaw, Path, one_of

NODES_MAX = 100_000
DEPTH_MAX = 40


class ScenarioError(Exception):
    """A scenario cannot be used. The message is one sentence that names the file, the line and the field."""


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document: plain data, and the line (from 1) on which each field's key or list item stands."""

    source: str
    data: dict[str, Any]
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of the field at `path`, or of the nearest field around it."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return 1


def parse(source: str, text: str) -> Document:
    """The document in `text`; `source` names it in errors. Raises `ScenarioError`."""
    if not text.strip():
        raise ScenarioError(f"{source}, line 1: is empty; a scenario needs at least name, duration_s and diners")
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        lines = dict(_lines(source, root))
        data = YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        key = str(error.problem).split('"')[1] if '"' in str(error.problem) else "a key"
        raise ScenarioError(
            f"{source}, line {_line_of(error)}: {key}: stands here a second time; keep one of the two"
        ) from error
    except MarkedYAMLError as error:
        said = " ".join(str(error.problem or error.context or "cannot be read").split())
        raise ScenarioError(
            f"{source}, line {_line_of(error)}: this is not YAML ({said}); check indentation, colons and quotes here"
        ) from error
    except YAMLError as error:
        said = " ".join(str(error).split())
        raise ScenarioError(f"{source}, line 1: this is not YAML ({said}); write plain text in UTF-8") from error
    except RecursionError as error:
        raise ScenarioError(f"{source}, line 1: is nested too deeply; a scenario needs six levels at most") from error
    except ValueError as error:
        raise ScenarioError(
            f"{source}, line 1: holds a value that cannot be read ({error}); put it in quotes"
        ) from error
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value" if data is not None else "empty"
        raise ScenarioError(f"{source}, line 1: is {kind}; a scenario is a list of `field: value` lines, name first")
    return Document(source, data, lines)


def explain(document: Document, error: ValidationError, schema: dict[str, Any]) -> ScenarioError:
    """The first flaw of the file, as one sentence, and how many more there are."""
    flaws = flaws_of(error, schema)
    flaws.sort(key=lambda flaw: document.line(flaw.path))
    first, more = flaws[0], len(flaws) - 1
    rest = f" (and {more} more {'error' if more == 1 else 'errors'} in this file)" if more else ""
    where = f"{document.source}, line {document.line(first.path)}"
    return ScenarioError(f"{where}: {dotted(first.path)}: {first.message}{rest}")


def flaws_of(error: ValidationError, schema: dict[str, Any]) -> list[Flaw]:
    """All flaws that pydantic found, each with the path in the file and what would be right."""
    return [flaw for details in error.errors() for flaw in _flaws(details, schema)]


def unknown_field(error: ValidationError, schema: dict[str, Any]) -> tuple[Path, list[str]] | None:
    """The path of the first field that is not one, and the fields that there are in its place; None if all are fields."""
    for details in error.errors():
        if details["type"] == "extra_forbidden":
            path, known, _ = _locate(details["loc"], schema)
            return path, known
    return None


def dotted(path: Path) -> str:
    """A path as text: `stores[0].tables`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the scenario"


def _lines(
    source: str, node: Node | None, path: Path = (), seen: list[int] | None = None
) -> Iterator[tuple[Path, int]]:
    """The line of every field; anchors are followed, so their number and depth are bounded."""
    seen = [0] if seen is None else seen
    seen[0] += 1
    if seen[0] > NODES_MAX or len(path) > DEPTH_MAX:
        raise ScenarioError(f"{source}, line 1: is too large or nested too deeply; a scenario is a few hundred lines")
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                line = key.start_mark.line + 1
                raise ScenarioError(
                    f"{source}, line {line}: {dotted(path)}: a field's name is no text; use plain names"
                )
            field = (*path, str(key.value))
            yield field, key.start_mark.line + 1
            yield from _lines(source, value, field, seen)
    elif isinstance(node, SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _lines(source, value, (*path, number), seen)


def _line_of(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else 1


_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a group of `field: value` lines",
    "model_type": "a group of `field: value` lines",
    "model_attributes_type": "a group of `field: value` lines",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def _flaws(details: ErrorDetails, schema: dict[str, Any]) -> list[Flaw]:
    """The flaws in one of pydantic's errors."""
    context = details.get("ctx", {})
    if details["type"] == "inconsistent":
        return list(context["flaws"])
    path, known, description = _locate(details["loc"], schema)
    return [Flaw(path, _sentence(details, context, known, description))]


def _sentence(details: ErrorDetails, context: dict[str, Any], known: list[str], description: str) -> str:
    kind, value = details["type"], details["input"]
    name = str(details["loc"][-1]) if details["loc"] else ""
    if kind == "missing":
        return f"is missing; give it: {description[:1].lower()}{description[1:].rstrip('.')}"
    if kind == "extra_forbidden":
        close = get_close_matches(name, known, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        return f"is not a field here{meant}; the fields are {', '.join(known)}"
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, not {_shown(value)}{_hint(description)}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"is {_shown(value)}; it must be {words} {context[bound]:g}{_hint(description)}"
    if kind in ("literal_error", "union_tag_invalid"):
        choices = str(context.get("expected") or context.get("expected_tags"))
        tag = context.get("tag", value)
        return one_of(str(tag), choices.replace(" or ", ", ").replace("'", "").split(", "))
    if kind == "union_tag_not_found":
        return f"is missing; choose one of {', '.join(known)}"
    if kind in ("too_short", "too_long"):
        words = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        there = context["actual_length"]
        return f"has {there} {'entry' if there == 1 else 'entries'}; give {words}"
    if kind == "string_pattern_mismatch":
        return f"{_shown(value)} cannot be a name; use small letters, digits, _ and -, beginning with a letter or digit"
    return f"{details['msg'][:1].lower()}{details['msg'][1:]}{_hint(description)}"


def _hint(description: str) -> str:
    return f"; {description[:1].lower()}{description[1:].rstrip('.')}" if description else ""


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a group of fields"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _locate(location: tuple[str | int, ...], schema: dict[str, Any]) -> tuple[Path, list[str], str]:
    """From pydantic's location: the path in the file, the fields (or tags) known where it ends, and its description."""
    path: list[str | int] = []
    node: dict[str, Any] = schema
    around, description = node, ""
    for part in location:
        if part == "[key]":
            continue
        node = _resolve(node, schema)
        tags = node.get("discriminator", {}).get("mapping", {})
        if part in tags:
            node = _resolve({"$ref": tags[part]}, schema)
            continue
        path.append(part)
        around, node = node, _child(node, part)
        description = str(node.get("description") or _resolve(node, schema).get("description", ""))
    node = _resolve(node, schema)
    tags = node.get("discriminator", {}).get("mapping", {})
    if tags:
        return (*path, node["discriminator"]["propertyName"]), list(tags), description
    return tuple(path), list(_resolve(around, schema).get("properties", {})), description


def _child(node: dict[str, Any], part: str | int) -> dict[str, Any]:
    if isinstance(part, int):
        items = node.get("items", {})
        prefix = node.get("prefixItems", [])
        child = prefix[part] if part < len(prefix) else items
        return child if isinstance(child, dict) else {}
    child = node.get("properties", {}).get(part)
    if child is None:
        child = node.get("additionalProperties", {})
    return child if isinstance(child, dict) else {}


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The node behind references and behind "or null"; a description beside them stays."""
    while True:
        if "$ref" in node:
            target = schema["$defs"][str(node["$ref"]).rsplit("/", 1)[1]]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        elif len(real := [option for option in node.get("anyOf", []) if option.get("type") != "null"]) == 1:
            node = {**real[0], **{key: value for key, value in node.items() if key != "anyOf"}}
        else:
            return node
