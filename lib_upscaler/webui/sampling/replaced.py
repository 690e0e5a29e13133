"""A method of one object of the WebUI, replaced for a while."""

from __future__ import annotations

from typing import Any

__all__ = ["Replaced"]


class Replaced:
    """A method of one object replaced by another function, until ``restore``. plain: what was there."""

    def __init__(self, owner: Any, name: str, function: Any) -> None:
        self._owner, self._name = owner, name
        self._own = vars(owner).get(name)  # of another extension, where there is one
        self.plain = getattr(owner, name)

        def replaced(*arguments: Any, **named: Any) -> Any:
            return (function if self._active else self.plain)(*arguments, **named)

        self._active, self._replaced = True, replaced
        setattr(owner, name, replaced)

    def restore(self) -> None:
        """What was there comes back; where another has put itself in front since, ours only passes on."""
        self._active = False
        if vars(self._owner).get(self._name) is not self._replaced:
            return
        if self._own is None:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._own)
