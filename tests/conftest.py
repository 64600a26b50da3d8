"""What every test needs."""

import tracemalloc  # noqa: F401  (pytest imports it in the middle of a garbage collection, and fails, if nobody has before)
