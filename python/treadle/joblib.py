"""A backend for joblib: `import treadle.joblib; treadle.joblib.register()`, then `parallel_backend("treadle", n_jobs=-1)`."""

from __future__ import annotations

from typing import Any, Callable

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, register_parallel_backend  # type: ignore[import-untyped,import-not-found,unused-ignore]

from .client import Client, default_client

_SLOTS = 4  # of a server whose workers nobody has reported


class TreadleBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Sends joblib's batches as tasks. `client`: a Client or a URL; without one, treadle.default_client()."""

    supports_timeout = True
    uses_threads = False
    supports_sharedmem = False
    supports_retrieve_callback = False
    default_n_jobs = -1

    def __init__(self, client: Client | str | None = None, **how: Any):
        super().__init__(**how)
        self._client = Client(client) if isinstance(client, str) else client

    @property
    def client(self) -> Client:
        return self._client or default_client()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        return sum(worker["slots"] for worker in self.client.workers()) or _SLOTS

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Any:
        return self.apply_async(func, callback)

    def apply_async(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Any:
        future = self.client.submit(_run, func)
        future.get = future.result  # type: ignore[attr-defined]
        if callback is not None:
            future.add_done_callback(callback)
        self._futures = [one for one in getattr(self, "_futures", []) if not one.done()] + [future]
        return future

    def abort_everything(self, ensure_ready: bool = True) -> None:
        for future in getattr(self, "_futures", []):
            future.cancel()
        self._futures = []
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)


def _make_run() -> Callable[[Callable[[], Any]], Any]:
    def run_batch(func: Callable[[], Any]) -> Any:  # nested: it travels by value
        return func()

    return run_batch


_run = _make_run()


def register(name: str = "treadle") -> None:
    """Makes the backend known to joblib."""
    register_parallel_backend(name, TreadleBackend)
