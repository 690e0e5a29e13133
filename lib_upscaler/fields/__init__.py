"""What can be asked for, wherever it is asked: ``table`` lists it, ``asking`` makes requests of it. Without torch."""

from .asking import as_request, in_sequence, size_of, ways_given
from .field import BY_SETTINGS, ENGINES, GIGABYTE, NO_UPSCALER, SECOND_PASSES, WAYS, At, Field, Place
from .table import by_key, checked, default_of, fields_of

__all__ = [
    "BY_SETTINGS",
    "ENGINES",
    "GIGABYTE",
    "NO_UPSCALER",
    "SECOND_PASSES",
    "WAYS",
    "At",
    "Field",
    "Place",
    "as_request",
    "by_key",
    "checked",
    "default_of",
    "fields_of",
    "in_sequence",
    "size_of",
    "ways_given",
]
