"""Request bodies, read as Go's `encoding/json` reads them, because existing clients were written against it.

Keys match without regard to case; unknown keys and whatever follows the first value are ignored; `null` means absent; an
integer is written without a point or an exponent. A key that comes twice is read twice: the later text or number wins,
two objects are merged, and neither may be of a wrong type. What does not fit is refused with a text that begins
`bad request body: `. Attributes that have no value unless they are given one, which only our extensions have, are taken
back by `null`.

`with_toxics`, `seed` and `schedule` are keys that only this server knows; the original ignores them.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from chaos.proxy import errors
from chaos.proxy.schedule import Schedule, decode_schedule
from chaos.proxy.toxics import Attributes
from chaos.proxy.toxics.fields import attribute_fields

BODY_BYTES_MAX = 1024 * 1024
INTEGER_DIGITS_MAX = 400
INT64_MAX = 2**63 - 1
WHITESPACE = " \t\r\n"
SURROGATES = re.compile("[\\ud800-\\udfff]")


class Unchanged(enum.Enum):
    """The type of `UNCHANGED`, which stands where None has a meaning of its own."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class ToxicInput:
    """The fields of a new toxic; its attributes are looked at when its type is known.

    `attributes` are layers: each later one is merged over those before it. There is more than one only if a key came twice.
    """

    name: str = ""
    type: str = ""
    stream: str = "downstream"
    toxicity: float = 1.0
    attributes: tuple[dict[str, Any], ...] = ()
    schedule: Schedule | None = None

    def attributes_over(self, defaults: Attributes) -> Attributes:
        """The type's defaults with those of this body merged in."""
        return _layered_attributes(defaults, self.attributes)


@dataclass(frozen=True, slots=True)
class ToxicChange:
    """The fields of a toxic that a client can change; a toxicity of None stays as it is."""

    toxicity: float | None = None
    attributes: tuple[dict[str, Any], ...] = ()
    schedule: Schedule | Unchanged | None = UNCHANGED

    def attributes_over(self, old: Attributes) -> Attributes:
        """The old attributes with those of this body merged in."""
        return _layered_attributes(old, self.attributes)


