"""Stand-ins for parties outside the system: real processes with their real rules. The stack imports nothing from here."""
