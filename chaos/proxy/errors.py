"""What the API refuses, worded as Toxiproxy words it."""

from __future__ import annotations

BAD_BODY = "bad request body"


class ApiError(Exception):
    """A request that cannot be carried out: the text that the client is told, and the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status

    def at(self, place: str) -> ApiError:
        """The same error, which says where in the body it is."""
        return ApiError(f"{self.message} at {place}", self.status)


class UnfinishedBodyError(ApiError):
    """The body did not come to its end in time; nothing more can be asked on that connection."""

    def __init__(self) -> None:
        super().__init__(f"{BAD_BODY}: i/o timeout", 400)


def bad_body(detail: str) -> ApiError:
    """The body is not JSON, or not of the right shape."""
    return ApiError(f"{BAD_BODY}: {detail}", 400)


def bad_query(detail: str) -> ApiError:
    """A parameter in the URL is not what it should be."""
    return ApiError(f"bad query: {detail}", 400)


def missing_field(detail: str) -> ApiError:
    """A field without which nothing can be created is absent or empty."""
    return ApiError(f"missing required field: {detail}", 400)


def proxy_not_found() -> ApiError:
    """There is no proxy of that name."""
    return ApiError("proxy not found", 404)


def proxy_exists() -> ApiError:
    """There is a proxy of that name."""
    return ApiError("proxy already exists", 409)


def stream_invalid() -> ApiError:
    """A stream is neither of the two."""
    return ApiError("stream was invalid, can be either upstream or downstream", 400)


def toxic_type_invalid() -> ApiError:
    """There is no toxic of that type."""
    return ApiError("invalid toxic type", 400)


def toxic_exists() -> ApiError:
    """The proxy has a toxic of that name."""
    return ApiError("toxic already exists", 409)


def toxic_not_found() -> ApiError:
    """The proxy has no toxic of that name."""
    return ApiError("toxic not found", 404)


def internal(detail: str) -> ApiError:
    """The world refuses: an address in use, a name that does not resolve."""
    return ApiError(detail, 500)
