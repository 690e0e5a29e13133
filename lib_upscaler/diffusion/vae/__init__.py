"""The VAE in bands: a picture encoded or a latent decoded that does not fit into memory as a whole.

``reading`` says which module tree (``tree``) it is, ``graph`` reads it as a chain of values; ``costs``, ``schedule``,
``regions``, ``keeping`` and ``forecasts`` decide what is kept, computed again or sampled; ``passes`` carries that
out on a ``state``, with ``windows`` (any part of any value, by ``arithmetic``), ``planes``, ``statistics``,
``attention`` and ``samples``; ``coding`` is the whole job.
"""

from .coding import Coded, decode, encode
from .forecasts import EXACT_FACTOR, Forecast, Means, forecast
from .reading import recognise, recognise_decoder
from .tree import VaeTree

__all__ = [
    "EXACT_FACTOR",
    "Coded",
    "Forecast",
    "Means",
    "VaeTree",
    "decode",
    "encode",
    "forecast",
    "recognise",
    "recognise_decoder",
]
