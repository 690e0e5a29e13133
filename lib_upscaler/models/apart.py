"""Imports packages from a folder under private names, apart from packages of the same names that are there already.

The packages' own files name each other absolutely (``from spandrel.util import ...``), which would lead into the other
copy. So the loader changes these names, wherever in a file they stand, as it compiles it. ``sys.path`` and the other
copy in ``sys.modules`` are not touched, at no moment: other threads go on importing it as ever.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

__all__ = ["PREFIX", "forget", "make_importable"]

PREFIX = "_truescale_"
"""Before the packages' names."""

_COMPILED = ".truescale1.pyc"
"""Ends the names of compiled files: the usual ones are for the names unchanged. Count up when the change changes."""


def make_importable(folder: Path, packages: Sequence[str]) -> None:
    """From now on ``import _truescale_NAME`` takes the package NAME from the folder. Made anew for another folder."""
    forget(packages)
    sys.meta_path.insert(0, _Finder(folder, packages))


def forget(packages: Sequence[str]) -> None:
    """Undo ``make_importable``, and drop what was imported by it."""
    sys.meta_path[:] = [one for one in sys.meta_path if not _finds(one, packages)]
    tops = {PREFIX + package for package in packages}
    for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[name]


def _finds(finder: Any, packages: Sequence[str]) -> bool:
    """Whether it is one of ours. By name: where this module was loaded anew, an older finder is of another class."""
    kind = type(finder)
    is_ours = (kind.__module__, kind.__qualname__) == (__name__, _Finder.__qualname__)
    return is_ours and not finder.names.keys().isdisjoint(packages)


class _Finder(MetaPathFinder):
    """names: public name of a package -> private one."""

    def __init__(self, folder: Path, packages: Sequence[str]) -> None:
        self.folder = os.path.abspath(folder)
        self.names = {package: PREFIX + package for package in packages}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, *inner = fullname.split(".")
        package = top[len(PREFIX) :]
        if self.names.get(package) != top:
            return None
        place = os.path.join(self.folder, package, *inner)
        for file, folders in ((os.path.join(place, "__init__.py"), [place]), (f"{place}.py", None)):
            if os.path.isfile(file):
                loader = _Loader(fullname, file, self.names)
                return spec_from_file_location(fullname, file, loader=loader, submodule_search_locations=folders)
        if not os.path.isdir(place):
            return None
        namespace = ModuleSpec(fullname, None, is_package=True)  # a folder without an __init__.py
        namespace.submodule_search_locations = [place]
        return namespace


class _Loader(SourceFileLoader):
    """Compiles a file with the private names in place of the public ones."""

    def __init__(self, fullname: str, path: str, names: Mapping[str, str]) -> None:
        super().__init__(fullname, path)
        self._names = names

    def source_to_code(self, data: Any, path: Any, **options: Any) -> CodeType:  # type: ignore[override]
        tree = _Renamed(self._names).visit(ast.parse(data, path))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)

    def get_data(self, path: str) -> bytes:  # type: ignore[override]
        return super().get_data(_own(path))

    def set_data(self, path: str, data: Any, **options: Any) -> None:  # type: ignore[override]
        super().set_data(_own(path), data, **options)


def _own(path: str) -> str:
    return path[: -len(".pyc")] + _COMPILED if path.endswith(".pyc") else path


class _Renamed(ast.NodeTransformer):
    """Import statements lead to the private names; what they bind keeps the public one."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.level == 0 and node.module:
            node.module = self._private(node.module)
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import:
        found: list[ast.alias] = []
        for alias in node.names:
            top = alias.name.partition(".")[0]
            if top not in self._names:
                found.append(alias)
                continue
            if alias.name != top:
                found.append(ast.alias(self._private(alias.name), alias.asname))
            if alias.name == top or alias.asname is None:  # "import a.b" binds "a"
                found.append(ast.alias(self._names[top], alias.asname or top))
        node.names = found
        return node

    def _private(self, name: str) -> str:
        top, dot, inner = name.partition(".")
        return self._names.get(top, top) + dot + inner
