"""A schema of its own for each user of a PostgreSQL server that is shared: made fresh, and dropped with all it holds."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from refsystem.cloud.postgres_binaries import PostgresError

CONNECT_TIMEOUT_S = 10.0
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@contextlib.asynccontextmanager
async def fresh_schema(url: str, name: str) -> AsyncIterator[str]:
    """Yields a URL whose connections see the new schema `name` only. Raises `PostgresError` in one sentence."""
    assert NAME.fullmatch(name), f"{name!r} is not a plain schema name"
    await _execute(url, f"CREATE SCHEMA {name}")  # an identifier cannot be a parameter; the name is checked above
    try:
        parts = urlsplit(url)
        query = f"{parts.query}&search_path={name}" if parts.query else f"search_path={name}"
        yield urlunsplit(parts._replace(query=query))
    finally:
        await _execute(url, f"DROP SCHEMA {name} CASCADE")


async def _execute(url: str, statement: str) -> None:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        shown = urlsplit(url)
        where = f"{shown.hostname}:{shown.port or 5432}" if shown.hostname else "the address given"
        raise PostgresError(
            f"PostgreSQL at {where} (RUSHPROOF_DATABASE_URL) cannot be used: {error or type(error).__name__}"
        ) from error
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        raise PostgresError(f"PostgreSQL refused '{statement}': {error}") from error
    finally:
        await connection.close()
