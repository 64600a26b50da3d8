"""The cloud: all stores' orders in PostgreSQL, the uplink's ingest and the downlink's dispatch."""
