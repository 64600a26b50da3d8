"""What the devices say in `/openapi.json` is what they do: drawn requests are answered by no 5xx and as the schema tells.

Schemathesis draws the requests, well formed and not, for each route; Hypothesis shrinks what fails. Half of the drawn acts
meet a check that is there, so that more than the first look-up is asked.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from refsystem.access import staff_token, table_token
from tests.refsystem.edge.conftest import ACCESS_SECRET, Pair, new_key

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEED = 5
EXAMPLES = 25
EXAMPLES_OF_ACTS = 150
EXAMPLES_OF_OTHERS = 6
NOT_CHECKED = [positive_data_acceptance]  # a well-formed order for a dish that is not on the menu is refused


@pytest.fixture(scope="module")
def store(
    make_pair: Callable[..., contextlib.AbstractContextManager[Pair]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    secret = tmp_path_factory.mktemp("secret") / "access"
    secret.write_bytes(ACCESS_SECRET)
    secret.chmod(0o600)
    with make_pair(RUSHPROOF_ACCESS_SECRET_FILE=str(secret)) as made:
        yield made


def headers_of(who: str) -> dict[str, str]:
    """Who asks: a manager, the diners of table 7, or somebody without a token."""
    manager = staff_token(ACCESS_SECRET, "s1", "ann", "manager", int(time.time()) + 3_600)
    tokens = {"a manager": manager, "a diner": table_token(ACCESS_SECRET, "s1", "7")}
    return {"Authorization": f"Bearer {tokens[who]}"} if who in tokens else {}


def answered_by_the_primary(case: Any, store: Pair, headers: dict[str, str]) -> Any:
    """A busy machine may make the other device the primary meanwhile."""
    response = case.call(headers=headers, timeout=20)
    for _ in range(3):
        if response.status_code != 503:
            break
        store.wait_for_two()
        response = case.call(base_url=store.url(store.primary), headers=headers, timeout=20)
    return response


def asked(operation: Any, mode: GenerationMode, store: Pair, known: dict[str, str], who: str) -> int:
    """Draw requests for one route of the store's primary; how many of them were taken."""
    taken = []
    examples = EXAMPLES_OF_ACTS if operation.path == "/v1/acts" else EXAMPLES
    examples = examples if who == "a manager" else EXAMPLES_OF_OTHERS
    headers = headers_of(who)

    @seed(SEED)
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode), of_a_known_check=st.booleans())
    def ask(case: Any, of_a_known_check: bool) -> None:
        if mode.is_positive and of_a_known_check:
            for part in (case.body, case.path_parameters):
                if isinstance(part, dict):
                    part.update({name: value for name, value in known.items() if name in part})
        response = answered_by_the_primary(case, store, headers)
        taken.append(response.status_code < 300)
        case.validate_response(response, excluded_checks=NOT_CHECKED)

    ask()
    return sum(taken)


def test_each_route_does_what_its_schema_says(store: Pair) -> None:
    order = store.post(store.primary, new_key()).json()
    known = {"order_id": order["order_id"], "check_id": order["order_id"], "table": "7", "item_id": "mapo-tofu"}
    wrong, taken = {}, {}
    for found in schemathesis.openapi.from_url(f"{store.url(store.primary)}/openapi.json").get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        for who, mode in itertools.product(("a manager", "a diner", "nobody"), GenerationMode):
            try:
                taken[operation.label, mode, who] = asked(operation, mode, store, known, who)
            except Unsatisfiable:
                pass  # a route without parameters cannot be asked wrongly
            except (Exception, BaseExceptionGroup) as error:  # every route is asked before one is complained about
                wrong[f"{operation.label}, {mode.value}, by {who}"] = str(error)
    assert not wrong, f"seed {SEED}\n" + "\n\n".join(f"{label}: {error}" for label, error in wrong.items())
    for label in ("POST /v1/acts", "GET /v1/checks/{check_id}", "GET /v1/tables/{table}/checks", "GET /v1/menu"):
        assert taken[label, GenerationMode.POSITIVE, "a manager"], f"{label}: no drawn request was taken"
    assert taken["GET /v1/tables/{table}/checks", GenerationMode.POSITIVE, "a diner"], "a diner sees their own table"
    for label in ("GET /v1/checks", "GET /v1/stock", "POST /v1/acts"):
        assert not any(taken[label, mode, "nobody"] for mode in GenerationMode if (label, mode, "nobody") in taken), (
            label
        )
    assert store.status(store.primary)["role"] == "primary"
