"""joblib.Parallel over a Treadle server."""

import pytest

joblib = pytest.importorskip("joblib", reason="python3-joblib is not installed")

import treadle.joblib  # noqa: E402


def fail(n):
    raise LookupError(n)


def test_parallel(url):
    treadle.joblib.register()
    with joblib.parallel_backend("treadle", n_jobs=2, client=url):
        assert joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(200)) == [n * n for n in range(200)]
        assert joblib.Parallel(batch_size=16)(joblib.delayed(abs)(-n) for n in range(40)) == list(range(40))
        with pytest.raises(LookupError):
            joblib.Parallel()(joblib.delayed(fail)(n) for n in range(4))


def test_every_slot_is_a_job(url):
    assert treadle.joblib.TreadleBackend(client=url).effective_n_jobs(-1) == 2
    assert treadle.joblib.TreadleBackend(client=url).effective_n_jobs(3) == 3
    with pytest.raises(ValueError):
        treadle.joblib.TreadleBackend(client=url).effective_n_jobs(0)
