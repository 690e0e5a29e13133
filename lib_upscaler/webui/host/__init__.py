"""All that touches the host: its modules, its progress, its settings page, who calls; nothing else of ``webui``."""

from .access import *  # noqa: F403 - ``host.option(...)`` and the like are what all others use
from .access import __all__  # noqa: F401
