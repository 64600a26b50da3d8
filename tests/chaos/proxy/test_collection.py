"""What the collection does while a recording is being read, which happens in a thread."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path

import pytest

from chaos.proxy import errors
from chaos.proxy.collection import ProxyCollection
from chaos.proxy.decoding import ProxyInput, ToxicChange, ToxicInput
from chaos.proxy.proxy import Proxy
from chaos.proxy.toxics import trace

PROXY = ProxyInput(name="p", listen="127.0.0.1:0", upstream="127.0.0.1:1", enabled=False)
UNREADABLE = {"path": "/no/such/recording"}


class SlowDisk:
    """Reads recordings only when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = threading.Event()
        self.goes_on = threading.Event()
        self._read = trace.read_recording
        monkeypatch.setattr(trace, "read_recording", self._slowly)

    def _slowly(self, path: str) -> trace.Recording:
        assert threading.current_thread() is not threading.main_thread(), "the event loop reads a file"
        self.asked.set()
        assert self.goes_on.wait(10)
        return self._read(path)

    async def until_asked(self) -> None:
        assert await asyncio.to_thread(self.asked.wait, 10)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(monkeypatch)


@pytest.fixture
def recording(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "slots"
    path.write_text("1\n5\n")
    return {"path": str(path)}


def trace_of(attributes: dict[str, str]) -> ToxicInput:
    return ToxicInput(name="t", type="trace", attributes=(attributes,))


def test_others_go_on_while_a_recording_is_read(disk: SlowDisk, recording: dict[str, str]) -> None:
    async def main() -> None:
        proxies = ProxyCollection(seed=1)
        proxy = await proxies.create(PROXY)
        adding = asyncio.ensure_future(proxies.add_toxic("p", trace_of(recording)))
        await disk.until_asked()
        await proxies.add_toxic("p", ToxicInput(name="n", type="noop"))
        assert [each.name for each in proxy.toxic_list()] == ["n"]
        disk.goes_on.set()
        await adding
        assert [each.name for each in proxy.toxic_list()] == ["n", "t"]

    asyncio.run(main())


def test_what_has_changed_meanwhile_is_looked_at_again(disk: SlowDisk, recording: dict[str, str]) -> None:
    async def main() -> None:
        proxies = ProxyCollection(seed=1)
        await proxies.create(PROXY)
        adding = asyncio.ensure_future(proxies.add_toxic("p", trace_of(recording)))
        await disk.until_asked()
        await proxies.add_toxic("p", ToxicInput(name="t", type="noop"))
        disk.goes_on.set()
        with pytest.raises(errors.ApiError, match=errors.toxic_exists().message):
            await adding
        proxies.remove_toxic("p", "t")
        await proxies.add_toxic("p", trace_of(recording))
        disk.goes_on.clear()
        disk.asked.clear()
        changing = asyncio.ensure_future(proxies.update_toxic("p", "t", ToxicChange(attributes=(recording,))))
        await disk.until_asked()
        await proxies.update_toxic("p", "t", ToxicChange(attributes=({"start_ms": 3},)))
        disk.goes_on.set()
        assert (await changing).attributes.shown() == {**recording, "start_ms": 3}

    asyncio.run(main())


def test_a_proxy_that_comes_with_a_recording_reads_it_aside(disk: SlowDisk, recording: dict[str, str]) -> None:
    async def main() -> None:
        proxies = ProxyCollection(seed=1)
        disk.goes_on.set()
        wanted = dataclasses.replace(PROXY, with_toxics=(trace_of(recording),))
        assert [each.type for each in (await proxies.create(wanted)).toxic_list()] == ["trace"]
        done: list[Proxy] = []
        await proxies.populate([dataclasses.replace(wanted, name="q")], done)
        assert [each.type for each in done[0].toxic_list()] == ["trace"]
        refused = dataclasses.replace(wanted, name="r", with_toxics=(trace_of(UNREADABLE),))
        with pytest.raises(errors.ApiError, match="No such file"):
            await proxies.create(refused)
        assert len(proxies.all()) == 2

    asyncio.run(main())
