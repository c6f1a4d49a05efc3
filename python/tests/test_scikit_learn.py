"""scikit-learn itself over a Treadle server.

Only where it is: Debian 12's package excludes the Boost that Treadle is built with, so ./dev does not install it. For a run with it:
a virtual environment with --system-site-packages and `pip install 'scikit-learn<1.5' 'numpy<2'`, whose Python runs this file.
test_joblib.py has the same use with an estimator of its own.
"""

import pytest

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")
import joblib  # noqa: E402  scikit-learn needs it
import numpy  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import Ridge  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402

import treadle.joblib  # noqa: E402


@pytest.fixture
def treadle_jobs(url):
    treadle.joblib.register()
    with joblib.parallel_backend("treadle", n_jobs=2, client=url):
        yield


@pytest.fixture
def problem():
    made = numpy.random.default_rng(7)
    x = made.normal(size=(1000, 5))
    return x, x @ numpy.array([3.0, -2.0, 0.0, 1.0, 4.0]) + made.normal(scale=0.1, size=1000)


def test_grid_search(treadle_jobs, problem, client):
    before = sum(1 for _ in client.tasks())
    search = GridSearchCV(Ridge(), {"alpha": [0.01, 1.0, 1e6]}, cv=5).fit(*problem)
    assert search.best_params_["alpha"] in (0.01, 1.0) and search.best_score_ > 0.99
    assert sum(1 for _ in client.tasks()) > before, "it ran at the server"
    with joblib.parallel_backend("threading"):
        local = GridSearchCV(Ridge(), {"alpha": [0.01, 1.0, 1e6]}, cv=5).fit(*problem)
    assert numpy.allclose(search.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"])


def test_cross_validation_of_a_forest(treadle_jobs, problem):
    """Its own Parallel is inside of a task then, and runs there in turn."""
    x, y = problem
    forest = RandomForestClassifier(n_estimators=10, random_state=3)
    scores = cross_val_score(forest, x, y > 0, cv=4, n_jobs=2)
    with joblib.parallel_backend("threading"):
        assert numpy.allclose(scores, cross_val_score(forest, x, y > 0, cv=4)) and scores.min() > 0.8
