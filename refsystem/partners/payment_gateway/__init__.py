"""A payment gateway as a store meets one: cards, wallet codes, refunds, splits, disputes, callbacks; misbehaves on request."""
