"""The words of the pages, a file for each language."""
