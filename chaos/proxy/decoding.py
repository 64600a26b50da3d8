"""Request bodies, read as Go's `encoding/json` reads them, because existing clients were written against it.

Keys match without regard to case; unknown keys and whatever follows the first value are ignored; `null` means absent; an
integer is written without a point or an exponent. What does not fit is refused with a text that begins `bad request body: `.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any, NoReturn

from chaos.proxy import errors
from chaos.proxy.toxics import Attributes

BODY_BYTES_MAX = 1024 * 1024
WHITESPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class ProxyInput:
    """The fields of a proxy that a client can set."""

    name: str = ""
    listen: str = ""
    upstream: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ToxicChange:
    """The fields of a toxic that a client can change; a toxicity of None stays as it is."""

    toxicity: float | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def attributes_over(self, old: Attributes) -> Attributes:
        """The old attributes with those of this body merged in."""
        return _merged_attributes(old, self.attributes)


@dataclass(frozen=True, slots=True)
class ToxicInput:
    """The fields of a new toxic; its attributes are looked at when its type is known."""

    name: str = ""
    type: str = ""
    stream: str = "downstream"
    toxicity: float = 1.0
    attributes: dict[str, Any] = field(default_factory=dict)

    def attributes_over(self, defaults: Attributes) -> Attributes:
        """The type's defaults with those of this body merged in."""
        return _merged_attributes(defaults, self.attributes)


def decode_proxy(body: bytes, defaults: ProxyInput) -> ProxyInput:
    """A proxy's fields, over `defaults`."""
    return _proxy_fields(_object(_value(body), "Proxy"), defaults)


def decode_proxies(body: bytes) -> list[ProxyInput]:
    """The list of proxies that `/populate` takes."""
    value = _value(body)
    if value is None:
        return []
    if not isinstance(value, list):
        _refuse_type(value, "", "[]Proxy")
    return [_proxy_fields(_object(each, "Proxy"), ProxyInput()) for each in value]


def decode_toxic(body: bytes) -> ToxicInput:
    """A new toxic's fields."""
    fields = _object(_value(body), "ToxicWrapper")
    given: dict[str, Any] = {name: _text(fields, name) for name in ("name", "type", "stream")}
    given["toxicity"] = _float32(fields, "toxicity")
    given["attributes"] = _object(fields.get("attributes"), "ToxicWrapper.attributes")
    return ToxicInput(**{name: value for name, value in given.items() if value is not None})


def decode_toxic_change(body: bytes) -> ToxicChange:
    """What is to change about a toxic."""
    fields = _object(_value(body), "Toxic")
    attributes = _object(fields.get("attributes"), "Toxic.attributes")
    return ToxicChange(_float32(fields, "toxicity"), attributes)


def _proxy_fields(fields: dict[str, Any], defaults: ProxyInput) -> ProxyInput:
    given: dict[str, Any] = {name: _text(fields, name) for name in ("name", "listen", "upstream")}
    enabled = fields.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        _refuse_type(enabled, "Proxy.enabled", "bool")
    given["enabled"] = enabled
    _object(fields.get("logger"), "Proxy.Logger")  # shown by every proxy, so clients send it back
    return dataclasses.replace(defaults, **{name: value for name, value in given.items() if value is not None})


def _merged_attributes(old: Attributes, given: dict[str, Any]) -> Attributes:
    changes: dict[str, int] = {}
    for attribute in dataclasses.fields(old):
        value = given.get(attribute.name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            _refuse_type(value, attribute.name, "int64")
        changes[attribute.name] = value
    try:
        return dataclasses.replace(old, **changes)
    except ValueError as error:
        raise errors.bad_body(str(error)) from error


def _value(body: bytes) -> Any:
    """The first JSON value of a body; objects come with lower-case keys."""
    text = body.decode("utf-8", errors="replace").lstrip(WHITESPACE)
    if not text:
        raise errors.bad_body("EOF")
    decoder = json.JSONDecoder(object_pairs_hook=_lower_case_keys, parse_constant=_refuse_constant)
    try:
        value, _end = decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise errors.bad_body(str(error)) from error
    return value


def _lower_case_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose later keys win; a null changes nothing, so it does not win either."""
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if value is not None:
            fields[key.lower()] = value
    return fields


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"invalid value {text}")


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse_type(value, what, "struct")
    return value


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        _refuse_type(value, name, "string")
    return value.encode("utf-8", errors="replace").decode()  # a lone surrogate cannot be sent back


def _float32(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        _refuse_type(value, name, "float32")
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        rounded = math.inf
    if math.isinf(rounded):
        raise errors.bad_body(f"json: cannot unmarshal number {value} into Go struct field {name} of type float32")
    return float(value)


def _refuse_type(value: Any, where: str, wanted: str) -> NoReturn:
    kinds = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    place = f"Go struct field {where}" if where else "Go value"
    raise errors.bad_body(f"json: cannot unmarshal {kinds[type(value)]} into {place} of type {wanted}")
