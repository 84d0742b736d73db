"""Explaining a registered model: which rows it is seen against, and the answers in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.explanation import Contribution, ExplainModel, Explanation, RowExplanation
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import TableSource
from opsml_cli.domain.report import ColumnShare, Dependence
from opsml_cli.local.own_models import loaded, reading_types
from opsml_cli.local.row_source import read_source

if TYPE_CHECKING:
    from opsml_cli.domain.model import Model
    from opsml_cli.local.automl.explaining import Explainer
    from opsml_cli.local.automl.scoring import TabularModel
    from opsml_cli.local.data import LocalData
    from opsml_cli.local.models import LocalModels

_MOST_DATA_ROWS = 20_000


def explain(models: LocalModels, data: LocalData, spec: ExplainModel) -> Explanation:
    """As the port says."""
    from opsml_cli.local.automl.explaining import Explainer
    from opsml_cli.local.automl.scoring import ColumnError

    model = models.verified(spec.model)
    scorer = loaded(model, "its columns cannot be told apart from outside")
    label = _label(scorer, spec.label)
    frame, _ = read_source(data, spec.data or _training_data(model), reading_types(scorer))
    if not len(frame):
        raise InvalidInputError("the data has no row to see the model against", fix="--data with rows such as the model meets")
    try:
        explainer = Explainer(scorer, frame.head(_MOST_DATA_ROWS).reset_index(drop=True), spec.seed)
        rows = _rows(scorer, explainer, spec, label)
    except ColumnError as error:
        raise InvalidInputError(str(error), fix=f"opsml models show {model.name} names the columns") from error
    ranked, count = explainer.importance(label)
    return Explanation(
        model=f"{model.name}:{model.version}",
        task=scorer.task,
        label=_plain_label(scorer, label),
        data_rows=count,
        importance=tuple(ColumnShare(column, share) for column, share in ranked),
        # Of many classes without a wish, the first stands for the shape; the table of a row names its own.
        dependence=tuple(_dependence(explainer, column, label or 0) for column, _ in ranked[: spec.top]),
        rows=rows,
    )


def _training_data(model: Model) -> TableSource:
    if model.data is None:
        raise NotFoundError(
            f"nobody recorded which registered data model {model.name}:{model.version} was trained on",
            fix="--data with rows such as the model meets",
        )
    return TableSource(asset=model.data)


def _label(scorer: TabularModel, wanted: str | None) -> int | None:
    """The explained class's place; None: each row's own prediction."""
    from opsml_cli.local.automl.scoring import category_text

    if scorer.task == "regression":
        if wanted is not None:
            raise InvalidInputError("a regression model has no classes to explain", fix="leave --class out")
        return 0
    if wanted is None:
        return scorer.positive_index
    texts = [category_text(each) for each in scorer.classes]
    if wanted not in texts:
        raise InvalidInputError(f"the model has no class {wanted!r}", cause=did_you_mean(wanted, texts) or f"it has {texts}")
    return texts.index(wanted)


def _plain_label(scorer: TabularModel, label: int | None) -> object | None:
    return None if scorer.task == "regression" or label is None else scorer.classes[label]


def _dependence(explainer: Explainer, column: str, label: int) -> Dependence:
    values, answers = explainer.dependence(column, label)
    return Dependence(column, tuple(values), tuple(answers))


def _rows(scorer: TabularModel, explainer: Explainer, spec: ExplainModel, label: int | None) -> tuple[RowExplanation, ...]:
    if not spec.rows:
        return ()
    found = explainer.contributions(scorer.encode(spec.rows))
    if scorer.task == "regression":
        predictions: list[object] = found.answers[:, 0].tolist()
    else:
        predictions = scorer.labels(found.answers)
    explained = []
    for index, row in enumerate(spec.rows):
        place = int(found.answers[index].argmax()) if label is None else label
        sizes = found.contributions[index, :, place].tolist()
        order = sorted(range(len(sizes)), key=lambda column: -abs(sizes[column]))
        names = [explainer.columns[column] for column in order]
        explained.append(
            RowExplanation(
                prediction=predictions[index],
                label=_plain_label(scorer, place),
                base=float(found.base[place]),
                answer=float(found.answers[index, place]),
                contributions=tuple(
                    Contribution(name, row.get(name), sizes[column]) for name, column in zip(names, order, strict=True)
                ),
            )
        )
    return tuple(explained)
