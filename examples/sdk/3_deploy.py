"""Serve the newest model behind a managed online endpoint."""

from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint
from client import ml_client

client = ml_client()

endpoint = ManagedOnlineEndpoint(name="loans-api", auth_mode="key")
client.online_endpoints.begin_create_or_update(endpoint).result()

model = client.models.get("loans", label="latest")
client.online_deployments.begin_create_or_update(
    ManagedOnlineDeployment(
        name="blue", endpoint_name=endpoint.name, model=model.id, instance_type="Standard_DS3_v2", instance_count=1
    )
).result()

endpoint.traffic = {"blue": 100}
client.online_endpoints.begin_create_or_update(endpoint).result()
print(client.online_endpoints.get(endpoint.name).scoring_uri)
