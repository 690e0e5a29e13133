"""Trains the small model that ships, TrueScale 4x. ``python -m tools.training --help`` explains.

Nothing else imports this package. What it needs beyond the program itself is the extra ``training`` in pyproject.toml.
"""
