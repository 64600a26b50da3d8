"""A server stops listening without forgetting the connections that it took in the same moment."""

from __future__ import annotations

import asyncio

TURNS = 3
"""Of the event loop, until a connection that was taken has a transport, its protocol has it, and a task of that has begun."""


async def stop_listening(server: asyncio.Server) -> None:
    """Close `server`; on asyncio's own loop, every connection that it has taken is in its protocol's hands afterwards.

    That loop makes the transport of a connection a turn after the connection was taken. If the server was closed in between,
    that fails: nobody is told, and the connection stays open until a garbage collection. uvloop makes it all the same.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.SelectorEventLoop):
        for listener in server.sockets:
            loop.remove_reader(listener)
        for _ in range(TURNS):
            await asyncio.sleep(0)
    server.close()
