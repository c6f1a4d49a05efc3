"""What is sent and what comes back, as bytes: functions by value where workers cannot import them, and clear errors."""

from __future__ import annotations

import io
import os
import pickle
import sys
import sysconfig
import threading
import types
import weakref
from typing import Any, Callable

import cloudpickle  # type: ignore[import-untyped,unused-ignore]

from .errors import NotPicklable

_PROTOCOL = min(5, pickle.HIGHEST_PROTOCOL)
_STACK_GLOBAL = b"\x93"  # the opcode by which protocol 4 and 5 name a class or function
# A string that is pushed and popped at the begin of a function's pickle. It tells executors that whoever sent it has cloudpickle,
# and takes exceptions as they are (docs/decisions/0005-failure-object.md).
_MARK = b"\x8c\x0etreadle-client0"

_lock = threading.Lock()  # guards cloudpickle's table of modules during a dump, and the two sets
_by_value: set[str] = set()
_by_reference: set[str] = {"treadle", "cloudpickle", "dill"}
_own: dict[str, bool] = {}  # top-level package: whether it is the user's own


def pickle_by_value(module: types.ModuleType | str) -> None:
    """Functions and classes of this module (and of its submodules) travel by value, although it looks installed."""
    with _lock:
        _by_value.add(_name(module))
        _by_reference.discard(_name(module))


def pickle_by_reference(module: types.ModuleType | str) -> None:
    """Functions and classes of this module travel by name: workers can import it (`treadle serve --path DIR`)."""
    with _lock:
        _by_reference.add(_name(module))
        _by_value.discard(_name(module))


def _name(module: types.ModuleType | str) -> str:
    return module if isinstance(module, str) else module.__name__


def _places() -> list[str]:
    """Where installed modules lie: the standard library and what pip or Debian put beside it."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return [os.path.realpath(path) + os.sep for path in paths if path]


def _installed(path: str) -> bool:
    """A file in such a place, or in one that pip install --target made, which holds .dist-info folders."""
    real = os.path.realpath(path)
    parts = real.split(os.sep)
    if "site-packages" in parts or "dist-packages" in parts or any(real.startswith(place) for place in _places()):
        return True
    folder = os.path.dirname(real)
    if os.path.basename(real) == "__init__.py":
        folder = os.path.dirname(folder)
    return any(name.endswith(".dist-info") for name in os.listdir(folder))


def _chosen(name: str) -> bool | None:
    """What the user said of the module or the nearest of its packages."""
    while name:
        if name in _by_reference:
            return False
        if name in _by_value:
            return True
        name = name.rpartition(".")[0]
    return None


def _is_own(name: str) -> bool:
    """Whether a module lies where the user writes code, so that no worker is sure to have it."""
    chosen = _chosen(name)
    if chosen is not None:
        return chosen
    top = name.partition(".")[0]
    if top not in _own:
        module = sys.modules.get(top)
        path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
        _own[top] = path is not None and os.path.exists(path) and not _installed(path)
    return _own[top]


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """cloudpickle's, to which the user's own modules are made known as they are met."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file, protocol=_PROTOCOL)
        self.made_known: list[types.ModuleType] = []

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is types.FunctionType or issubclass(kind, type):
            self._meet(getattr(obj, "__module__", None))
        elif kind is types.ModuleType:
            self._meet(obj.__name__)
        return super().reducer_override(obj)

    def _meet(self, name: str | None) -> None:
        if not name or name == "__main__" or not _is_own(name):
            return
        module = sys.modules.get(name)
        if module is not None and name not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            self.made_known.append(module)


def _dumps(obj: Any) -> bytes:
    with _lock:
        file = io.BytesIO()
        pickler = _Pickler(file)
        try:
            pickler.dump(obj)
        finally:
            for module in pickler.made_known:
                cloudpickle.unregister_pickle_by_value(module)
        return file.getvalue()


def dumps_function(fn: Callable[..., Any]) -> bytes:
    """The pickle of something that can be called. NotPicklable: what it holds cannot be sent, and which part."""
    try:
        data = _dumps(fn)
    except Exception as error:
        raise NotPicklable(_why_not(fn, error)) from error
    return data[:2] + _MARK + data[2:]  # behind the opcode that names the protocol


