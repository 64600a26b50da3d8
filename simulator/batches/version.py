"""Which model this is: a hash of its sources and of the libraries that reckon; so no other model's figures are taken for its."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

LIBRARIES = ("numpy", "numba", "simpy")
_PACKAGES = ("simulator", "refsystem")
_NO_PART = ("batches", "cluster")
"""Packages of the simulator that have no part in a run's figures."""


@cache
def model_version() -> str:
    """16 hexadecimal digits."""
    found = hashlib.blake2b(digest_size=8)
    for package in _PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*.py")):
            place = path.relative_to(root)
            if place.parts[0] not in _NO_PART:
                found.update(f"{package}/{place.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    for name in LIBRARIES:
        found.update(f"{name}={_installed(name)}\0".encode())
    return found.hexdigest()


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"
