"""A delivery platform as a chain meets one: its own orders, webhooks, deadlines and cancellations; misbehaves on request."""