@dataclass(frozen=True, slots=True)
class ProxyInput:
    """The fields of a proxy that a client can set; `with_toxics` and `seed` only when it is created."""

    name: str = ""
    listen: str = ""
    upstream: str = ""
    enabled: bool = True
    with_toxics: tuple[ToxicInput, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object as it was written: keys in lower case, each as often as it came."""

    pairs: tuple[tuple[str, Any], ...]


def decode_new_proxy(body: bytes) -> ProxyInput:
    """The fields of a proxy to create."""
    return _proxy(_value(body), ProxyInput(), is_new=True)


def decode_proxy_change(body: bytes, current: ProxyInput) -> ProxyInput:
    """A proxy's fields, over the `current` ones; what can only be set at its creation is not looked at."""
    return _proxy(_value(body), current, is_new=False)


def decode_proxies(body: bytes) -> list[ProxyInput]:
    """The list of proxies that `/populate` takes."""
    value = _value(body)
    if value is None:
        return []
    if not isinstance(value, list):
        _refuse_type(value, "", "[]Proxy")
    return [_proxy(each, ProxyInput(), is_new=True, null_enables=True) for each in value]


def decode_toxic(body: bytes) -> ToxicInput:
    """A new toxic's fields."""
    return _toxic(_value(body))


def decode_toxic_change(body: bytes) -> ToxicChange:
    """What is to change about a toxic; a `schedule` of null takes its schedule away."""
    toxicity: float | None = None
    attributes: list[tuple[str, Any]] = []
    nulled = False
    schedule: Schedule | Unchanged | None = UNCHANGED
    for key, value in _pairs(_value(body), "Toxic"):
        if key == "schedule":
            schedule = _schedule(value)
        elif key == "attributes" and value is None:
            nulled = True  # after that, Go decodes attributes into nothing
        elif key == "attributes" and not nulled:
            attributes += _pairs(value, "Toxic.attributes")
        elif key == "toxicity" and value is not None:
            toxicity = _float32(value, key)
    return ToxicChange(toxicity, _layers(attributes), schedule)


def _proxy(value: Any, defaults: ProxyInput, *, is_new: bool, null_enables: bool = False) -> ProxyInput:
    given: dict[str, Any] = {}
    for key, part in _pairs(value, "Proxy"):
        if key == "enabled" and part is None and null_enables:
            given.pop("enabled", None)
        elif part is None:
            continue
        elif key in ("name", "listen", "upstream"):
            given[key] = _text(part, f"Proxy.{key}")
        elif key == "enabled":
            given[key] = _boolean(part, "Proxy.enabled")
        elif key == "logger":  # shown by every proxy, so clients send it back
            _pairs(part, "Proxy.Logger")
        elif key == "seed" and is_new:
            given[key] = _seed(part)
        elif key == "with_toxics" and is_new:
            if not isinstance(part, list):
                _refuse_type(part, "Proxy.with_toxics", "[]Toxic")
            given[key] = tuple(_toxic(each) for each in part)
    return dataclasses.replace(defaults, **given)


def _toxic(value: Any) -> ToxicInput:
    given: dict[str, Any] = {}
    attributes: list[tuple[str, Any]] = []
    nulled = False
    for key, part in _pairs(value, "ToxicWrapper"):
        if key == "attributes":
            if part is not None and nulled:  # as Go has it: there is nothing to decode into any more
                _refuse_type(part, "ToxicWrapper.attributes", "toxics.Toxic")
            nulled = part is None
            attributes += _pairs(part, "ToxicWrapper.attributes")
        elif part is None:
            continue
        elif key in ("name", "type", "stream"):
            given[key] = _text(part, f"ToxicWrapper.{key}")
        elif key == "toxicity":
            given[key] = _float32(part, "ToxicWrapper.toxicity")
        elif key == "schedule":
            given[key] = _schedule(part)
    return ToxicInput(**given, attributes=_layers(attributes))


def _layers(pairs: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Pairs as objects that hold each key once: one object, unless a key came twice."""
    layers: list[dict[str, Any]] = [{}]
    for key, value in pairs:
        if key in layers[-1]:
            layers.append({})
        layers[-1][key] = _plain(value)
    return tuple(layers)


def _layered_attributes(old: Attributes, layers: Iterable[dict[str, Any]]) -> Attributes:
    for layer in layers:
        old = _merged_attributes(old, layer)
    return old


def _merged_attributes(old: Attributes, given: dict[str, Any]) -> Attributes:
    changes: dict[str, Any] = {}
    for attribute in attribute_fields(type(old)):
        value = given.get(attribute.name)
        if value is None:
            if attribute.name in given and attribute.default is None:
                changes[attribute.field] = None
            continue
        if not attribute.accepts(value):
            _refuse_type(value, attribute.name, attribute.kind)
        changes[attribute.field] = attribute.value(value)
    try:
        return old.changed(changes)
    except ValueError as error:
        raise errors.bad_body(str(error)) from error


def _value(body: bytes) -> Any:
    """The first JSON value of a body; an object comes as `JsonObject`."""
    text = body.decode("utf-8", errors="surrogateescape").lstrip(WHITESPACE)
    if not text:
        raise errors.bad_body("EOF")
    decoder = json.JSONDecoder(object_pairs_hook=_json_object, parse_constant=_refuse_constant, parse_int=_integer)
    try:
        value, _end = decoder.raw_decode(text)
    except json.JSONDecodeError as error:
        raise errors.bad_body("unexpected EOF" if error.pos >= len(text) else _printable(str(error))) from error
    except (ValueError, RecursionError) as error:
        raise errors.bad_body(str(error)) from error
    return value


def _json_object(pairs: list[tuple[str, Any]]) -> JsonObject:
    return JsonObject(tuple((key.replace("\u017f", "s").lower(), value) for key, value in pairs))


def _plain(value: Any) -> Any:
    """A value as `json.loads` gives it, keys in lower case."""
    if isinstance(value, JsonObject):
        return {key: _plain(part) for key, part in value.pairs}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return _printable(value) if isinstance(value, str) else value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"invalid value {text}")


def _integer(text: str) -> int | float:
    """An integer; one that is longer than any attribute can be becomes infinite, so that it fits nowhere."""
    return int(text) if len(text) <= INTEGER_DIGITS_MAX else math.inf


def _printable(text: str) -> str:
    """What was not UTF-8, and a lone surrogate, become U+FFFD."""
    return SURROGATES.sub("\ufffd", text)


def _pairs(value: Any, what: str) -> tuple[tuple[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, JsonObject):
        _refuse_type(value, what, "struct")
    return value.pairs


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        _refuse_type(value, where, "string")
    return _printable(value)


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        _refuse_type(value, where, "bool")
    return value


def _seed(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse_type(value, "Proxy.seed", "int64")
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise errors.bad_body("seed must fit into 64 bits")
    return value


def _schedule(value: Any) -> Schedule | None:
    try:
        return decode_schedule(_plain(value))
    except ValueError as error:
        raise errors.bad_body(str(error)) from error


def _float32(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        _refuse_type(value, where, "float32")
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        rounded = math.inf
    if math.isinf(rounded):
        raise errors.bad_body(f"json: cannot unmarshal number {value} into Go struct field {where} of type float32")
    return float(value)


def _refuse_type(value: Any, where: str, wanted: str) -> NoReturn:
    kinds = {bool: "bool", str: "string", int: "number", float: "number", list: "array"}
    place = f"Go struct field {where}" if where else "Go value"
    raise errors.bad_body(f"json: cannot unmarshal {kinds.get(type(value), 'object')} into {place} of type {wanted}")
