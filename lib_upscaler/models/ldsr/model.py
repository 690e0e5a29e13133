"""A file of LDSR as one of the library's models: what is known of it, and the networks with their card."""

from __future__ import annotations

from ..card import ModelCard
from ..entry import ModelEntry
from ..weights import Origin
from .cost import decoder_work, unet_work
from .file import card_of_layout, ldsr_card, load_ldsr, recognise
from .layout import LdsrLayout
from .network import LdsrNetwork

__all__ = ["KnownLdsr", "LdsrModel", "describe_ldsr", "load_ldsr_model"]


class KnownLdsr:
    """What can be said without reading the weights."""

    facts = None
    """It is no network of one pass."""

    def __init__(self, card: ModelCard, layout: LdsrLayout) -> None:
        self.card, self.layout = card, layout

    @property
    def name(self) -> str:
        return self.card.name

    def work_per_pixel(self, steps: int) -> float:
        """Multiply-accumulates per px of the source, about: for progress, before the tiles are known."""
        side = 64
        once = unet_work(self.layout.unet, side, side) * steps + decoder_work(self.layout.decoder, side, side)
        return once / side**2


class LdsrModel(KnownLdsr):
    """Loaded. The float32 weights stay on the CPU; copies elsewhere are dropped by ``release``."""

    def __init__(self, card: ModelCard, network: LdsrNetwork) -> None:
        super().__init__(card, network.layout)
        self.network = network
        self.load_seconds = 0.0

    @property
    def weights_bytes(self) -> int:
        return self.network.weights_bytes

    def release(self) -> None:
        self.network.release()


def describe_ldsr(entry: ModelEntry) -> KnownLdsr | None:
    """From the file's directory; None where the file is of something else. Raises the errors of ``recognise``."""
    layout = recognise(entry.path)
    if layout is None:
        return None
    card = ldsr_card(entry.path, name=entry.name)
    assert card is not None  # it was recognised
    return KnownLdsr(card, layout)


def load_ldsr_model(entry: ModelEntry) -> LdsrModel:
    """Raises the errors of ``load_ldsr``."""
    origin: Origin
    network, origin = load_ldsr(entry.path)
    return LdsrModel(card_of_layout(entry, network.layout, origin=origin), network)
