"""Ask the endpoint: with the SDK, and with a plain HTTP client."""

import json
import urllib.request
from pathlib import Path

from client import ml_client

client = ml_client()

print("SDK:", client.online_endpoints.invoke(endpoint_name="loans-api", request_file="request.json"))

endpoint = client.online_endpoints.get("loans-api")
keys = client.online_endpoints.get_keys("loans-api")
request = urllib.request.Request(
    endpoint.scoring_uri,
    data=Path("request.json").read_bytes(),
    headers={"Authorization": f"Bearer {keys.primary_key}", "Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    print("HTTP:", json.load(answer))

for line in client.online_deployments.get_logs(name="blue", endpoint_name="loans-api", lines=20).splitlines():
    print("log:", line)
