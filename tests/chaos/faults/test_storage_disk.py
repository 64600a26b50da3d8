"""The disk in memory: what processes read, what a power cut leaves, and what troubles do."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import apsw
import pytest

from chaos.faults.storage.disk import Disk, PowerLost, ProcessEnded
from chaos.faults.storage.inode import Inode
from chaos.faults.storage.power_loss import after_power_loss, digest
from chaos.faults.storage.troubles import Struck, Trouble

SECTOR = 512
NAME, LOG = "/d/one.sqlite3", "/d/one.sqlite3-wal"
SEEDS = range(200)


def file_on(disk: Disk, name: str, content: bytes = b"") -> Inode:
    """A file whose name and content are synced."""
    inode = disk.create(0, name, "log")
    if content:
        disk.write(0, inode, "log", content, 0)
    disk.sync(0, inode, "log", sync_folder=True)
    return inode


def contents(make: Callable[[], Disk], name: str = NAME) -> set[bytes | None]:
    """What a boot may find at `name` after a power cut now, over many draws; None: no file."""
    found: set[bytes | None] = set()
    for seed in SEEDS:
        disk, _ = after_power_loss(make(), Random(seed))
        found.add(bytes(disk.names[name].live) if name in disk.names else None)
    return found


def sectors(*letters: str) -> bytes:
    return b"".join(letter.encode() * SECTOR for letter in letters)


def test_what_was_synced_survives_every_power_cut() -> None:
    def make() -> Disk:
        disk = Disk()
        file_on(disk, NAME, sectors("a", "b"))
        return disk

    assert contents(make) == {sectors("a", "b")}


def test_of_what_was_not_synced_any_subset_of_whole_sectors_survives() -> None:
    def make() -> Disk:
        disk = Disk()
        inode = file_on(disk, NAME, sectors("a", "a"))
        disk.write(0, inode, "log", sectors("b", "b"), 0)
        disk.write(0, inode, "log", sectors("c"), SECTOR)
        return disk

    assert contents(make) == {sectors(first, second) for first in "ab" for second in "abc"}


def test_a_write_inside_a_sector_leaves_what_lies_beside_it() -> None:
    def make() -> Disk:
        disk = Disk()
        inode = file_on(disk, NAME, b"a" * 1000)
        disk.write(0, inode, "log", b"b" * 600, 100)
        return disk

    first, second, end = b"a" * 100, b"a" * 412, b"a" * 300
    new_first, new_second = b"b" * 412, b"b" * 188
    assert contents(make) == {
        first + one + two + end for one in (second, new_first) for two in (b"a" * 188, new_second)
    }


def test_a_file_may_be_longer_than_its_data_and_shorter_than_written() -> None:
    def make() -> Disk:
        disk = Disk()
        inode = file_on(disk, NAME, sectors("a"))
        disk.write(0, inode, "log", sectors("b", "b"), SECTOR)
        return disk

    found = {content for content in contents(make) if content is not None}
    assert {len(content) for content in found} == {SECTOR, 2 * SECTOR, 3 * SECTOR}
    assert all(content.startswith(sectors("a")) for content in found)
    assert sectors("a") + bytes(SECTOR) in found, "a length without its data"
    assert any(set(content[SECTOR:]) - set(b"b\0") for content in found), "what the sectors held before"


def test_a_truncation_is_lost_or_kept() -> None:
    def make() -> Disk:
        disk = Disk()
        disk.truncate(0, file_on(disk, NAME, sectors("a", "b")), "log", 0)
        return disk

    assert {b"", sectors("a", "b")} == {content for content in contents(make) if content in (b"", sectors("a", "b"))}


def test_a_name_is_sure_only_after_a_sync_of_the_folder() -> None:
    def make(*, sync_folder: bool) -> Disk:
        disk = Disk()
        inode = disk.create(0, NAME, "log")
        disk.write(0, inode, "log", b"x", 0)
        disk.sync(0, inode, "log", sync_folder=sync_folder)
        return disk

    assert contents(lambda: make(sync_folder=False)) == {None, b"x"}
    assert contents(lambda: make(sync_folder=True)) == {b"x"}


def test_a_removal_is_sure_only_after_a_sync_of_the_folder() -> None:
    def make(*, sync_folder: bool) -> Disk:
        disk = Disk()
        file_on(disk, NAME, b"x")
        disk.delete(0, NAME, "log", sync_folder=sync_folder)
        return disk

    assert contents(lambda: make(sync_folder=False)) == {None, b"x"}
    assert contents(lambda: make(sync_folder=True)) == {None}


def test_a_later_write_to_another_file_may_be_there_without_an_earlier_one() -> None:
    disk = Disk()
    first, second = file_on(disk, NAME, b"-"), file_on(disk, LOG, b"-")
    disk.write(0, first, "database", b"x", 0)
    disk.write(0, second, "log", b"y", 0)
    found = set()
    for seed in SEEDS:
        left, damage = after_power_loss(disk, Random(seed))
        both = (bytes(left.names[NAME].live), bytes(left.names[LOG].live))
        assert damage.kinds["reordered"] == (both == (b"-", b"y"))
        found.add(both)
    assert found == {(one, two) for one in (b"-", b"x") for two in (b"-", b"y")}


def test_nothing_is_sure_when_the_power_goes_during_the_sync() -> None:
    def make() -> Disk:
        disk = Disk()
        inode = file_on(disk, NAME, b"old")
        disk.write(0, inode, "log", b"new", 0)
        disk.cut_at = disk.operations + 1
        with pytest.raises(PowerLost):
            disk.sync(0, inode, "log")
        return disk

    assert contents(make) == {b"old", b"new"}


def test_after_the_cut_everything_fails() -> None:
    disk = Disk()
    inode = file_on(disk, NAME, b"x")
    disk.cut_at = disk.operations + 1
    with pytest.raises(PowerLost):
        disk.write(0, inode, "log", b"y", 0)
    for action in (
        lambda: disk.read(0, inode, 1, 0),
        lambda: disk.write(0, inode, "log", b"z", 0),
        lambda: disk.sync(0, inode, "log"),
        lambda: disk.truncate(0, inode, "log", 0),
        lambda: disk.create(0, LOG, "log"),
        lambda: disk.delete(0, NAME, "log", sync_folder=True),
    ):
        with pytest.raises(PowerLost):
            action()


def test_what_a_killed_process_wrote_is_there_for_the_next_and_not_for_the_disk() -> None:
    def make() -> Disk:
        disk = Disk()
        inode = file_on(disk, NAME, b"old")
        disk.write(0, inode, "log", b"new", 0)
        disk.end_process()
        with pytest.raises(ProcessEnded):
            disk.sync(0, inode, "log")
        assert disk.read(disk.process, inode, 3, 0) == b"new"
        return disk

    assert contents(make) == {b"old", b"new"}


def test_after_a_sync_that_failed_no_later_sync_makes_it_good() -> None:
    def make(seed: int) -> Disk:
        disk = Disk(draws=Random(seed))
        inode = file_on(disk, NAME, b"old")
        disk.troubles.planned = [Trouble("sync_error", at=1)]
        disk.write(0, inode, "log", b"new", 0)
        with pytest.raises(apsw.IOError, match="cannot sync") as raised:
            disk.sync(0, inode, "log")
        assert raised.value.extendedresult == apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
        disk.sync(0, inode, "log")
        assert disk.read(0, inode, 3, 0) == b"new"
        return disk

    found = {content for seed in range(20) for content in contents(lambda seed=seed: make(seed))}  # type: ignore[misc]
    assert found == {b"old", b"new"}


@pytest.mark.parametrize(
    ("name", "error"), [("disk_full", apsw.FullError), ("write_error", apsw.IOError), ("read_error", apsw.IOError)]
)
def test_an_error_strikes_as_often_as_planned(name: str, error: type[Exception]) -> None:
    disk = Disk()
    inode = file_on(disk, NAME, b"old")
    disk.troubles.planned = [Trouble(name, at=disk.operations, times=2)]  # type: ignore[arg-type]

    def act() -> None:
        if name == "read_error":
            disk.read(0, inode, 1, 0)
        else:
            disk.write(0, inode, "log", b"new", 0)

    for _ in range(2):
        with pytest.raises(error):
            act()
    act()
    assert [struck.name for struck in disk.troubles.struck] == [name, name]


def test_a_stall_delays_and_nothing_else() -> None:
    disk = Disk()
    inode = file_on(disk, NAME, b"old")
    waited: list[float] = []
    disk.troubles.wait = waited.append
    disk.troubles.planned = [Trouble("stall", at=1, times=2, stall_s=1.5)]
    disk.write(0, inode, "log", b"new", 0)
    disk.sync(0, inode, "log")
    assert waited == [1.5, 1.5]
    assert disk.troubles.struck == [Struck("stall", 4), Struck("stall", 5)]
    assert bytes(inode.durable) == b"new"


def test_a_lying_disk_syncs_nothing() -> None:
    def make() -> Disk:
        disk = Disk()
        disk.honest = False
        file_on(disk, NAME, b"x")
        return disk

    assert None in contents(make)


def test_the_same_draws_leave_the_same_disk() -> None:
    def left(seed: int) -> str:
        disk = Disk()
        inode = file_on(disk, NAME, sectors("a", "b", "c"))
        for number in range(8):
            disk.write(0, inode, "log", sectors("d", "e"), number * 100)
        return digest(after_power_loss(disk, Random(seed))[0])

    assert left(7) == left(7)
    assert len({left(seed) for seed in SEEDS}) > 20
