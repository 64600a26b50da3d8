"""The kitchen's rules as stories: routing, courses, bump and recall, voids, priority and age, sold out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from brigade import Brigade
from till import AT_MS, Till, order, uuid

from refsystem.ordering.check_acts import Merge, Transfer
from refsystem.ordering.errors import ACT_INVALID, ITEM_UNKNOWN, OrderRejected
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.kitchen_acts import BumpAgain, EightySix, Escalate, Fire, Recall, Restore, Rush
from refsystem.ordering.kitchen_errors import (
    COURSE_NOT_HELD,
    ITEM_SOLD_OUT,
    ITEM_STATE,
    TICKET_NOT_FOUND,
    TICKET_STATE,
)
from refsystem.ordering.kitchen_order import from_json, to_json
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_acts import (
    StoreAct,
    bump_again,
    escalate,
    fire_in_time,
    parse_store_act,
)
from refsystem.ordering.store_rules import DEMO_RULES, ONE_SLIP, CourseRule, KitchenRules
from refsystem.ordering.ticket import (
    TICKET_TRANSITIONS,
    TicketEvent,
    TicketKey,
    TicketState,
    colour_of,
    is_timed_out,
    rank,
)

HOTPOT_ORDER = {"split-base": 1, "beef-slices": 2, "tripe": 1, "crown-daisy": 1, "pulled-noodles": 2, "plum-juice": 1}


# --- routing and courses (P17) ---------------------------------------------------------------------------------------


def test_an_order_becomes_one_ticket_for_each_station():
    brigade = Brigade("fast_food")
    order_id = brigade.order({"beef-burger": 2, "fries": 1, "cola": 2, "nuggets": 1})
    assert brigade.slips(order_id) == [
        "1/grill open: 2 beef-burger",
        "1/fryer open: 1 fries 1 nuggets",
        "1/counter open: 2 cola",
    ]
    assert [key.station for key, _ in brigade.kitchen.open_tickets("fryer")] == ["fryer"]


def test_the_hotpot_base_goes_first_and_the_dishes_follow_when_it_is_done():
    brigade = Brigade("hotpot")
    order_id = brigade.order(HOTPOT_ORDER)
    assert brigade.slips(order_id) == ["1/broth open: 1 split-base", "1/drinks open: 1 plum-juice"]
    assert [line.item_id for line in brigade.see(order_id).held_lines()] == [
        "beef-slices",
        "tripe",
        "crown-daisy",
        "pulled-noodles",
    ]
    brigade.bump(order_id, 1, "drinks")
    assert len(brigade.slips(order_id)) == 2, "the base is not done"
    brigade.bump(order_id, 1, "broth")
    assert brigade.slips(order_id)[2:] == ["2/meat open: 2 beef-slices 1 tripe", "2/vegetables open: 1 crown-daisy"]
    brigade.bump(order_id, 2, "meat")
    brigade.bump(order_id, 2, "vegetables")
    assert brigade.see(order_id).held == ((3, "by_person"),), "the third course waits for a person"
    assert not brigade.see(order_id).is_served
    brigade.do(Fire(order_id, 3))
    assert brigade.slips(order_id)[4:] == ["3/vegetables open: 2 pulled-noodles"]
    brigade.bump(order_id, 3, "vegetables")
    assert brigade.see(order_id).is_served


def test_dishes_wait_for_the_base_of_another_diner_at_the_table():
    brigade = Brigade("hotpot")
    base = brigade.order({"spicy-base": 1}, table="8")
    check_id = brigade.see(base).check_id
    dishes = brigade.order({"beef-slices": 1}, check_id, "8")
    elsewhere = brigade.order({"beef-slices": 1}, table="9")
    assert brigade.slips(dishes) == []
    assert brigade.slips(elsewhere) == ["1/meat open: 1 beef-slices"], "nothing before it: it is fired at once"
    brigade.bump(base, 1, "broth")
    assert brigade.slips(dishes) == ["1/meat open: 1 beef-slices"]
    later = brigade.order({"tripe": 1}, check_id, "8")
    assert brigade.slips(later) == ["1/meat open: 1 tripe"]


def test_firing_a_course_takes_the_earlier_ones_along_and_happens_once():
    brigade = Brigade("hotpot")
    order_id = brigade.order(HOTPOT_ORDER)
    brigade.do(Fire(order_id, 3))
    assert brigade.slips(order_id)[2:] == [
        "2/meat open: 2 beef-slices 1 tripe",
        "2/vegetables open: 1 crown-daisy 2 pulled-noodles",
    ]
    assert "no course 3" in brigade.refuses(COURSE_NOT_HELD, Fire(order_id, 3))
    brigade.refuses(COURSE_NOT_HELD, Fire(order_id, 2))
    brigade.refuses(TICKET_NOT_FOUND, Fire(uuid(999), 1))


def test_a_course_that_waits_for_a_person_is_waited_for():
    rules = KitchenRules(
        courses=(CourseRule(2, "Dishes", "菜品", "by_person"), CourseRule(3, "Dessert", "甜点", "after_previous"))
    )
    brigade = Brigade("hotpot", rules=rules)
    order_id = brigade.order({"tripe": 1, "ice-jelly": 1})
    assert brigade.slips(order_id) == []
    brigade.do(Fire(order_id, 2))
    assert brigade.see(order_id).holds(3)
    brigade.bump(order_id, 1, "meat")
    assert brigade.slips(order_id)[1:] == ["2/drinks open: 1 ice-jelly"]


def test_one_slip_holds_the_whole_order():
    brigade = Brigade(menu=DEMO_MENU, rules=ONE_SLIP)
    order_id = brigade.order({"mapo-tofu": 1, "red-bean-buns": 1, "beer": 3})
    assert brigade.slips(order_id) == ["1/kitchen open: 1 mapo-tofu 1 red-bean-buns 3 beer"]


def test_the_record_says_how_it_is_routed_whatever_a_display_knows():
    brigade = Brigade("hotpot")
    order_id = brigade.order(HOTPOT_ORDER, channel="qr")
    other = Kitchen(DEMO_MENU, KitchenRules(priorities=(("qr", 5),)))
    for seq, record in enumerate(brigade.log, start=1):
        other.apply(seq, record)
    assert other.order(order_id) == brigade.see(order_id)


def test_an_order_of_a_log_without_stations_goes_by_menu_and_rules():
    kitchen = Kitchen(MENUS["casual"], DEMO_RULES["casual"].kitchen)
    kitchen.apply(1, order(uuid(1), {"mapo-tofu": 1, "beer": 1, "red-bean-buns": 1}) | {"channel": "mini_program"})
    found = kitchen.order(uuid(1))
    assert [(ticket.version, ticket.station) for ticket in found.tickets] == [(1, "wok"), (1, "drinks")]
    assert (found.held, found.priority) == (((3, "after_previous"),), 1)


@pytest.mark.parametrize(
    ("damage", "lines"),
    [
        ({"items": "?"}, 0),
        ({"items": [["x", 1e300], [None, True], 7]}, 3),
        ({"stations": ["a"], "courses": ["b"], "fires": [[1, "never"], 3]}, 1),
        ({"version": -5, "priority": 99, "channel": ["qr"], "check_id": 7}, 1),
    ],
)
def test_a_strange_order_makes_a_ticket_all_the_same(damage, lines):
    kitchen = Kitchen(DEMO_MENU, DEMO_RULES["casual"].kitchen)
    kitchen.apply(1, order(uuid(1), {"mapo-tofu": 1}) | damage)
    (ticket,) = kitchen.order(uuid(1)).tickets
    assert (ticket.version, len(ticket.lines)) == (1, lines)
    assert kitchen.passed_over == ()


# --- bump and recall -------------------------------------------------------------------------------------------------


def test_a_recalled_ticket_is_open_again_and_is_bumped_under_a_key_of_its_own():
    brigade = Brigade("tea")
    order_id = brigade.order({"lemon-tea": 1})
    key = TicketKey(order_id, 1, "bar")
    brigade.refuses(TICKET_STATE, Recall(*key))
    brigade.bump(*key)
    assert brigade.see(order_id).is_served
    brigade.do(Recall(*key))
    assert [found for found, _ in brigade.kitchen.open_tickets()] == [key]
    again = bump_again(key, 1, "Li")
    assert again == bump_again(key, 1, "Li"), "two devices make one act"
    brigade.append(brigade.kitchen.decide(again, AT_MS))
    assert brigade.see(order_id).is_served
    assert "bumped 2 times, not 1" in brigade.refuses(TICKET_STATE, again.content)
    brigade.refuses(TICKET_STATE, BumpAgain(*key, 2))
    brigade.void(order_id, 0, 1)
    assert brigade.see(order_id).tickets[1].rounds == 0, "the notice was never bumped"


def test_a_bump_that_comes_twice_or_for_nothing_is_passed_over():
    brigade = Brigade("tea")
    order_id = brigade.order({"lemon-tea": 1})
    brigade.bump(order_id, 1, "bar")
    brigade.bump(order_id, 1, "bar")
    brigade.bump(uuid(77), 1, "bar")
    brigade.bump(order_id, 1, "toppings")
    assert [passed.seq for passed in brigade.kitchen.passed_over] == [3, 4, 5]


def test_every_state_of_a_ticket_answers_every_event():
    brigade = Brigade("tea")
    order_id = brigade.order({"lemon-tea": 2})
    ticket = brigade.see(order_id).tickets[0]
    for state in TicketState:
        for event in TicketEvent:
            stands = replace(ticket, state=state)
            after = TICKET_TRANSITIONS.get((state, event))
            if after is None:
                with pytest.raises(OrderRejected):
                    stands.on(event, 9)
            else:
                assert stands.on(event, 9).state is after


# --- voids -----------------------------------------------------------------------------------------------------------


def test_a_void_before_the_bump_makes_a_new_version_of_the_ticket():
    brigade = Brigade("fast_food")
    order_id = brigade.order({"fries": 3, "nuggets": 1})
    brigade.void(order_id, 0, 2)
    assert brigade.slips(order_id) == [
        "1/fryer superseded: 3 fries 1 nuggets",
        "2/fryer open: 1 fries 1 nuggets -2 fries",
    ]
    assert brigade.see(order_id).tickets[1].replaces == 1
    brigade.bump(order_id, 1, "fryer")
    assert len(brigade.kitchen.passed_over) == 1, "the old one cannot be bumped"
    brigade.void(order_id, 1, 1)
    brigade.void(order_id, 0, 5)
    assert brigade.slips(order_id)[-1] == "4/fryer open: -3 fries -1 nuggets"
    assert brigade.see(order_id).is_served, "nothing is left to be made"
    brigade.bump(order_id, 4, "fryer")
    assert brigade.kitchen.open_tickets() == ()


def test_a_void_after_the_bump_is_told_and_what_was_made_stays_made():
    brigade = Brigade("fast_food")
    order_id = brigade.order({"fries": 3})
    brigade.bump(order_id, 1, "fryer")
    assert brigade.kitchen.is_made(order_id, 0)
    brigade.void(order_id, 0, 1)
    assert brigade.slips(order_id) == ["1/fryer bumped: 3 fries", "2/fryer open: -1 fries"]
    assert brigade.see(order_id).tickets[1].after_made
    assert brigade.see(order_id).is_served
    brigade.void(order_id, 0, 2)
    assert brigade.slips(order_id)[-1] == "3/fryer open: -2 fries"
    brigade.void(order_id, 0, 1)
    assert len(brigade.slips(order_id)) == 3, "more cannot be voided than there was"


def test_what_is_voided_while_it_is_held_back_is_never_made():
    brigade = Brigade("hotpot")
    order_id = brigade.order({"split-base": 1, "tripe": 2, "ice-jelly": 1})
    brigade.void(order_id, 2, 1)
    brigade.void(order_id, 1, 1)
    assert brigade.see(order_id).held == ((2, "after_previous"),)
    brigade.void(order_id, 0, 1)
    assert brigade.slips(order_id) == [
        "1/broth superseded: 1 split-base",
        "2/broth open: -1 split-base",
        "3/meat open: 1 tripe -1 tripe",
    ], "without a base nothing is waited for"


# --- tables, priority, age -------------------------------------------------------------------------------------------


def test_an_add_on_goes_where_its_check_is_now_whatever_table_its_diner_still_knows():
    brigade = Brigade()
    first = brigade.order({"spicy-base": 1})
    brigade.append({"kind": "act", "act": "transfer", "check_id": first, "table": "7"})
    late = brigade.order({"plum-juice": 1}, first)
    assert [brigade.see(order_id).table for order_id in (first, late)] == ["7", "7"]


def test_a_transfer_and_a_merge_take_the_tickets_to_the_other_table():
    brigade, till = Brigade("hotpot"), Till()
    one, other = brigade.order({"spicy-base": 1}, table="1"), brigade.order({"tripe": 1}, table="2")
    till.append(order(one, {"mapo-tofu": 1}, "1"))
    till.append(order(other, {"mapo-tofu": 1}, "2"))
    for content in (Transfer(one, "7"), Merge(one, other)):
        till.do(content)
        brigade.append(till.log[-1])
    assert [order.table for order in brigade.kitchen.orders] == ["7", "7"]
    assert len(brigade.kitchen.orders_of_check(one)) == 2
    assert brigade.kitchen.orders_of_check(other) == ()


def test_colours_follow_the_rules_and_red_stands_before_priority():
    rules = DEMO_RULES["tea"].kitchen
    assert [colour_of(waited_s, rules) for waited_s in (0, 299, 300, 479, 480)] == [
        "fresh",
        "fresh",
        "yellow",
        "yellow",
        "red",
    ]
    assert [is_timed_out(waited_s, rules) for waited_s in (599, 600)] == [False, True]
    assert not is_timed_out(10**6, ONE_SLIP)
    young_rush, old, red = rank(2, 10, 30, rules), rank(0, 400, 20, rules), rank(0, 481, 10, rules)
    assert sorted([young_rush, old, red]) == [red, young_rush, old]


def test_a_rush_and_a_time_out_are_acts():
    brigade = Brigade("casual")
    order_id = brigade.order({"mapo-tofu": 1}, channel="delivery")
    assert brigade.see(order_id).priority == 2
    brigade.do(Rush(order_id, 9))
    assert brigade.see(order_id).priority == 9
    key = TicketKey(order_id, 1, "wok")
    assert brigade.kitchen.late_tickets() == ()
    brigade.do(escalate(key).content)
    assert brigade.see(order_id).tickets[0].escalated
    assert [found for found, _ in brigade.kitchen.late_tickets()] == [key]
    brigade.kitchen.set_aside(len(brigade.log))
    assert brigade.kitchen.late_tickets() == ()
    brigade.do(escalate(key).content)
    brigade.refuses(TICKET_STATE, Escalate(*key))
    brigade.refuses(TICKET_NOT_FOUND, Escalate(order_id, 9, "wok"))


def test_a_course_whose_time_has_come_is_one_act_on_every_device():
    brigade = Brigade("hotpot")
    order_id = brigade.order(HOTPOT_ORDER)
    act = fire_in_time(order_id, 2)
    assert act == fire_in_time(order_id, 2)
    assert act.act_id != fire_in_time(order_id, 3).act_id
    brigade.append(brigade.kitchen.decide(act, AT_MS))
    assert not brigade.see(order_id).holds(2)


# --- sold out --------------------------------------------------------------------------------------------------------


def test_what_is_eighty_sixed_is_refused_until_it_is_restored():
    brigade = Brigade("hotpot")
    brigade.do(EightySix("tripe", "delivery is late"))
    assert brigade.kitchen.all_sold_out[0].reason == "delivery is late"
    with pytest.raises(OrderRejected) as refused:
        brigade.order({"spicy-base": 1, "tripe": 1})
    assert refused.value.problem is ITEM_SOLD_OUT
    assert "tripe" in refused.value.detail
    brigade.refuses(ITEM_STATE, EightySix("tripe"))
    brigade.refuses(ITEM_UNKNOWN, EightySix("pizza"))
    brigade.refuses(ITEM_STATE, Restore("spicy-base"))
    brigade.do(Restore("tripe"))
    brigade.order({"tripe": 1})


def test_what_was_sold_out_goes_back_with_the_log():
    brigade = Brigade("hotpot")
    brigade.do(EightySix("tripe"))
    brigade.do(Restore("tripe"))
    brigade.do(EightySix("duck-blood"))
    brigade.kitchen.set_aside(2)
    assert [each.item_id for each in brigade.kitchen.all_sold_out] == ["tripe"]
    brigade.kitchen.set_aside(1)
    assert brigade.kitchen.all_sold_out == ()


# --- requests, records, storage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (7, "the body must be a JSON object"),
        ({"act": "boil"}, "act must be one of fire, bump"),
        ({"act": "fire", "order_id": uuid(1)}, "course must be there"),
        ({"act": "fire", "order_id": "x", "course": 1}, "order_id must be a UUID"),
        ({"act": "fire", "order_id": uuid(1), "course": 10}, "course must be a whole number from 1 to 9"),
        ({"act": "restore", "item_id": "x", "who": "me"}, "who must be left out"),
        ({"act": "recall", "order_id": uuid(1), "version": True, "station": "wok"}, "version must be a whole number"),
    ],
)
def test_a_request_that_is_no_act_is_told_what_would_be_right(body, told):
    with pytest.raises(OrderRejected) as refused:
        parse_store_act(uuid(5), "Li", body)
    assert refused.value.problem is ACT_INVALID
    assert told in refused.value.detail


def test_a_request_and_its_act_say_the_same():
    act = StoreAct(uuid(3), "Li", Recall(uuid(1), 2, "wok"))
    again = parse_store_act(uuid(3), "Wang", act.body)
    assert (again.content, again.body_hash) == (act.content, act.body_hash)
    assert act.body_hash != StoreAct(uuid(3), "Li", Escalate(uuid(1), 2, "wok")).body_hash
    assert act.record(5) == {
        "kind": "act",
        "act_id": uuid(3),
        "act": "recall",
        "who": "Li",
        "at_ms": 5,
        "body_hash": act.body_hash,
        "order_id": uuid(1),
        "version": 2,
        "station": "wok",
    }


def test_an_order_is_stored_and_read_as_it_is():
    brigade = Brigade("hotpot")
    order_id = brigade.order(HOTPOT_ORDER)
    brigade.bump(order_id, 1, "broth")
    brigade.void(order_id, 1, 1)
    assert from_json(to_json(brigade.see(order_id))) == brigade.see(order_id)


def test_courses_may_all_wait_for_a_person():
    rules = KitchenRules(courses=(CourseRule(1, "All", "全部", "by_person"),))
    brigade = Brigade("tea", rules=rules)
    order_id = brigade.order({"lemon-tea": 1})
    assert brigade.slips(order_id) == []
    brigade.do(Fire(order_id, 1))
    assert brigade.slips(order_id) == ["1/bar open: 1 lemon-tea"]
