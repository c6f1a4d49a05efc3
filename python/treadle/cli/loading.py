"""Functions named on the command line: FILE.py::NAME, or the name or id of one that the server has."""

from __future__ import annotations

import difflib
import importlib.util
import pathlib
import sys
import uuid
from typing import Any
from urllib.parse import quote

from ..client import Client
from ..function import Function
from .output import Usage


def is_file(name: str) -> bool:
    return "::" in name


def from_file(name: str) -> Any:
    """The function of FILE.py::NAME. The file runs as a module of its own name, with its folder first in sys.path."""
    file, _, function = name.partition("::")
    path = pathlib.Path(file).resolve()
    if not path.is_file():
        raise Usage(f"there is no file {file}; name a function as FILE.py::NAME")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Usage(f"{file} is not a Python file; name a function as FILE.py::NAME")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    found = getattr(module, function, None)
    if callable(found):
        return found
    names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    near = difflib.get_close_matches(function, names, 1)
    raise Usage(f"{file} has no function {function!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def at_server(client: Client, name: str) -> Function[Any]:
    """The newest function of a name, or the one of an id."""
    return client.function(newest(client, name)["function_id"])


def newest(client: Client, name: str) -> dict[str, Any]:
    """What the server tells of it."""
    if _is_id(name):
        return client._transport.call("GET", f"/v1/functions/{name}")  # type: ignore[no-any-return]
    rows = client._transport.call("GET", at_name(name, "versions?limit=1"))["functions"]
    return client._transport.call("GET", f"/v1/functions/{rows[0]['function_id']}")  # type: ignore[no-any-return]


def at_name(name: str, what: str) -> str:
    """A path below a function's name or id."""
    return f"/v1/functions/{quote(name, safe='')}/{what}"


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name.lower()
    except ValueError:
        return False
