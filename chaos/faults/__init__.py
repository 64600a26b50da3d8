"""What can go wrong: each fault with its injection, the proof that it took effect, and its undoing."""
