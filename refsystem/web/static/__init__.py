"""Styles and modules of the pages, served as they are."""
