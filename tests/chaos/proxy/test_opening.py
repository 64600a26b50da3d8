"""What the event log says about connections that are held back, or never dialled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from chaos.proxy.address import resolve_listen
from chaos.proxy.toxics import Attributes, Direction, HalfOpen, SlowConnect, Toxic

if TYPE_CHECKING:
    from conftest import World

Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


def toxic(name: str, attributes: Attributes, toxicity: float = 1.0) -> Toxic:
    kind = "slow_connect" if isinstance(attributes, SlowConnect) else "half_open"
    return Toxic(name, kind, "downstream", Direction.DOWNSTREAM, toxicity, attributes)


def told(world: World) -> list[str]:
    lines = []
    for each in world.log.page():
        if each.connection == 1:
            counts = each.details.get("counts")
            parts = [each.event.value, each.toxic, each.details.get("act"), each.details.get("how"), counts]
            lines.append(" ".join(str(part) for part in parts if part))
    return lines


def remove(world: World, name: str) -> None:
    found = world.proxy.toxic(name)
    assert found is not None
    world.proxy.remove_toxic(found)


async def client_of(world: World) -> asyncio.StreamWriter:
    host, _colon, port = world.proxy.listen.rpartition(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    return writer


def test_a_connection_is_said_to_be_delayed_as_soon_as_it_waits(run: Run, world: Callable[..., Any]) -> None:
    async def main() -> None:
        async with world() as here:
            here.proxy.add_toxic(toxic("s", SlowConnect(delay_ms=60_000)))
            here.proxy.add_toxic(toxic("nothing", SlowConnect()))
            writer = await client_of(here)
            await here.until(lambda: len(told(here)) == 2, "the delay to be told")
            assert told(here) == ["connection_accepted", "toxic_acted s connect_delayed"]
            remove(here, "s")
            await here.until(lambda: "connection_dialled" in told(here), "the dial")
            await here.until(lambda: "toxic_applied nothing" in told(here), "the links")
            assert not [line for line in told(here) if line.startswith("toxic_acted nothing")]
            writer.close()

    run(main())


@pytest.mark.parametrize("end", ["client", "removal", "disabled"])
def test_a_connection_that_stays_silent_tells_whom_it_met(run: Run, world: Callable[..., Any], end: str) -> None:
    async def main() -> None:
        async with world() as here:
            here.proxy.add_toxic(toxic("h", HalfOpen()))
            here.proxy.add_toxic(toxic("never", HalfOpen(), toxicity=0))
            writer = await client_of(here)
            await here.until(lambda: "toxic_acted h silenced" in told(here), "the silence")
            if end == "client":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
                writer.transport.abort()
            elif end == "removal":
                remove(here, "h")
            else:
                here.proxy.disable(await resolve_listen(here.proxy.listen))
            await here.until(lambda: here.how_closed() != [], "the end")
            counts = {"silenced": 1}
            last = {
                "client": [f"toxic_counted h {counts}", "connection_closed client_gone"],
                "removal": [f"toxic_removed h {counts}", "connection_closed closed_by_toxic"],
                "disabled": [f"toxic_counted h {counts}", "connection_closed proxy_disabled"],
            }[end]
            first = ["connection_accepted", "toxic_missed never", "toxic_applied h", "toxic_acted h silenced"]
            assert told(here) == first + last
            writer.close()

    run(main())


def test_a_connection_that_ends_while_it_waits_tells_who_held_it_back(run: Run, world: Callable[..., Any]) -> None:
    async def main() -> None:
        async with world() as here:
            here.proxy.add_toxic(toxic("s", SlowConnect(delay_ms=60_000)))
            writer = await client_of(here)
            await here.until(lambda: len(told(here)) == 2, "the delay to be told")
            here.proxy.stop()
            await here.until(lambda: here.how_closed() == ["proxy_disabled"], "the end")
            assert told(here)[1:] == [
                "toxic_acted s connect_delayed",
                "toxic_applied s",
                "toxic_counted s {'connect_delayed': 1}",
                "connection_closed proxy_disabled",
            ]
            writer.close()

    run(main())
