"""scikit-learn's classifiers, CatBoost and an explainable boosting machine with their default
settings; whatever a pipeline learns it learns from the training rows."""

from collections.abc import Callable
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from benches.accuracy.candidates import Candidate, Predict
from benches.accuracy.shipped import Rows

LOGISTIC_REGRESSION, RANDOM_FOREST, GAUSSIAN_PROCESS = (
    "logistic regression",
    "random forest",
    "Gaussian process",
)
BOOSTING, CATBOOST, EXPLAINABLE = (
    "histogram gradient boosting",
    "CatBoost",
    "explainable boosting machine",
)


def peers() -> list[Candidate]:
    """All of them, as the tables list them."""
    return [
        _fixed(
            LOGISTIC_REGRESSION,
            "standardised, LogisticRegression()",
            lambda: _scaled(LogisticRegression()),
        ),
        _fixed(
            "LDA",
            "standardised, LinearDiscriminantAnalysis()",
            lambda: _scaled(LinearDiscriminantAnalysis()),
        ),
        _fixed(
            "SVM",
            "standardised, SVC() (RBF kernel) with Platt's calibration: "
            "CalibratedClassifierCV(ensemble=False)",
            lambda: _scaled(CalibratedClassifierCV(SVC(), ensemble=False)),
        ),
        _seeded(
            RANDOM_FOREST,
            "RandomForestClassifier()",
            lambda seed: make_pipeline(
                SimpleImputer(strategy="median"), RandomForestClassifier(random_state=seed)
            ),
        ),
        _seeded(
            BOOSTING,
            "HistGradientBoostingClassifier()",
            lambda seed: HistGradientBoostingClassifier(random_state=seed),
        ),
        _seeded(CATBOOST, "CatBoostClassifier()", _catboost),
        explainable_boosting(),
        _fixed(
            GAUSSIAN_PROCESS,
            "standardised, GaussianProcessClassifier(ConstantKernel() * RBF()), both fitted by "
            "marginal likelihood",
            lambda: _scaled(GaussianProcessClassifier(ConstantKernel() * RBF())),
            most_shuffles=3,
        ),
        _fixed(
            "kNN",
            "standardised, KNeighborsClassifier() (5 neighbours)",
            lambda: _scaled(KNeighborsClassifier()),
        ),
    ]


# Both from locks/bench.txt, which tests do without.
def _catboost(seed: int) -> Any:
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False
    )


def explainable_boosting(**settings: Any) -> Candidate:
    """With its default settings but for these."""

    def make(seed: int) -> Any:
        from interpret.glassbox import ExplainableBoostingClassifier

        return ExplainableBoostingClassifier(random_state=seed, n_jobs=1, **settings)

    told = ", ".join(f"{name}={value}" for name, value in settings.items())
    return _seeded(EXPLAINABLE, f"ExplainableBoostingClassifier({told})", make, most_shuffles=1)


def _scaled(classifier: Any) -> Any:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), classifier)


def _fixed(
    name: str, settings: str, make: Callable[[], Any], most_shuffles: int | None = None
) -> Candidate:
    return Candidate(
        name,
        settings,
        lambda rows, _seed: _fit(make(), rows),
        is_seeded=False,
        most_shuffles=most_shuffles,
    )


def _seeded(
    name: str, settings: str, make: Callable[[int], Any], most_shuffles: int | None = None
) -> Candidate:
    return Candidate(
        name, settings, lambda rows, seed: _fit(make(seed), rows), most_shuffles=most_shuffles
    )


def _fit(classifier: Any, rows: Rows) -> Predict:
    # On matrices as small as these a second thread makes the fits slower, a Gaussian process's many
    # times.
    with threadpool_limits(1):
        classifier.fit(rows.features, rows.outcomes)

    def predict(others: Rows) -> Any:
        with threadpool_limits(1):
            return classifier.predict_proba(others.features)[:, 1]

    return predict
