"""Faults on a running system of anybody's own: its links behind a Toxiproxy server, its processes. No stack, load or audit."""
