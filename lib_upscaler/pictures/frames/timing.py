"""Times of frames in the units of a format, so that what is lost by rounding does not add up."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["Clock", "as_fraction"]

_SHORT = 65_535  # what 16 bits hold


class Clock:
    """Turns durations in ms into whole units, one after the other.

    unit: ms. least: units of a frame that has any time, where it has to be rounded. most: that fit into the format.
    is_exact: whether all have come out as they were.
    """

    def __init__(self, unit: int, least: int, most: int) -> None:
        self._unit, self._least, self._most = unit, least, most
        self._owed = Fraction(0)
        self.is_exact = True

    def units(self, duration: Fraction) -> int:
        exact = duration / self._unit
        if exact.denominator == 1 and exact <= self._most:
            return int(exact)
        self.is_exact = False
        wanted = exact + self._owed
        given = min(self._most, max(self._least, int(wanted + Fraction(1, 2))))
        self._owed = wanted - given
        return given


def as_fraction(duration: Fraction) -> tuple[int, int]:
    """Numerator and denominator, both of 16 bits, of the seconds in ``duration`` (ms): exact where there are any."""
    seconds = duration / 1000
    if max(seconds.numerator, seconds.denominator) <= _SHORT:
        return seconds.numerator, seconds.denominator
    if seconds >= _SHORT:
        return _SHORT, 1
    denominator = max(1, min(_SHORT, int(_SHORT / seconds))) if seconds else 1
    near = seconds.limit_denominator(denominator)
    return (near.numerator, near.denominator) if near.numerator <= _SHORT else (_SHORT, denominator)
