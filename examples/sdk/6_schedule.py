"""Run the pipeline every Monday, see the schedule, run it once by hand, and take it away again."""

from azure.ai.ml import Input, load_component
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.entities import CronTrigger, JobSchedule
from client import ml_client

client = ml_client()
count_rows = load_component("pipeline/count.yml")


@pipeline(default_compute="serverless")
def weekly(table):
    count_rows(table=table)


job = weekly(table=Input(type=AssetTypes.MLTABLE, path="azureml:loans:1"))
schedule = JobSchedule(name="loans-weekly", trigger=CronTrigger(expression="0 6 * * 1", time_zone="UTC"), create_job=job)

client.schedules.begin_create_or_update(schedule).result()
print("schedules:", [each.name for each in client.schedules.list()])
print("triggered:", client.schedules.trigger("loans-weekly").job_name)

client.schedules.begin_disable("loans-weekly").result()
client.schedules.begin_delete("loans-weekly").result()
