"""Models of every kind that is compiled, with the data and the target that they are fitted on."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from compiled_support import mixed, numbers
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn import (
    calibration,
    compose,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_selection,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neural_network,
    svm,
    tree,
)
from sklearn import preprocessing as pre
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

CATEGORIES = ["job", "size"]
FRAMES = {"numbers": lambda: numbers(150), "mixed": lambda: mixed(150), "whole": lambda: mixed(150, missing=False)}
Case = tuple[Callable[[], Any], str, str]  # makes the model; data; target


def ignoring() -> Any:
    return pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def prepared(model: Any) -> Any:
    steps = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median", add_indicator=True), pre.StandardScaler()), ["a", "b", "c"]),
        ("texts", pre.OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        ("flag", "passthrough", ["flag"]),
    ]
    return Pipeline([("prepare", ColumnTransformer(steps)), ("model", model)])


def encoded(encoder: Any, model: Any, columns: Any = None, **options: Any) -> Any:
    steps = [("encode", encoder, columns or CATEGORIES)]
    return Pipeline([("prepare", ColumnTransformer(steps, remainder="passthrough", **options)), ("model", model)])


def scaled(model: Any) -> Any:
    return make_pipeline(pre.StandardScaler(), model)


def booster(kind: type = LGBMClassifier, **options: Any) -> Any:
    return kind(n_estimators=8, min_child_samples=5, verbose=-1, n_jobs=1, **options)


def logistic() -> Any:
    return LogisticRegression(max_iter=200)


def forest() -> Any:
    return ensemble.RandomForestClassifier(5, random_state=0)


ENCODERS: dict[str, Case] = {
    "ordinal": (lambda: encoded(ignoring(), booster()), "mixed", "binary"),
    "ordinal that refuses": (lambda: encoded(pre.OrdinalEncoder(), logistic()), "whole", "binary"),
    "ordinal, infrequent": (
        lambda: encoded(
            pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=32), booster()
        ),
        "mixed",
        "binary",
    ),
    "one-hot, infrequent": (
        lambda: encoded(
            pre.OneHotEncoder(min_frequency=32, handle_unknown="infrequent_if_exist", sparse_output=False), booster()
        ),
        "mixed",
        "binary",
    ),
    "one-hot, dropped": (
        lambda: encoded(pre.OneHotEncoder(drop="if_binary", handle_unknown="ignore"), booster(), ["flag", "job", "c", "size"]),
        "mixed",
        "binary",
    ),
    "one-hot, first dropped": (lambda: encoded(pre.OneHotEncoder(drop="first"), logistic()), "whole", "three"),
    "target means": (lambda: encoded(pre.TargetEncoder(), booster()), "mixed", "three"),
    "texts filled": (
        lambda: encoded(make_pipeline(SimpleImputer(strategy="most_frequent"), pre.OneHotEncoder()), booster()),
        "mixed",
        "binary",
    ),
    "texts filled with a constant": (
        lambda: encoded(
            make_pipeline(SimpleImputer(strategy="constant", fill_value="none", add_indicator=True), ignoring()), booster()
        ),
        "mixed",
        "binary",
    ),
    "selector and frames": (
        lambda: encoded(
            ignoring(), booster(), compose.make_column_selector(dtype_include=object), verbose_feature_names_out=False
        ).set_output(transform="pandas"),
        "mixed",
        "binary",
    ),
    "categories of HistGradientBoosting": (
        lambda: encoded(
            pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
            ensemble.HistGradientBoostingRegressor(max_iter=8, categorical_features=[0, 1]),
        ),
        "mixed",
        "value",
    ),
    "indicator": (
        lambda: make_pipeline(
            FeatureUnion([("gaps", MissingIndicator(error_on_new=False)), ("values", SimpleImputer())]), logistic()
        ),
        "gaps",
        "binary",
    ),
    "another marker": (
        lambda: make_pipeline(SimpleImputer(missing_values=3, strategy="most_frequent"), logistic()),
        "numbers",
        "binary",
    ),
}
FRAMES["gaps"] = lambda: mixed(150)[["a", "b", "c", "d"]]

NUMERIC: dict[str, Callable[[], Any]] = {
    "min-max": lambda: pre.MinMaxScaler(clip=True),
    "max-abs and robust": lambda: make_pipeline(pre.RobustScaler(), pre.MaxAbsScaler()),
    "union": lambda: FeatureUnion([("a", pre.StandardScaler()), ("b", pre.MinMaxScaler())], transformer_weights={"a": 2.0}),
    "pca": lambda: decomposition.PCA(3, whiten=True),
    "svd": lambda: decomposition.TruncatedSVD(2),
    "l1": lambda: pre.Normalizer("l1"),
    "l2": lambda: pre.Normalizer("l2"),
    "max": lambda: pre.Normalizer("max"),
    "yeo-johnson": pre.PowerTransformer,
    "uniform quantiles": lambda: pre.QuantileTransformer(n_quantiles=50),
    "normal quantiles": lambda: pre.QuantileTransformer(n_quantiles=50, output_distribution="normal"),
    "bins": lambda: pre.KBinsDiscretizer(4, encode="onehot-dense"),
    "numbered bins": lambda: pre.KBinsDiscretizer(4, encode="ordinal"),
    "binarizer": lambda: pre.Binarizer(threshold=5.0),
    "polynomial": lambda: pre.PolynomialFeatures(3),
    "interactions": lambda: pre.PolynomialFeatures(2, interaction_only=True, include_bias=False),
    "best": lambda: feature_selection.SelectKBest(k=2),
    "varying": feature_selection.VarianceThreshold,
    "from a model": lambda: feature_selection.SelectFromModel(forest()),
    "logarithm": lambda: ColumnTransformer([("log", pre.FunctionTransformer(np.log1p), ["b", "c"])], remainder="passthrough"),
    "box-cox": lambda: ColumnTransformer([("power", pre.PowerTransformer(method="box-cox"), ["b"])], remainder="passthrough"),
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic": logistic,
    "sgd": lambda: linear_model.SGDClassifier(loss="log_loss"),
    "huber": lambda: linear_model.SGDClassifier(loss="modified_huber"),
    "hinge": linear_model.SGDClassifier,
    "ridge": linear_model.RidgeClassifier,
    "linear svc": svm.LinearSVC,
    "perceptron": linear_model.Perceptron,
    "lda": discriminant_analysis.LinearDiscriminantAnalysis,
    "qda": lambda: discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),  # one-hot columns are collinear
    "gaussian": naive_bayes.GaussianNB,
    "bernoulli": naive_bayes.BernoulliNB,
    "svc": lambda: svm.SVC(gamma=0.2),
    "svc of polynomials": lambda: svm.SVC(kernel="poly", decision_function_shape="ovo"),
    "nu-svc": lambda: svm.NuSVC(nu=0.3),
    "network": lambda: neural_network.MLPClassifier((8, 4), max_iter=40),
    "lightgbm": booster,
    "tree": tree.DecisionTreeClassifier,
    "forest": forest,
    "extra trees": lambda: ensemble.ExtraTreesClassifier(5, max_depth=5),
    "gradient boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=6),
    "histogram": lambda: ensemble.HistGradientBoostingClassifier(max_iter=6),
    "bagging": lambda: ensemble.BaggingClassifier(n_estimators=4, max_features=0.5),
    "bagging of lines": lambda: ensemble.BaggingClassifier(logistic(), n_estimators=3, max_features=2),
    "adaboost": lambda: ensemble.AdaBoostClassifier(n_estimators=6),
    "voting": lambda: ensemble.VotingClassifier(
        [("a", logistic()), ("b", forest()), ("c", naive_bayes.GaussianNB())], voting="soft", weights=[1, 2, 1.5]
    ),
    "hard voting": lambda: ensemble.VotingClassifier([("a", logistic()), ("b", forest()), ("c", svm.LinearSVC())]),
    "stacking": lambda: ensemble.StackingClassifier([("a", logistic()), ("b", forest()), ("s", svm.LinearSVC())], cv=2),
    "stacking with the row": lambda: ensemble.StackingClassifier(
        [("a", logistic()), ("b", forest())], final_estimator=booster(), passthrough=True, cv=2
    ),
    "calibrated": lambda: calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2),
    "calibrated by steps": lambda: calibration.CalibratedClassifierCV(forest(), method="isotonic", cv=2),
    "searched": lambda: model_selection.GridSearchCV(logistic(), {"C": [0.1, 1]}, cv=2),
    "against the rest": lambda: multiclass.OneVsRestClassifier(logistic()),
    "dummy": lambda: dummy.DummyClassifier(strategy="prior"),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "line": LinearRegression,
    "elastic net": linear_model.ElasticNet,
    "poisson": linear_model.PoissonRegressor,
    "svr": svm.SVR,
    "network": lambda: neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=40),
    "lightgbm": lambda: booster(LGBMRegressor),
    "lightgbm poisson": lambda: booster(LGBMRegressor, objective="poisson"),
    "forest": lambda: ensemble.RandomForestRegressor(5),
    "gradient boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=6),
    "histogram": lambda: ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=6),
    "bagging": lambda: ensemble.BaggingRegressor(n_estimators=4),
    "voting": lambda: ensemble.VotingRegressor([("a", LinearRegression()), ("b", tree.DecisionTreeRegressor())]),
    "stacking": lambda: ensemble.StackingRegressor([("a", LinearRegression()), ("b", tree.DecisionTreeRegressor())], cv=2),
    "logarithm of the target": lambda: TransformedTargetRegressor(
        LinearRegression(), func=np.log1p, inverse_func=np.expm1, check_inverse=False
    ),
    "scaled target": lambda: TransformedTargetRegressor(LinearRegression(), transformer=pre.StandardScaler()),
    "dummy": dummy.DummyRegressor,
}
ONE_CLASS: dict[str, Callable[[], Any]] = {
    "isolation forest": lambda: ensemble.IsolationForest(n_estimators=20, random_state=0),
    "isolation forest of some features": lambda: ensemble.IsolationForest(
        n_estimators=20, max_features=0.5, contamination=0.1, random_state=0
    ),
    "isolation forest of one row": lambda: ensemble.IsolationForest(n_estimators=3, max_samples=1, random_state=0),
    "svm": lambda: svm.OneClassSVM(gamma=0.2, nu=0.1),
    "svm of polynomials": lambda: svm.OneClassSVM(kernel="poly", nu=0.3),
}
QUICK = (
    "ordinal", "one-hot, dropped", "texts filled", "selector and frames", "categories of HistGradientBoosting",
    "polynomial", "normal quantiles", "binary: forest", "binary: stacking", "three: svc", "three: lightgbm",
    "three: calibrated", "value: gradient boosting", "value: logarithm of the target",
    "one class: isolation forest", "one class: svm", "binary: prepared lightgbm",
)  # fmt: skip


def _lazily(wrap: Callable[[Any], Any], make: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: wrap(make())


def _all() -> Iterator[tuple[str, Case]]:
    yield from ENCODERS.items()
    for name, make in NUMERIC.items():
        yield name, (_lazily(lambda step: make_pipeline(step, pre.StandardScaler(), logistic()), make), "numbers", "binary")
    for name, make in CLASSIFIERS.items():
        for kind in ("binary", "three"):
            yield f"{kind}: {name}", (_lazily(scaled, make), "numbers", kind)
        yield f"binary: prepared {name}", (_lazily(prepared, make), "mixed", "binary")
    for name, make in REGRESSORS.items():
        yield f"value: {name}", (_lazily(scaled, make), "numbers", "count")
    for name, make in ONE_CLASS.items():
        yield f"one class: {name}", (_lazily(scaled, make), "numbers", "value")
        yield f"one class: prepared {name}", (_lazily(prepared, make), "mixed", "value")
    yield (
        "one class: bare forest with gaps",
        (lambda: ensemble.IsolationForest(n_estimators=20, random_state=0), "gaps", "value"),
    )
    yield "several values", (lambda: multioutput.MultiOutputRegressor(LinearRegression()), "numbers", "values")
    for name, model in (("multinomial", naive_bayes.MultinomialNB), ("complement", naive_bayes.ComplementNB)):
        yield name, (_lazily(lambda each: make_pipeline(pre.MinMaxScaler(clip=True), each), model), "numbers", "three")


CASES: dict[str, Case] = dict(_all())


def boosters() -> dict[str, Case]:
    """Models of XGBoost and CatBoost, of those that are installed."""
    found: dict[str, Case] = {}
    if importlib.util.find_spec("xgboost") is not None:
        import xgboost

        few: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1}
        for kind in ("binary numbers", "three numbers"):
            found[f"xgboost {kind}"] = (lambda: xgboost.XGBClassifier(**few), "gaps", kind)
            found[f"xgboost dart {kind}"] = (lambda: xgboost.XGBClassifier(booster="dart", rate_drop=0.3, **few), "gaps", kind)
            found[f"xgboost prepared {kind}"] = (lambda: prepared(xgboost.XGBClassifier(**few)), "mixed", kind)
            found[f"xgboost forest {kind}"] = (lambda: xgboost.XGBRFClassifier(**few), "numbers", kind)
        for objective in ("reg:squarederror", "count:poisson", "reg:tweedie"):
            found[f"xgboost {objective}"] = (partial(xgboost.XGBRegressor, objective=objective, **few), "numbers", "count")
    if importlib.util.find_spec("catboost") is not None:
        import catboost

        quiet: dict[str, Any] = {"iterations": 8, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
        for kind in ("binary", "three"):
            for mode in ("Min", "Max"):
                found[f"catboost {mode} {kind}"] = (partial(catboost.CatBoostClassifier, nan_mode=mode, **quiet), "gaps", kind)
            found[f"catboost prepared {kind}"] = (lambda: prepared(catboost.CatBoostClassifier(**quiet)), "mixed", kind)
        for loss in ("RMSE", "Poisson", "Quantile"):
            found[f"catboost {loss}"] = (partial(catboost.CatBoostRegressor, loss_function=loss, **quiet), "numbers", "count")
    return found
