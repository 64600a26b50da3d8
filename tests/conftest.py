"""What every test needs."""

import gc
import sys
import tracemalloc  # noqa: F401  (pytest imports it in the middle of a garbage collection, and fails, if nobody has before)
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_collection_finish() -> None:
    """What is there before the first test stays: the collections after each module need not look at it."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """The last collection, which is pytest's own, looks at everything."""
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def _what_a_module_leaves_open_fails_in_it() -> Iterator[None]:
    """Much of what was not closed is found by a garbage collection only, which without this might be in any later test."""
    yield
    for name in ("last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)  # of a test that failed: what its frames hold is found as well
    left: list[str] = []
    tell = sys.unraisablehook
    sys.unraisablehook = lambda found: left.append(_told(found))
    try:
        gc.collect()
        gc.freeze()  # what the tests so far share is looked at once
    finally:
        sys.unraisablehook = tell
    if left:
        pytest.fail("\n".join(["what the tests of this module left behind:", *left]), pytrace=False)


def _told(found: "sys.UnraisableHookArgs") -> str:
    """As text, which keeps nothing alive."""
    return f"{getattr(found.object, '__qualname__', type(found.object).__name__)}: {found.exc_value}"
