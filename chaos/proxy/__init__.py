"""The embedded, seeded, Toxiproxy-compatible server: every link of a drill runs through a proxy of its own.

From the wire upwards: `toxics` (what is done to the bytes, without I/O), `link` (moves bytes and timers), `proxy` (one
listener and its connections), `collection` (all proxies), `decoding` (request bodies), `api` (the routes), `server` (both
together, in an event loop), `command` (a process). `config`, `events`, `metrics`, `schedule` are what their names say.
"""
