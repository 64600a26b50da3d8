"""The one way to a Toxiproxy server, ours or Shopify's: `toxiproxy-python`, wrapped where it swallows errors or may hang.

The client keeps the server's address in its class, so one process drives one server at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import toxiproxy
import toxiproxy.api
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0
DEFAULT_PORT = 8474
OWN_VERSION = "+rushproof"
ANSWER_SHOWN_MAX = 200
KNOWN_BY_CLIENT = (400, 404, 409)


class ToxiproxyError(RuntimeError):
    """The Toxiproxy server could not be reached or refused."""


class _CheckedRequests:
    """Stands in for `requests` inside the client: every call has a time-out, and no error status passes as success.

    What the environment says of HTTP proxies is not for this server, whose clients are its only proxies.
    """

    def get(self, url: str, **options: Any) -> requests.Response:
        """GET."""
        return self._checked("GET", url, options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """POST."""
        return self._checked("POST", url, options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        """DELETE."""
        return self._checked("DELETE", url, options)

    def _checked(self, method: str, url: str, options: dict[str, Any]) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            response = session.request(method, url, timeout=TIMEOUT_S, **options)
        if response.status_code >= 400 and response.status_code not in KNOWN_BY_CLIENT:
            said = " ".join(response.text.split())[:ANSWER_SHOWN_MAX] or "nothing else"
            raise ToxiproxyError(f"Toxiproxy answered {response.status_code}: {said}")
        return response


@dataclass(frozen=True, slots=True)
class Attached:
    """A proxy that was there before: where it listens and leads to, and whether it is open."""

    host: str
    port: int
    upstream: str
    enabled: bool


class ProxyServer:
    """A Toxiproxy server at `url`. Calls block; they raise `ToxiproxyError`."""

    def __init__(self, url: str) -> None:
        host, port = _address(url)
        self.url = f"http://{host}:{port}"
        self._client = toxiproxy.Toxiproxy()
        self._client.update_api_consumer(host, port)
        toxiproxy.api.requests = _CheckedRequests()
        self._proxies: dict[str, Any] = {}
        self._made: set[str] = set()

    def version(self) -> str:
        """The server's version, as it says."""
        with self._errors():
            answer = toxiproxy.api.APIConsumer.get("/version")
            return str(answer.text.strip())

    def is_own(self) -> bool:
        """Whether it is the server of this project, which knows more toxics than Toxiproxy."""
        return OWN_VERSION in self.version()

    def create(self, name: str, upstream: str) -> tuple[str, int]:
        """A new proxy on a free loopback port; returns where it listens."""
        with self._errors():
            proxy = self._client.create(upstream=upstream, name=name, listen="127.0.0.1:0")
        self._proxies[name] = proxy
        self._made.add(name)
        host, _, port = proxy.listen.rpartition(":")
        return host.strip("[]"), int(port)

    def attach(self, name: str) -> Attached:
        """A proxy that somebody else made, to put toxics on; it is never removed. Raises if there is none."""
        with self._errors():
            proxies = self._client.proxies()
        if name not in proxies:
            there = ", ".join(sorted(proxies)) or "none"
            raise ToxiproxyError(f"Toxiproxy at {self.url} has no proxy {name!r}; its proxies: {there}")
        proxy = self._proxies[name] = proxies[name]
        host, _, port = str(proxy.listen).rpartition(":")
        return Attached(host.strip("[]"), int(port), str(proxy.upstream), bool(proxy.enabled))

    def add_toxic(self, proxy: str, name: str, kind: str, stream: str, attributes: Mapping[str, Any]) -> None:
        """Put a toxic on a proxy."""
        with self._errors():
            self._proxies[proxy].add_toxic(name=name, type=kind, stream=stream, attributes=dict(attributes))

    def toxic_names(self, proxy: str) -> list[str]:
        """The names of the toxics on a proxy, as the server lists them."""
        with self._errors():
            return sorted(self._proxies[proxy].toxics())

    def remove_toxics(self, proxy: str) -> None:
        """Take all toxics off a proxy."""
        with self._errors():
            for name in self._proxies[proxy].toxics():
                self._proxies[proxy].destroy_toxic(name)

    def remove_toxic(self, proxy: str, name: str) -> None:
        """Take one toxic off a proxy."""
        with self._errors():
            self._proxies[proxy].destroy_toxic(name)

    def is_open(self, proxy: str) -> bool:
        """Whether a proxy is open, as the server says."""
        with self._errors():
            return bool(self._client.proxies()[proxy].enabled)

    def set_enabled(self, proxy: str, enabled: bool) -> None:
        """Open or close a proxy; closing it ends its connections."""
        with self._errors():
            if enabled:
                self._proxies[proxy].enable()
            else:
                self._proxies[proxy].disable()

    def destroy_all(self) -> None:
        """Remove the proxies that this object made, and no others."""
        for name in sorted(self._made):
            try:
                with self._errors():
                    self._proxies.pop(name).destroy()
            except ToxiproxyError as error:
                logger.warning("proxy %s could not be removed: %s", name, error)
        self._made.clear()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except requests.exceptions.InvalidJSONError as error:
            raise ToxiproxyError(
                f"what answers at {self.url} is no Toxiproxy server (its answer is no JSON)"
            ) from error
        except requests.RequestException as error:
            raise ToxiproxyError(f"Toxiproxy at {self.url} does not answer ({type(error).__name__})") from error
        except (ProxyExists, NotFound, InvalidToxic) as error:
            raise ToxiproxyError(f"Toxiproxy at {self.url} refused: {_text(error)}") from error
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ToxiproxyError(f"what answers at {self.url} is no Toxiproxy server ({error!r})") from error


def _address(url: str) -> tuple[str, int]:
    """Host (an IPv6 address in brackets) and port of the server."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host = None
    if not host or parts.scheme not in ("", "http"):
        raise ToxiproxyError(f"{url!r} is not the address of a Toxiproxy server; give http://HOST:PORT")
    return (f"[{host}]" if ":" in host else host), port


def _text(error: Exception) -> str:
    """What a server said, which the client hands on as bytes."""
    said = error.args[0] if error.args else error
    return said.decode(errors="replace").strip() if isinstance(said, bytes) else str(said)
