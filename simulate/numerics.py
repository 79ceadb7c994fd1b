"""The version of the numerics: which stored results may stand beside new ones."""

NUMERICS = 1
"""Raised by hand whenever a task's results change by more than the tolerance of its fits: other
random draws, another selection, another minimum or another measure of it. A store remembers it, and
one of other numerics is refused. ``tests/test_numerics.py`` pins a few results.
"""
