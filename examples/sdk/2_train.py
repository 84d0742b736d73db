"""Train with AutoML, wait, and register the best model."""

from azure.ai.ml import Input, automl
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Model
from client import ml_client

client = ml_client()

job = automl.classification(
    training_data=Input(type=AssetTypes.MLTABLE, path="azureml:loans:1"),
    target_column_name="paid_back",
    primary_metric="AUC_weighted",
    n_cross_validations=3,
    experiment_name="loans",
)
job.set_limits(timeout_minutes=15, max_trials=2, max_concurrent_trials=1)
job.set_training(enable_stack_ensemble=False, enable_vote_ensemble=False)

submitted = client.jobs.create_or_update(job)
client.jobs.stream(submitted.name)

finished = client.jobs.get(submitted.name)
best = finished.tags["automl_best_child_run_id"]
print("finished:", finished.status, "best trial:", best)

model = client.models.create_or_update(
    Model(name="loans", type=AssetTypes.MLFLOW_MODEL, path=f"azureml://jobs/{submitted.name}/outputs/best_model")
)
print("model:", model.name, model.version)
