"""All that touches the host: its modules, its progress, its settings page, who calls; nothing else of ``webui``."""

from __future__ import annotations

from .access import (
    command_option,
    data_folder,
    esrgan_folders,
    folder_opener,
    free_memory,
    hand_over_memory,
    log,
    module,
    option,
    plain_arithmetic,
    queue_lock,
    state,
    torch_device,
    upscalers,
    warn,
)

__all__ = [
    "command_option",
    "data_folder",
    "esrgan_folders",
    "folder_opener",
    "free_memory",
    "hand_over_memory",
    "log",
    "module",
    "option",
    "plain_arithmetic",
    "queue_lock",
    "state",
    "torch_device",
    "upscalers",
    "warn",
]
