"""Drives real load with Locust, and owns the adapter for any ordering system."""
