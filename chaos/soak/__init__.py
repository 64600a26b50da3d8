"""Soaking: random drills with seed after seed, for hours, of which those stay that did not pass."""
