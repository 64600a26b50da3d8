"""A whole store for a person to try: what `rushproof serve` starts, and the addresses that it prints."""
