"""The one way to a Toxiproxy server, ours or Shopify's: `toxiproxy-python`, wrapped where it swallows errors or may hang.

The client keeps the server's address in its class, so one process drives one server at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import toxiproxy
import toxiproxy.api
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0


class ToxiproxyError(RuntimeError):
    """The Toxiproxy server could not be reached or refused."""


class _CheckedRequests:
    """Stands in for `requests` inside the client: every call has a time-out, and no error status passes as success."""

    def get(self, url: str, **options: Any) -> requests.Response:
        """GET."""
        return self._checked(requests.get(url, timeout=TIMEOUT_S, **options))

    def post(self, url: str, **options: Any) -> requests.Response:
        """POST."""
        return self._checked(requests.post(url, timeout=TIMEOUT_S, **options))

    def delete(self, url: str, **options: Any) -> requests.Response:
        """DELETE."""
        return self._checked(requests.delete(url, timeout=TIMEOUT_S, **options))

    def _checked(self, response: requests.Response) -> requests.Response:
        if response.status_code >= 500 or response.status_code == 403:
            raise ToxiproxyError(f"Toxiproxy answered {response.status_code}: {response.text.strip()}")
        return response


class ProxyServer:
    """A Toxiproxy server at `url`. Calls block; they raise `ToxiproxyError`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "//" in url else f"//{url}")
        if not parts.hostname:
            raise ToxiproxyError(f"{url!r} is not the address of a Toxiproxy server; give http://HOST:PORT")
        self.url = f"http://{parts.hostname}:{parts.port or 8474}"
        self._client = toxiproxy.Toxiproxy()
        self._client.update_api_consumer(parts.hostname, parts.port or 8474)
        toxiproxy.api.requests = _CheckedRequests()
        self._proxies: dict[str, Any] = {}

    def version(self) -> str:
        """The server's version, as it says."""
        with self._errors():
            answer = toxiproxy.api.APIConsumer.get("/version")
            return str(answer.text.strip())

    def create(self, name: str, upstream: str) -> tuple[str, int]:
        """A new proxy on a free loopback port; returns where it listens."""
        with self._errors():
            proxy = self._client.create(upstream=upstream, name=name, listen="127.0.0.1:0")
        self._proxies[name] = proxy
        host, _, port = proxy.listen.rpartition(":")
        return host.strip("[]"), int(port)

    def add_toxic(self, proxy: str, name: str, kind: str, stream: str, attributes: dict[str, int]) -> None:
        """Put a toxic on a proxy."""
        with self._errors():
            self._proxies[proxy].add_toxic(name=name, type=kind, stream=stream, attributes=attributes)

    def toxic_names(self, proxy: str) -> list[str]:
        """The names of the toxics on a proxy, as the server lists them."""
        with self._errors():
            return sorted(self._proxies[proxy].toxics())

    def remove_toxics(self, proxy: str) -> None:
        """Take all toxics off a proxy."""
        with self._errors():
            for name in self._proxies[proxy].toxics():
                self._proxies[proxy].destroy_toxic(name)

    def set_enabled(self, proxy: str, enabled: bool) -> None:
        """Open or close a proxy; closing it ends its connections."""
        with self._errors():
            if enabled:
                self._proxies[proxy].enable()
            else:
                self._proxies[proxy].disable()

    def destroy_all(self) -> None:
        """Remove the proxies that this object made, and no others."""
        for name, proxy in list(self._proxies.items()):
            try:
                with self._errors():
                    proxy.destroy()
            except ToxiproxyError as error:
                logger.warning("proxy %s could not be removed: %s", name, error)
            del self._proxies[name]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as error:
            raise ToxiproxyError(f"Toxiproxy at {self.url} does not answer ({type(error).__name__})") from error
        except (ProxyExists, NotFound, InvalidToxic, KeyError, ValueError) as error:
            raise ToxiproxyError(f"Toxiproxy at {self.url} refused: {error}") from error
