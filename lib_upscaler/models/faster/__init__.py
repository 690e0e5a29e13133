"""The same numbers sooner: parts of a network whose operations can be put together otherwise.

``structure`` finds them in the module tree: dense blocks (RRDB), convolutions with what surrounds them, and the blocks
of networks of attention (``swin``, ``swin2``, ``hat``, ``dat``). ``weights`` lays their weights out anew. ``onednn``
(CPU) and ``jit`` (CUDA) do several operations in one, ``attention`` keeps what it needs in the processor's cache (CPU);
``forwards`` puts that in the place of the modules' own forward for the time of a run. ``checking`` compares it with the
modules themselves: what gives other numbers is left as it is.
"""

from .checking import Checked, sound_parts
from .forwards import Faster, faster_for, is_possible
from .structure import Chain, DenseBlock, Parts, is_attention, parts_of

__all__ = [
    "Chain",
    "Checked",
    "DenseBlock",
    "Faster",
    "Parts",
    "faster_for",
    "is_attention",
    "is_possible",
    "parts_of",
    "sound_parts",
]
