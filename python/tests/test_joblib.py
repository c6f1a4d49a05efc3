"""joblib.Parallel over a Treadle server."""

import pytest

joblib = pytest.importorskip("joblib", reason="python3-joblib is not installed")
numpy = pytest.importorskip("numpy", reason="python3-numpy is not installed")

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


# ---- as scikit-learn uses it: cross-validation of estimators, whose scores come in the order of the candidates


class Ridge:
    """An estimator of the user's own, with scikit-learn's methods; it travels by value."""

    fitted = 0  # in this process

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def get_params(self, deep=True):
        return {"alpha": self.alpha}

    def fit(self, x, y):
        type(self).fitted += 1
        self.weights = numpy.linalg.solve(x.T @ x + self.alpha * numpy.eye(x.shape[1]), x.T @ y)
        return self

    def score(self, x, y):
        return 1 - ((y - x @ self.weights) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def fit_and_score(estimator, x, y, train, test):
    fitted = estimator.fit(x[train], y[train])
    return fitted.score(x[test], y[test]), fitted


def folds(count, parts):
    every = numpy.arange(count)
    return [(every[every % parts != part], every[every % parts == part]) for part in range(parts)]


def problem(rows):
    made = numpy.random.default_rng(7)
    x = made.normal(size=(rows, 5))
    return x, x @ numpy.array([3.0, -2.0, 0.0, 1.0, 4.0]) + made.normal(scale=0.1, size=rows)


def grid_search(alphas, x, y):
    calls = [(Ridge(alpha), fold) for alpha in alphas for fold in folds(len(x), 5)]
    return joblib.Parallel(n_jobs=2)(joblib.delayed(fit_and_score)(one, x, y, *fold) for one, fold in calls)


def test_grid_search(url):
    """Arrays of 2 MB and fitted estimators travel; the scores are those of this process, and nothing was fitted here."""
    treadle.joblib.register()
    x, y = problem(50_000)
    with joblib.parallel_config(backend="treadle", client=url) if hasattr(joblib, "parallel_config") else joblib.parallel_backend("treadle", client=url):
        remote = grid_search([0.01, 1.0, 1e6], x, y)
    assert Ridge.fitted == 0 and len(remote) == 15
    with joblib.parallel_backend("threading"):
        local = grid_search([0.01, 1.0, 1e6], x, y)
    assert Ridge.fitted == 15
    for (far, fitted), (near, _) in zip(remote, local):
        assert type(fitted) is Ridge and abs(far - near) < 1e-9
    assert [round(float(score), 2) for score, _ in remote[::5]] == [1.0, 1.0, round(float(local[10][0]), 2)] and local[10][0] < 0.5


def test_batches_that_joblib_makes_itself(url):
    """Short calls are joined by joblib, as it sees how long they take; each has its own result."""
    treadle.joblib.register()
    with treadle.Client(url) as client:
        before = sum(1 for _ in client.tasks())
        with joblib.parallel_backend("treadle", n_jobs=2, client=client):
            assert joblib.Parallel(batch_size="auto")(joblib.delayed(abs)(-n) for n in range(3000)) == list(range(3000))
        tasks = sum(1 for _ in client.tasks()) - before
    assert 0 < tasks < 1500


def test_a_parallel_inside_a_task_is_sequential(url):
    """Slots that wait for tasks which need slots would wait for ever."""
    treadle.joblib.register()

    def outer(n):
        return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(n, k) for k in range(4)))

    with joblib.parallel_backend("treadle", n_jobs=2, client=url):
        assert joblib.Parallel()(joblib.delayed(outer)(n) for n in range(6)) == [sum(n**k for k in range(4)) for n in range(6)]