def dumps_call(args: tuple[Any, ...], kwargs: dict[str, Any], name: str = "the function") -> bytes:
    """The pickle of the arguments of one call."""
    try:
        data = pickle.dumps((args, kwargs), _PROTOCOL)
        if _STACK_GLOBAL not in data:
            return data
    except Exception:
        pass  # the other pickler can more, and its error is the one to tell
    try:
        return _dumps((args, kwargs))
    except Exception as error:
        raise NotPicklable(_why_no_call(args, kwargs, name, error)) from error


_STATE_OF_CLASS = "_class_setstate"  # what cloudpickle calls for a class that comes by value, once there is one of that name
_from_elsewhere: weakref.WeakSet[type] = weakref.WeakSet()  # classes that came in a pickle, and were not made by this process


class _Unpickler(pickle.Unpickler):
    """Leaves the classes of this process as they are.

    A result brings the class of its objects with it. cloudpickle finds out that it is one of ours, and would then give it the
    attributes and methods that it had at the worker, whose globals are not those of our module any more.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module.startswith("cloudpickle."):
            if name.startswith("_make_skeleton_"):
                return lambda *args: _made(found, args)
            if name == _STATE_OF_CLASS:
                return lambda cls, state: found(cls, state) if cls in _from_elsewhere else cls
        return found


def _is_tracked(arg: Any) -> bool:
    """Whether it is the id under which cloudpickle knows a class."""
    return isinstance(arg, str) and arg in cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID


def _made(make: Callable[..., type], args: tuple[Any, ...]) -> type:
    ours = any(_is_tracked(arg) for arg in args)  # asked first: it is tracked as soon as it is made
    cls = make(*args)
    if not ours:
        _from_elsewhere.add(cls)
    return cls


def loads(data: bytes) -> Any:
    """The object in a result. What names `__main__` can be read by dill only, if it is here."""
    try:
        return _Unpickler(io.BytesIO(data)).load() if _STATE_OF_CLASS.encode() in data else pickle.loads(data)
    except Exception:
        try:
            import dill  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            dill = None
        if dill is None:
            raise
        return dill.loads(data)


# ---- what cannot be sent -------------------------------------------------------------------------------------------


def _sendable(obj: Any) -> bool:
    try:
        _dumps(obj)
    except Exception:
        return False
    return True


def _why_no_call(args: tuple[Any, ...], kwargs: dict[str, Any], name: str, error: Exception) -> str:
    named = [(f"argument {i}", value) for i, value in enumerate(args)]
    named += [(f"argument {key!r}", value) for key, value in kwargs.items()]
    for where, value in named:
        if not _sendable(value):
            return (
                f"{where} of {name}, a {type(value).__name__}, cannot be sent to a worker: {error}. "
                "Send the data that it is made of, and make it inside the function"
            )
    return f"the arguments of {name} cannot be sent to a worker: {error}"


def _parts(fn: Callable[..., Any]) -> list[tuple[str, Any]]:
    """What a function takes with it: what it closes over, its globals, its defaults; or the object of a method."""
    inner = getattr(fn, "__func__", fn)
    parts: list[tuple[str, Any]] = []
    if getattr(fn, "__self__", None) is not None:
        parts.append((f"the {type(fn.__self__).__name__} that it is a method of", fn.__self__))  # type: ignore[attr-defined]
    code = getattr(inner, "__code__", None)
    if code is None:
        return parts
    for name, cell in zip(code.co_freevars, inner.__closure__ or ()):
        try:
            parts.append((f"the variable {name!r} around it", cell.cell_contents))
        except ValueError:
            pass  # not bound yet
    names = set(code.co_names)
    parts += [(f"the global {name!r}", value) for name, value in inner.__globals__.items() if name in names]
    parts += [("a default value", value) for value in inner.__defaults__ or ()]
    return parts


def _why_not(fn: Callable[..., Any], error: Exception) -> str:
    name = getattr(fn, "__qualname__", type(fn).__name__)
    for where, value in _parts(fn):
        if value is not fn and not _sendable(value):
            return (
                f"{name} cannot be sent to a worker: it uses {where}, a {type(value).__name__} ({error}). "
                "Make it inside the function, or pass what it is made of as an argument"
            )
    return f"{name} cannot be sent to a worker: {error}"
