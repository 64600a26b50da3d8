"""One field of a scenario, named by its path as in the file, with another value; and how such values are written in a command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from simulator.scenario import Scenario, scenario_schema
from simulator.scenario_checks import Path
from simulator.scenario_yaml import flaws_of, unknown_field


class FieldError(ValueError):
    """A field is not there, or cannot have this value; the message is one sentence."""


def with_field(scenario: Scenario, path: str, value: Any) -> Scenario:
    """The scenario with one field replaced, named as in the file (`diners.arrivals.rate_per_s`); in a list, of all its members,
    or of the one with this number or name (`model.kitchen.wok.cooks`). Raises `FieldError`."""
    return with_fields(scenario, {path: value})


def with_fields(scenario: Scenario, settings: Mapping[str, Any]) -> Scenario:
    """The same for several fields, which need to fit together only when all are replaced."""
    content = scenario.model_dump(mode="json", exclude_none=True)
    content.setdefault("model", {})
    for path, value in settings.items():
        _set(content, path.split("."), value, path)
    try:
        return Scenario.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise FieldError(_why(error, settings, content)) from error


def read_values(text: str) -> list[Any]:
    """The values in `A,B,…`, each as in the file: a number, a text, true, or a list or group as YAML writes it in one line
    (`[1, 2],[3]` are two lists). Raises `FieldError`."""
    try:
        found = YAML(typ="safe", pure=True).load(f"[{text}]")
        values = json.loads(json.dumps(found, default=str, allow_nan=False))
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise FieldError(
            f"{text!r} cannot be read as values; write A,B,… as in the scenario's file, a list as [A,B], a text with "
            "commas or brackets in quotes"
        ) from error
    if not isinstance(values, list) or not values:
        raise FieldError(f"{text!r} holds no value; write A,B,…")
    return values


def _set(content: Any, parts: Sequence[str], value: Any, path: str) -> None:
    """Replace it in `content`, which is a group or a list of them."""
    if isinstance(content, list):
        _set_in_list(content, parts, value, path)
    elif len(parts) == 1:
        content[parts[0]] = value
    else:
        inside = content.setdefault(parts[0], {})
        if not isinstance(inside, dict | list):
            raise FieldError(f"{path}: {parts[0]} is a single value and has no field {parts[1]!r}; end the name there")
        _set(inside, parts[1:], value, path)


def _set_in_list(members: list[Any], parts: Sequence[str], value: Any, path: str) -> None:
    """Replace it in one member, or in all."""
    if not members:
        raise FieldError(f"{path}: the list is empty in this scenario; give it members first")
    if not all(isinstance(each, dict) for each in members):
        raise FieldError(f"{path}: {parts[0]!r} is inside a list of values, which is given as a whole, such as [1,2]")
    first, rest = parts[0], parts[1:]
    chosen = [each for number, each in enumerate(members) if first in (str(number), each.get("name"))]
    if chosen and not rest:
        raise FieldError(f"{path}: {first!r} is a whole member of a list; name one of its fields, such as {path}.name")
    for each in chosen or members:
        _set(each, rest if chosen else parts, value, path)


def _why(error: ValidationError, settings: Mapping[str, Any], content: dict[str, Any]) -> str:
    """What is wrong, in one sentence: above all, a field that is not there."""
    schema = scenario_schema()
    unknown = unknown_field(error, schema)
    if unknown is not None:
        said = [path for path in settings if str(unknown[0][-1]) in path.split(".")] or list(settings)
        return _no_field(*unknown, said[0], content)
    flaw = flaws_of(error, schema)[0]
    where = _named(content, flaw.path) or "the scenario"
    said = [f"{path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in settings.items()]
    return f"{', '.join(said)}: {'' if [where] == list(settings) else f'{where}: '}{flaw.message}"


def _no_field(place: Path, fields: Sequence[str], path: str, content: dict[str, Any]) -> str:
    """That there is none at this place, and which there are; where `path` names no member of a list, which members, too."""
    *around, name = place
    where = _named(content, around)
    members = [] if path.startswith(f"{where}.") else _members(content, around)
    close = get_close_matches(str(name), [*fields, *members], n=1, cutoff=0.5)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    nor = f", nor a member of {_named(content, around[:-1])} with this name" if members else ""
    beside = f", and the members are {', '.join(members)}" if members else ""
    listed = ", ".join(fields)
    return f"{path}: there is no field {name!r} in {where or 'a scenario'}{nor}{meant}; the fields there are {listed}{beside}"


def _named(content: Any, path: Sequence[str | int]) -> str:
    """A path as people write it: members of lists by their names, if they have one."""
    said = []
    for part in path:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            content = None
        is_named = isinstance(part, int) and isinstance(content, dict) and "name" in content
        said.append(str(content["name"] if is_named else part))
    return ".".join(said)


def _members(content: Any, around: Sequence[str | int]) -> list[str]:
    """The names of all members of the list that `around` is a member of; none if it is in no list, or they have no names."""
    if not around or not isinstance(around[-1], int):
        return []
    for part in around[:-1]:
        content = content[part]
    return [each["name"] for each in content if "name" in each]
