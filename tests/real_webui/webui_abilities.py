"""What a WebUI has and what it lacks, read in its own files: no test asks for its name or its version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

__all__ = ["Abilities"]

_FILES_OF_FLAGS = (
    *("modules/cmd_args.py", "modules/paths_internal.py"),
    *("backend/args.py", "ldm_patched/modules/args_parser.py"),  # of Forge and its kin, later and earlier ones
)
_CPU = (("--always-cpu",), ("--cpu",), ("--use-cpu", "all"))


@dataclass(frozen=True)
class Abilities:
    """folder: of the WebUI."""

    folder: Path

    def needs(self, ability: str) -> None:
        """Skip the test, in words, where the WebUI lacks it. ability: the name of a property here."""
        if not getattr(self, ability):
            pytest.skip(f"this WebUI {_LACKING[ability]}")

    # -- the command line ----------------------------------------------------------------------------------------------

    @cached_property
    def flags(self) -> frozenset[str]:
        """That its command line knows; it ends at one that it does not."""
        return frozenset(re.findall(r"""["'](--[a-z][a-z0-9-]*)["']""", "\n".join(map(self._text, _FILES_OF_FLAGS))))

    def known(self, flags: Iterable[str]) -> list[str]:
        """Those of them that it knows."""
        return [flag for flag in flags if flag in self.flags]

    @property
    def on_the_processor(self) -> list[str]:
        """What makes it run without a GPU."""
        return list(next((words for words in _CPU if words[0] in self.flags), ()))

    @property
    def models_dir(self) -> bool:
        return "--models-dir" in self.flags

    @cached_property
    def settings_at_start(self) -> dict[str, str]:
        """Without them it takes its settings for those of an older version, and asks at the console."""
        stamp = re.search(r'^VERSION_UID.*= "(\w+)"', self._text("modules/launch_utils.py"), re.M)
        return {"VERSION_UID": stamp.group(1)} if stamp else {}

    # -- what it does --------------------------------------------------------------------------------------------------

    @cached_property
    def is_forge(self) -> bool:
        return (self.folder / "modules_forge").is_dir()

    @cached_property
    def loads_at_start(self) -> bool:
        """The checkpoint, rather than for the first picture."""
        return "Thread(target=load_model)" in self._text("modules/initialize.py")

    @cached_property
    def lists_safetensors(self) -> bool:
        """Among its own upscalers."""
        return ".safetensors" in self._text("modules/esrgan_model.py")

    @cached_property
    def upscaling_as_accordion(self) -> bool:
        """Upscaling in the Extras can be switched off as a whole."""
        return "InputAccordion" in self._text("scripts/postprocessing_upscale.py")

    @cached_property
    def progress_in_extras(self) -> bool:
        """A bar and a live preview while a picture of the Extras is made."""
        return "function submit_extras" in self._text("javascript/ui.js")

    @cached_property
    def interrupt_in_extras(self) -> bool:
        """A button for it."""
        return "Toprow" in self._text("modules/ui_postprocessing.py")

    @cached_property
    def hands_over_transparency(self) -> bool:
        """To the steps of the Extras."""
        return "RGBA" in self._text("modules/postprocessing.py")

    @cached_property
    def infotext_per_picture(self) -> bool:
        """A value of the infotext may differ between the pictures of one job."""
        return "isinstance(value, list)" in self._text("modules/processing.py")

    @cached_property
    def leaves_pictures_out(self) -> bool:
        """A step of the Extras can say that a picture is not to be saved, and the others of a batch go on."""
        return "state.skipped" in self._text("modules/postprocessing.py")

    @cached_property
    def step_of_sizes(self) -> int | None:
        """px to which it rounds the sizes of Hires Fix; None where it cuts them to multiples of 8."""
        found = re.search(r'"res_step": OptionInfo\((\d+)', self._text("modules/shared_options.py"))
        return int(found.group(1)) if found else None

    @cached_property
    def step_after_generating(self) -> bool:
        """Steps of the Extras can be had in txt2img."""
        return "postprocessing_enable_in_main_ui" in self._text("modules/shared_options.py")

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


_LACKING = {
    "models_dir": "has no --models-dir",
    "upscaling_as_accordion": "has no accordion to switch upscaling off in the Extras",
    "progress_in_extras": "shows no progress in the Extras",
    "interrupt_in_extras": "has no button to interrupt in the Extras",
    "infotext_per_picture": "writes the same infotext for all pictures of a job",
    "leaves_pictures_out": "ends a whole batch where one picture fails",
    "step_after_generating": "has no steps of the Extras in txt2img",
    "loads_at_start": "loads the checkpoint for the first picture",
}
