"""An in-store order-taking device: routes, the asyncio driver, SQLite storage, and the feeds out of the store."""
