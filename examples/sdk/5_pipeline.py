"""Publish a pipeline behind a batch endpoint, run it by the endpoint's name, and fetch what it made."""

from azure.ai.ml import Input, load_component
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import BatchEndpoint, PipelineComponentBatchDeployment
from client import ml_client

client = ml_client()

endpoint = BatchEndpoint(name="loans-count", description="Counts the rows of a table")
client.batch_endpoints.begin_create_or_update(endpoint).result()

component = client.components.create_or_update(load_component("pipeline/pipeline.yml"))
client.batch_deployments.begin_create_or_update(
    PipelineComponentBatchDeployment(name="default", endpoint_name=endpoint.name, component=component.id, settings={})
).result()
endpoint.defaults = {"deployment_name": "default"}
client.batch_endpoints.begin_create_or_update(endpoint).result()

run = client.batch_endpoints.invoke(
    endpoint_name=endpoint.name, inputs={"table": Input(type=AssetTypes.MLTABLE, path="azureml:loans:1")}
)
client.jobs.stream(run.name)
print("run:", run.name, client.jobs.get(run.name).status)
for step in client.jobs.list(parent_job_name=run.name):
    print("step:", step.display_name, step.status)
