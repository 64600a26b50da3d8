"""The kitchen display: tickets that a store's log made, each shown once, and bumps that go back."""
