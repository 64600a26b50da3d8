"""Problems of the kitchen and of the stock. They stand beside those of `errors.py`, in `KITCHEN_PROBLEMS` by their type."""

from __future__ import annotations

from refsystem.ordering.errors import Problem

ITEM_SOLD_OUT = Problem("item-sold-out", 409, "An item is sold out", True)
ITEM_STATE = Problem("item-state", 409, "The item is sold out already, or is not", True)
TICKET_NOT_FOUND = Problem("ticket-unknown", 404, "There is no such ticket", True)
TICKET_STATE = Problem("ticket-state", 409, "The ticket's state does not allow this", True)
COURSE_NOT_HELD = Problem("course-not-held", 409, "The order holds no such course back", True)
INGREDIENT_UNKNOWN = Problem("ingredient-unknown", 422, "There is no such ingredient", True)
LOT_UNKNOWN = Problem("lot-unknown", 422, "There is no such lot", True)
LOT_KNOWN = Problem("lot-known", 409, "This lot was received already", True)
COUNT_STALE = Problem("count-stale", 409, "Some was received, thrown away or counted since; count once more", True)
STOCK_TOO_LOW = Problem("stock-too-low", 409, "There is not as much in stock", True)
RIGHTS_TOO_LOW = Problem("rights-too-low", 409, "The store does not hold as many rights", True)
RIGHTS_FROZEN = Problem("rights-frozen", 409, "Rights are settled with the cloud first", True)
RIGHTS_NOT_FROZEN = Problem("rights-not-frozen", 409, "Rights are settled with the cloud already", True)

KITCHEN_PROBLEMS: dict[str, Problem] = {
    problem.type: problem
    for problem in (
        ITEM_SOLD_OUT,
        ITEM_STATE,
        TICKET_NOT_FOUND,
        TICKET_STATE,
        COURSE_NOT_HELD,
        INGREDIENT_UNKNOWN,
        LOT_UNKNOWN,
        LOT_KNOWN,
        COUNT_STALE,
        STOCK_TOO_LOW,
        RIGHTS_TOO_LOW,
        RIGHTS_FROZEN,
        RIGHTS_NOT_FROZEN,
    )
}
