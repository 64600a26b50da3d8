"""The pages that people use. They load nothing from other hosts."""
