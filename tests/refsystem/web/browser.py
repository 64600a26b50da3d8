"""A real browser, driven over a pipe with the DevTools protocol; tests skip where none is installed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 60


def find_browser() -> str | None:
    """The first browser that is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page (a tab)."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.call("Page.enable")
        self.call("Runtime.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the page."""
        return self._browser.send(method, self._session, **parameters)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str, timeout_s: float = 30) -> Any:
        """Wait until an expression is true, and names what is there; returns its value."""
        deadline = time.monotonic() + timeout_s
        careful = f"(() => {{ try {{ return {script}; }} catch {{ return false; }} }})()"
        while not (value := self.run(careful)):
            assert time.monotonic() < deadline, f"never true: {script}; the page: {self.run('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def screen(self, width: int, height: int) -> None:
        """Make the page as large as a screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def press(self, key: str, times: int = 1) -> None:
        """Press a key of the keyboard."""
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        code = {"Enter": 13, "Tab": 9, "Space": 32, "Escape": 27}[key]
        name = " " if key == "Space" else key
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call(
                    "Input.dispatchKeyEvent", type=kind, key=name, code=key, windowsVirtualKeyCode=code, text=text
                )


class Browser(Page):
    """One browser, which is its first page, too."""

    def __init__(self, folder: Path) -> None:
        program = find_browser()
        assert program, "no browser is installed"
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._buffer = b""
        self._count = 0
        arguments = (
            "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --mute-audio --no-first-run "
            f"--remote-debugging-pipe --user-data-dir={folder / 'profile'} about:blank"
        ).split()

        def pipes() -> None:  # the browser reads from 3 and writes to 4
            copies = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(copies[0], 3)
            os.dup2(copies[1], 4)

        quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([program, *arguments], preexec_fn=pipes, close_fds=False, **quiet)
        os.close(theirs_in)
        os.close(theirs_out)
        super().__init__(self, self._target())

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def person(self) -> Page:
        """A page of somebody else's device: it shares nothing with the others."""
        return Page(self, self._target(browserContextId=self.send("Target.createBrowserContext")["browserContextId"]))

    def tab(self) -> Page:
        """Another page of the first one's device."""
        return Page(self, self._target())

    def _target(self, **context: Any) -> str:
        target = self.send("Target.createTarget", url="about:blank", **context)["targetId"]
        session: str = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return session

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Call a method of the browser, or of the page that `session` names."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], TIMEOUT_S)
            assert ready, "the browser does not answer"
            received = os.read(self._in, 1 << 20)
            assert received, "the browser has ended"
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer
