"""What the fields of acts and of rule files may hold: readers that name the field, and dataclasses that are read by them.

A field is *given* (somebody sent or wrote it, and a body's hash covers it) or *derived* (the rules filled it in).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, TypeVar
from uuid import UUID

Reader = Callable[[str, Any], Any]
Kind = TypeVar("Kind")


class FieldError(ValueError):
    """A field holds what it may not; the message names it and says what would be right."""

    def __init__(self, name: str, wanted: str) -> None:
        super().__init__(f"{name} must be {wanted}")


def uuid(name: str, value: Any) -> str:
    """A UUID in its canonical form."""
    try:
        return str(UUID(value if isinstance(value, str) else ""))
    except ValueError:
        raise FieldError(name, "a UUID") from None


def text(characters_max: int, least: int = 0) -> Reader:
    """A text of `least` to `characters_max` characters, without control characters."""

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value.strip()) <= len(value) <= characters_max:
            raise FieldError(name, f"a text of {least} to {characters_max} characters")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
            raise FieldError(name, "a text without control characters")
        return value

    return read


def whole(least: int, most: int) -> Reader:
    """A whole number from `least` to `most`."""

    def read(name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise FieldError(name, f"a whole number from {least} to {most}")
        return value

    return read


def one_of(*choices: str) -> Reader:
    """One of some words."""

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise FieldError(name, f"one of {', '.join(choices)}, not {value!r}")
        return value

    return read


def list_of(of: Reader, most: int, least: int = 0) -> Reader:
    """A list of `least` to `most` of them, as a tuple."""

    def read(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise FieldError(name, f"a list of {least} to {most}")
        return tuple(of(f"{name}[{index}]", item) for index, item in enumerate(value))

    return read


def row_of(*parts: Reader) -> Reader:
    """A list with one value for each of `parts`, as a tuple."""

    def read(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) != len(parts):
            raise FieldError(name, f"a list of {len(parts)} values")
        return tuple(
            part(f"{name}[{index}]", item) for index, (part, item) in enumerate(zip(parts, value, strict=True))
        )

    return read


def object_of(kind: type[Kind]) -> Reader:
    """An object with the fields of the dataclass `kind`."""

    def read(name: str, value: Any) -> Kind:
        if not isinstance(value, dict):
            raise FieldError(name, "an object")
        return read_fields(kind, value, name)

    return read


def given(read: Reader, *, is_later: bool = False, **default: Any) -> Any:
    """A dataclass field that is sent or written by somebody.

    `is_later`: it came when acts of its kind stood in logs already, so an act that leaves it out has the hash that it had.
    """
    return field(metadata={"read": read, "derived": False, "is_later": is_later}, **default)


def derived(read: Reader, default: Any) -> Any:
    """A dataclass field that the rules fill in."""
    return field(metadata={"read": read, "derived": True}, default=default)


def read_fields(
    kind: type[Kind], values: Mapping[str, Any], place: str = "", *, with_derived: bool = True, exact: bool = True
) -> Kind:
    """A `kind` of `values`; raises `FieldError` that names the field. `exact` refuses fields that it does not have."""
    known = {each.name: each for each in dataclasses.fields(kind) if with_derived or not each.metadata["derived"]}  # type: ignore[arg-type]
    prefix = f"{place}." if place else ""
    for name in values if exact else ():
        if name not in known:
            raise FieldError(f"{prefix}{name}", f"left out: there are {', '.join(known)}")
    read: dict[str, Any] = {}
    for name, each in known.items():
        if name in values:
            read[name] = each.metadata["read"](f"{prefix}{name}", values[name])
        elif each.default is dataclasses.MISSING:
            raise FieldError(f"{prefix}{name}", "there")
    return kind(**read)


def hash_of_given(name: str, content: Any) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the given fields of an act's content (P6)."""
    fields = {
        each.name: getattr(content, each.name)
        for each in dataclasses.fields(content)
        if not each.metadata.get("derived", False)
        and not (each.metadata.get("is_later", False) and getattr(content, each.name) == each.default)
    }
    canonical = json.dumps([name, fields], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
