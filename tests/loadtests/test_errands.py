"""The staff's errands against a scripted store: acts by who may do them, looked for among what is there, rows of the history."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from refsystem.access import person_of
from refsystem.edge.permissions import ROLE_ACTS
from refsystem.ordering.errors import ACT_INVALID
from refsystem.ordering.store_rules import PRIORITY_MAX
from refsystem.store_messages import parse_any_act
from simulator.errands import Errand

if TYPE_CHECKING:
    from conftest import Act, Ground, MakeDiner, ScriptedStack, Seen

SECRET = "what the store signs tokens with"
FIRST, SECOND = "0192aaaa-0000-7000-8000-000000000001", "0192aaaa-0000-7000-8000-000000000002"
STOCK = [
    {"ingredient_id": "tofu", "kept": False, "on_hand": -4},
    {"ingredient_id": "beef", "kept": True, "on_hand": 1_000},
    {"ingredient_id": "jelly", "kept": True, "on_hand": 0},
]
TICKETS = {FIRST: ("open", "meat", 1), SECOND: ("bumped", "broth", 2)}


def errands() -> list[Errand]:
    patience_us, many = 4_000_000, iter(range(9))
    return [
        Errand("s1", next(many), 0, "sold_out", patience_us, what="plum-juice", for_us=250_000),
        Errand("s1", next(many), 0, "receive", patience_us, what="beef", amount=900, shelf_days=3),
        Errand("s1", next(many), 0, "recall", patience_us, pick=0.1),
        Errand("s1", next(many), 0, "rush", patience_us, pick=0.9),
        Errand("s1", next(many), 0, "count", patience_us, pick=0.9, share=0.02),
        Errand("s1", next(many), 0, "waste", patience_us, pick=0.1, share=0.05),
    ]


def test_the_staff_do_their_errands_by_who_may_and_the_history_tells_of_all_of_them(
    ground: Ground, stack: ScriptedStack, make_diner: MakeDiner, act: type[Act], refusal: Any
) -> None:
    asked: dict[str, list[Seen]] = defaultdict(list)
    order_ids = [FIRST, SECOND]

    def behave(stack: ScriptedStack, seen: Seen) -> Act:
        if seen.path == "/v1/menu" or seen.path.startswith("/v1/orders"):
            return stack.serve(seen)
        role = person_of(SECRET.encode(), "s1", seen.authorization, 0).role
        if seen.path == "/v1/checks":
            return act(200, {"checks": [{"lines": [{"order_id": each}]} for each in order_ids], "closed": []})
        if seen.path == "/v1/stock":
            return act(200, {"ingredients": STOCK, "known_seq": 40})
        if seen.path.startswith("/v1/kitchen/orders/"):
            state, station, version = TICKETS[seen.path.rpartition("/")[2]]
            return act(200, {"tickets": [{"state": state, "station": station, "version": version}]})
        done = parse_any_act(seen.key, role, seen.body)
        assert done.name in ROLE_ACTS[role], f"a {role} may not {done.name}"
        asked[done.name].append(seen)
        if done.name == "eighty_six" and len(asked[done.name]) == 1:
            return act(None)  # its answer is lost
        if done.name == "recall" and len(asked[done.name]) == 1:
            return refusal(ACT_INVALID)  # somebody was there first
        return act(201, {"act_id": seen.key, "level": "R2", "node_id": "a-1", "epoch": 1, "seq": 7})

    stack.behave = behave
    secret = ground.folder / "access"
    secret.write_text(SECRET)
    history = ground.drive([make_diner(0)], access_secret=str(secret), errands=errands())
    said = {name: {key: value for key, value in seen[-1].body.items() if key != "act"} for name, seen in asked.items()}
    assert said.keys() == {"eighty_six", "restore", "receive", "recall", "rush", "count", "waste"}
    first, again = asked["eighty_six"]
    assert first.key == again.key, "a lost answer is asked for under the same key"
    assert said["eighty_six"]["item_id"] == said["restore"]["item_id"] == "plum-juice"
    assert asked["restore"][0].at_us - again.at_us >= 250_000
    assert said["recall"] == {"order_id": SECOND, "version": 2, "station": "broth"}
    assert len({seen.key for seen in asked["recall"]}) == 2, (
        "what was refused is another act when it is looked for again"
    )
    assert said["rush"] == {"order_id": FIRST, "priority": PRIORITY_MAX}
    assert (said["receive"]["ingredient_id"], said["receive"]["quantity"]) == ("beef", 900)
    assert said["receive"]["use_by"] > 20_260_000
    assert said["count"] == {"ingredient_id": "beef", "counted": 980, "known_seq": 40}
    assert (said["waste"]["ingredient_id"], said["waste"]["quantity"]) == ("beef", 50)
    sent = {(seen.key, seen.body["act"]) for each in asked.values() for seen in each}
    assert sent == {(row.act_id, row.act) for row in history if row.kind == "act"}
    assert {row.order_id for row in history if row.act == "recall"} == {SECOND}
    assert {row.channel for row in history if row.kind in ("act", "look")} == {"staff"}
    looks = [row for row in history if row.kind == "look"]
    assert looks, "looks are rows, too"
    assert all(row.outcome == "ok" for row in looks)
    metrics = json.loads((ground.folder / "metrics" / "load-locust-0.json").read_text(encoding="utf-8"))
    assert metrics["finished"]
    assert "skipped" not in metrics
