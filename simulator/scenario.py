"""The scenario: one file that drives the model, the load and the faults. This module reads, finds and writes scenarios.

The models stand in `scenario_model` and `scenario_faults` and are to be imported from here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from simulator.scenario_diners import Arrivals, Basket, Behaviours, Channels, Diners, Retries
from simulator.scenario_faults import (
    ClockDrift,
    ClockFault,
    ClockOffset,
    ConnectionsExhausted,
    DescriptorsExhausted,
    DiskDead,
    DiskErring,
    DiskFull,
    DiskLost,
    DiskSlow,
    DiskTrouble,
    Fault,
    GlassBroken,
    HttpErrors,
    LinkDown,
    LinkFault,
    LinkWeak,
    MemoryExhausted,
    PartnerMisbehaves,
    PowerCut,
    PrinterTrouble,
    ProcessFault,
    ProcessKilled,
    ProcessPaused,
    ProcessRestarted,
    ProcessSlow,
    RestartLoop,
    fault_end_s,
    fault_label,
    fault_target,
)
from simulator.scenario_links import LinkState, ProfileFigures
from simulator.scenario_model import Budgets, Scenario, Store
from simulator.scenario_payments import Payments
from simulator.scenario_targets import LINKS, LinkName
from simulator.scenario_yaml import ScenarioError, dotted, explain, flaws_of, parse

DEFAULT_SCENARIO = "lunch_rush"
BYTES_MAX = 1_000_000
_SCENARIO_PACKAGE = "loadtests"


def load_scenario(source: Path | str) -> Scenario:
    """The scenario in a file or, if `source` is a text of several lines, in that text.

    Raises `ScenarioError`: one sentence with file, line, field, what is wrong and what would be right.
    """
    if isinstance(source, str) and "\n" in source:
        return _read_text("scenario", source)
    return _read_text(str(source), _file_text(Path(source)))


def find_scenario(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """The file of a shipped scenario or of a path; raises `ScenarioError` that names what is close."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) != 1:
        if not path.is_file():
            raise ScenarioError(f"{path}: {_no_file(path)}; give the path of a scenario or the name of a shipped one")
        return path
    shipped = shipped_scenarios(folder)
    found = shipped.get(str(name_or_path))
    if found is not None:
        return found
    if path.is_file():
        return path
    if path.is_dir():
        raise ScenarioError(f"{path}: {_no_file(path)}; give the path of a scenario or the name of a shipped one")
    close = get_close_matches(str(name_or_path), shipped, n=1, cutoff=0.5)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    raise ScenarioError(
        f"{name_or_path}: there is no shipped scenario with this name{meant}; "
        f"choose one of {', '.join(shipped)} or give the path of a file"
    )


def shipped_scenarios(folder: Path | None = None) -> dict[str, Path]:
    """The scenarios that come with this package (or lie in `folder`), by name, sorted."""
    place = folder if folder is not None else Path(str(files(_SCENARIO_PACKAGE).joinpath("scenarios")))
    return {path.stem: path for path in sorted(place.glob("*.yaml"))}


def _no_file(path: Path) -> str:
    """What is there in place of a file."""
    if path.is_dir():
        return "is a folder, not a file"
    return "is a device or a pipe, not a file" if path.exists() else "there is no such file"


@cache
def _schema() -> dict[str, Any]:
    return Scenario.model_json_schema()


def scenario_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario, for editors and validators."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rushproof scenario",
        **{key: value for key, value in json.loads(json.dumps(_schema())).items() if key != "title"},
    }


def dump_scenario(scenario: Scenario) -> str:
    """The scenario as YAML with every default written out; `load_scenario` of it gives an equal scenario."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.representer.sort_base_mapping_type_on_output = False
    out = io.StringIO()
    yaml.dump(scenario.model_dump(mode="json", exclude_none=True), out)
    return out.getvalue()


def with_changes(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """`scenario` with some fields replaced (nested by field), checked as a whole; raises `ScenarioError`."""
    content = _merged(scenario.model_dump(mode="json", exclude_none=True), changes)
    try:
        return Scenario.model_validate_json(json.dumps(content))
    except ValidationError as error:
        flaw = flaws_of(error, _schema())[0]
        raise ScenarioError(f"{scenario.name}: {dotted(flaw.path)}: {flaw.message}") from error


def _merged(content: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(content)
    for name, value in changes.items():
        merged[name] = _merged(merged.get(name) or {}, value) if isinstance(value, Mapping) else value
    return merged


def _file_text(path: Path) -> str:
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ScenarioError(f"{path}: is larger than {BYTES_MAX} bytes; a scenario is a few hundred lines")
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ScenarioError(f"{path}: there is no such file; check the path") from error
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror}); give a readable file") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ScenarioError(f"{path}, line {line}: is not UTF-8 text; save the file as UTF-8") from error


def _read_text(source: str, text: str) -> Scenario:
    document = parse(source, text)
    try:
        content = json.dumps(document.data, default=str, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ScenarioError(
            f"{source}, line 1: holds half of a character ({error.reason}); write it as text"
        ) from error
    try:
        return Scenario.model_validate_json(content)
    except ValidationError as error:
        raise explain(document, error, _schema()) from error


__all__ = [
    "DEFAULT_SCENARIO",
    "LINKS",
    "Arrivals",
    "Basket",
    "Behaviours",
    "Budgets",
    "Channels",
    "ClockDrift",
    "ClockFault",
    "ClockOffset",
    "ConnectionsExhausted",
    "DescriptorsExhausted",
    "Diners",
    "DiskDead",
    "DiskErring",
    "DiskFull",
    "DiskLost",
    "DiskSlow",
    "DiskTrouble",
    "Fault",
    "GlassBroken",
    "HttpErrors",
    "LinkDown",
    "LinkFault",
    "LinkName",
    "LinkState",
    "LinkWeak",
    "MemoryExhausted",
    "PartnerMisbehaves",
    "Payments",
    "PowerCut",
    "PrinterTrouble",
    "ProcessFault",
    "ProcessKilled",
    "ProcessPaused",
    "ProcessRestarted",
    "ProcessSlow",
    "ProfileFigures",
    "RestartLoop",
    "Retries",
    "Scenario",
    "ScenarioError",
    "Store",
    "dump_scenario",
    "fault_end_s",
    "fault_label",
    "fault_target",
    "find_scenario",
    "load_scenario",
    "scenario_schema",
    "shipped_scenarios",
    "with_changes",
]
