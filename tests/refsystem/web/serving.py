"""A store as `rushproof serve` starts it, and the pages of the people in it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from browser import Page


class Store:
    """A served store."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "chaos.cli", "serve", "--json", "--no-printer", *options]
        self._log = (folder / "serve.log").open("w+")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)
        assert self._process.stdout is not None
        self.http = httpx.Client(trust_env=False, timeout=5)
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise AssertionError((folder / "serve.log").read_text())
        self.told: dict[str, Any] = json.loads(line)

    def close(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
        self.http.close()
        return code

    def staff(self, role: str) -> str:
        """The address of somebody's page."""
        url: str = next(link["url"] for link in self.told["staff"] if link["role"] == role)
        return url

    def primary(self) -> str:
        """The slot of the device that is the primary."""
        for slot, url in self.told["devices"].items():
            if self.http.get(f"{url}/v1/status").json()["role"] == "primary":
                return str(slot)
        raise AssertionError("no device is the primary")

    def checks(self, table: str = "") -> list[dict[str, Any]]:
        """The checks of the store, or of a table, open ones first."""
        token = self.staff("manager").partition("#")[2]
        for url in self.told["devices"].values():
            try:
                answer = self.http.get(f"{url}/v1/checks?closed=50", headers={"Authorization": f"Bearer {token}"})
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                found = answer.json()
                return [each for each in (*found["checks"], *found["closed"]) if not table or each["table"] == table]
        raise AssertionError("no device is the primary")

    def signal_devices(self, number: signal.Signals) -> None:
        """Send a signal to both devices."""
        for slot in "ab":
            os.kill(self.told["processes"][f"s1.edge_{slot}"], number)


def open_page(page: Page, url: str, lang: str = "en") -> None:
    """Open a page of the store in a language, and wait until its modules run."""
    address, _, token = url.partition("#")
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=f"{address}?lang={lang}#{token}")
    page.wait("document.documentElement.dataset.ready === 'true'")


def click(page: Page, selector: str) -> None:
    """Click what is seen at a selector."""
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def press(page: Page, text: str, within: str = "body") -> None:
    """Click the button that is seen and begins with `text`."""
    buttons = (
        f"[...document.querySelectorAll({json.dumps(within + ' button')})].filter(b => b.offsetParent && !b.disabled)"
    )
    page.wait(f"{buttons}.some(b => b.textContent.trim().startsWith({json.dumps(text)}))")
    page.run(f"{buttons}.find(b => b.textContent.trim().startsWith({json.dumps(text)})).click()")


def choose(page: Page, *items: str) -> None:
    """Put things from the menu into the cart."""
    for item in items:
        click(page, f'[data-item="{item}"] [data-step="1"]')


def type_into(page: Page, selector: str, text: str) -> None:
    """Fill a field as a person does, who then leaves it."""
    page.run(
        f"(() => {{ const field = document.querySelector({json.dumps(selector)}); field.value = {json.dumps(text)};"
        "for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {bubbles: true})); })()"
    )


def says(text: str, within: str = "body") -> str:
    """Whether a text is seen."""
    return f"document.querySelector({json.dumps(within)}).innerText.includes({json.dumps(text)})"


def waiting(page: Page) -> int:
    """How many orders and acts this device still has to send."""
    count: int = page.run("Object.keys(localStorage).filter(name => name.includes('.out.')).length")
    return count


def picture(page: Page, name: str) -> None:
    """A picture for the README, if `RUSHPROOF_SCREENSHOTS` names a folder."""
    folder = os.environ.get("RUSHPROOF_SCREENSHOTS")
    if folder:
        shot = page.call("Page.captureScreenshot", captureBeyondViewport=False)["data"]
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot))
