"""What the next boot finds on a disk that lost its power: everything synced, and any subset of what was not.

Whole sectors survive or do not, so that a write may be torn, and a later one may be there without an earlier one. Lengths,
names and removals likewise. Where a file has grown and the data did not come, there are zeros or what lay there before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from chaos.faults.storage.disk import Disk, NameChange
from chaos.faults.storage.inode import Inode, Truncate, Write, perform
from chaos.faults.storage.survival import Mode, draw_mode, draw_survivors

LENGTH_AHEAD_SHARE = 0.2
STALE_SHARE = 0.5
Fate = Literal["kept", "lost", "torn"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What survives or not as a whole: a sector of a write, a truncation, a change of a name."""

    inode: Inode | None
    what: Write | Truncate | NameChange

    @property
    def number(self) -> int:
        """The operation that it is of."""
        return self.what.number


@dataclass(frozen=True, slots=True)
class Damage:
    """How a power cut went. `operations` holds the fate of each unsynced operation by its number."""

    mode: Mode
    operations: dict[int, Fate]
    lost_truncations: int
    lost_names: int
    lengths_ahead: int

    @property
    def kinds(self) -> Counter[str]:
        """1 for each kind of damage that there is."""
        fates = self.operations
        lost_before_kept = False
        any_lost = False
        for number in sorted(fates):
            lost_before_kept = lost_before_kept or (any_lost and fates[number] != "lost")
            any_lost = any_lost or fates[number] != "kept"
        found = {
            "nothing_unsynced": not fates,
            "unsynced_lost": any_lost,
            "unsynced_all_kept": bool(fates) and not any_lost,
            "torn": "torn" in fates.values(),
            "reordered": lost_before_kept,
            "truncation_lost": self.lost_truncations > 0,
            "name_change_lost": self.lost_names > 0,
            "length_without_data": self.lengths_ahead > 0,
        }
        return Counter(name for name, is_so in found.items() if is_so)


def after_power_loss(disk: Disk, draws: Random, mode: Mode | None = None) -> tuple[Disk, Damage]:
    """The disk that the next boot finds, and what was done to it: in a drawn mode, or in that one."""
    pieces = _pieces(disk)
    mode = mode or draw_mode(draws)
    survives = draw_survivors(draws, len(pieces), mode)
    kept = [piece for piece, is_kept in zip(pieces, survives, strict=True) if is_kept]
    lost = [piece for piece, is_kept in zip(pieces, survives, strict=True) if not is_kept]
    names = dict(disk.durable_names)
    for piece in kept:
        if isinstance(piece.what, NameChange):
            if piece.what.inode is None:
                names.pop(piece.what.name, None)
            else:
                names[piece.what.name] = piece.what.inode
    lengths_ahead = 0
    files: list[tuple[str, bytes]] = []
    for name in sorted(names):
        content = _content(names[name], kept)
        lengths_ahead += _lengthen(content, names[name], disk.sector_bytes, draws)
        files.append((name, bytes(content)))
    damage = Damage(mode, _fates(kept, lost), _count(lost, Truncate), _count(lost, NameChange), lengths_ahead)
    return Disk(files, sector_bytes=disk.sector_bytes, draws=draws), damage


def digest(disk: Disk) -> str:
    """SHA-256 over names and contents as processes see them."""
    hasher = hashlib.sha256()
    for name in sorted(disk.names):
        content = disk.names[name].live
        hasher.update(f"{name.rpartition('/')[2]}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def _pieces(disk: Disk) -> list[Piece]:
    """All that is not synced, in the order in which it was asked for."""
    inodes = {id(inode): inode for inode in [*disk.durable_names.values(), *disk.names.values()]}
    for change in disk.pending_names:
        if change.inode is not None:
            inodes.setdefault(id(change.inode), change.inode)
    pieces = [Piece(None, change) for change in disk.pending_names]
    for inode in inodes.values():
        for operation in inode.pending:
            parts = operation.sectors(disk.sector_bytes) if isinstance(operation, Write) else (operation,)
            pieces.extend(Piece(inode, part) for part in parts)
    return sorted(pieces, key=lambda piece: piece.number)


def _content(inode: Inode, kept: Sequence[Piece]) -> bytearray:
    content = bytearray(inode.durable)
    for piece in kept:
        if piece.inode is inode and not isinstance(piece.what, NameChange):
            perform(content, piece.what)
    return content


def _lengthen(content: bytearray, inode: Inode, sector_bytes: int, draws: Random) -> bool:
    """The length may be on the platter before the data: zeros there, or what the sectors held before."""
    missing = len(inode.live) - len(content)
    if missing <= 0 or draws.random() >= LENGTH_AHEAD_SHARE:
        return False
    sectors = draws.randint(1, -(-missing // sector_bytes))
    length = min(missing, sectors * sector_bytes)
    content.extend(draws.randbytes(length) if draws.random() < STALE_SHARE else bytes(length))
    return True


def _fates(kept: Iterable[Piece], lost: Iterable[Piece]) -> dict[int, Fate]:
    fates: dict[int, Fate] = {piece.number: "kept" for piece in kept}
    for piece in lost:
        fates[piece.number] = "torn" if fates.get(piece.number) in ("kept", "torn") else "lost"
    return fates


def _count(pieces: Iterable[Piece], kind: type[Truncate] | type[NameChange]) -> int:
    return sum(isinstance(piece.what, kind) for piece in pieces)
