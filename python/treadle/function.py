"""Function: something to call remotely, with options; made by @treadle.function, Client.register or Client.function."""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, Any, Callable, Generic, Iterator, TypeVar, overload

if TYPE_CHECKING:
    from .client import Client
    from .futures import Future

R = TypeVar("R")

# Of docs/api.md: what the server knows as options, and what belongs to a call beside them.
_OPTIONS = (
    *("delivery", "max_attempts", "time_limit", "retries", "retry_delay", "retry_on", "retry_backoff", "retry_max_delay"),
    *("priority", "queue", "labels", "concurrency_key", "max_concurrent", "retention", "isolation"),
    *("memory_limit", "cpu_limit", "file_limit", "process_limit", "output_limit", "result_limit"),
    *("env", "secrets", "requirements"),
)
_OF_CALL = ("delay", "queue_ttl", "expires_in", "deadline", "group")


def check_options(options: dict[str, Any]) -> dict[str, Any]:
    """The same options, if there are such. TypeError names the nearest that there is."""
    for name in options:
        if name not in _OPTIONS and name not in _OF_CALL:
            import difflib

            near = difflib.get_close_matches(name, _OPTIONS + _OF_CALL, 1)
            hint = f"did you mean {near[0]!r}?" if near else "there are: " + ", ".join(_OPTIONS + _OF_CALL)
            raise TypeError(f"there is no option {name!r}; {hint}")
    return options


def fields_of(options: dict[str, Any]) -> str:
    """The options as further fields of a call, in JSON."""
    inner = {name: value for name, value in options.items() if name in _OPTIONS}
    fields = {name: value for name, value in options.items() if name in _OF_CALL}
    if inner:
        fields["options"] = inner
    return "," + json.dumps(fields)[1:-1] if fields else ""


class Function(Generic[R]):
    """A function that can be called here, `f(2)`, and at a server, `f.call(2)`, `f.submit(2)`, `f.map([1, 2])`.

    Options hold for its remote calls; `f.options(priority=5)` is the same function with others. One made by a decorator is sent
    at its first remote call, to the default client (`treadle.default_client()`) unless it was given one. Inside a task it is the
    plain function.
    """

    def __init__(
        self,
        function_id: str | None = None,
        name: str | None = None,
        *,
        fn: Callable[..., R] | None = None,
        client: Client | None = None,
        options: dict[str, Any] | None = None,
    ):
        self._function_id = function_id
        self._fn = fn
        self._client = client
        self._options = check_options(options or {})
        self._fields = fields_of(self._options)
        self._registered: dict[str, str] = {}  # URL of a server: id there
        self.name = name or (name_of(fn) if fn is not None else "")
        if fn is not None:
            self.__doc__ = fn.__doc__
            self.__name__ = self.name
            self.__wrapped__ = fn
            self.__module__ = getattr(fn, "__module__", __name__)

    @property
    def client(self) -> Client:
        """Where its remote calls go."""
        if self._client is None:
            from .client import default_client

            return default_client()
        return self._client

    @property
    def function_id(self) -> str:
        """Its id at the server; registers it first if need be."""
        return self._id_at(self.client)

    def _id_at(self, client: Client) -> str:
        if self._function_id is not None:
            return self._function_id
        found = self._registered.get(client.url)
        if found is None:
            assert self._fn is not None
            found = self._registered[client.url] = client.register(self._fn, name=self.name).function_id
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Calls it here, in this process."""
        if self._fn is None:
            raise TypeError(f"{self.name or self._function_id} is known by its id only: use .call(...), which runs it at the server")
        return self._fn(*args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Future[R]:
        """Queues one call at the server; see Client.submit."""
        return self.client.submit(self, *args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> R:
        """Runs it at the server and waits for the result."""
        return self.submit(*args, **kwargs).result()

    def map(self, *iterables: Any, **how: Any) -> Iterator[R]:
        """One call for each item; see Client.map."""
        return self.client.map(self, *iterables, **how)

    def options(self, **options: Any) -> Function[R]:
        """The same function with these options beside or instead of its own (docs/api.md lists them)."""
        other: Function[R] = Function(
            self._function_id, self.name, fn=self._fn, client=self._client, options={**self._options, **options}
        )
        other._registered = self._registered
        return other

    def __repr__(self) -> str:
        where = self._function_id or next(iter(self._registered.values()), "not sent yet")
        more = "".join(f" {name}={value!r}" for name, value in self._options.items())
        return f"<treadle.Function {self.name} {where}{more}>"

    def _repr_html_(self) -> str:
        return f"<code>{self!r}</code>".replace("<treadle", "&lt;treadle")

    def __reduce__(self) -> tuple[Any, ...]:
        if self._fn is not None:  # as the plain function, which needs nothing of ours where it arrives
            return operator.itemgetter(0), ((self._fn,),)
        return _by_id, (self._function_id, self.name, self._client, self._options)


def _by_id(function_id: str, name: str, client: Client | None, options: dict[str, Any]) -> Function[Any]:
    return Function(function_id, name, client=client, options=options)


def name_of(fn: Any) -> str:
    return getattr(fn, "__name__", None) or type(fn).__name__


@overload
def function(fn: Callable[..., R]) -> Function[R]: ...
@overload
def function(*, client: Client | None = None, name: str | None = None, **options: Any) -> Callable[[Callable[..., R]], Function[R]]: ...


def function(fn: Any = None, *, client: Client | None = None, name: str | None = None, **options: Any) -> Any:
    """Decorator: `@treadle.function` or `@treadle.function(retries=3, time_limit=60)`."""
    check_options(options)

    def decorate(fn: Callable[..., R]) -> Function[R]:
        return Function(name=name, fn=fn, client=client, options=options)

    return decorate if fn is None else decorate(fn)


def chunked(fn: Callable[..., R]) -> Callable[..., list[R]]:
    """A function for a list of argument tuples. It is nested so that it travels by value, without this package."""

    def run_chunk(*calls: tuple[Any, ...]) -> list[R]:
        return [fn(*args) for args in calls]

    run_chunk.__name__ = name_of(fn)
    return run_chunk
