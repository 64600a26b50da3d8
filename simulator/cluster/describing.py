"""Messages between places, each on one line of a trace."""

from __future__ import annotations

from typing import Any


def describe(message: Any) -> str:
    """A message on one line, entries as seqs."""
    fields = {name: getattr(message, name) for name in message.__dataclass_fields__}
    if "entries" in fields:
        fields["entries"] = [entry.seq for entry in fields["entries"]]
    if "prev_hash" in fields:
        fields["prev_hash"] = fields["prev_hash"][:6]
    if "known" in fields:
        fields["known"] = [(place.seq, place.hash[:6]) for place in fields["known"]]
    return " ".join(f"{name}={value}" for name, value in fields.items())
