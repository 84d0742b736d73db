"""Register a table as an MLTable, and look at it in the workspace."""

from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Data
from client import ml_client

client = ml_client()

registered = client.data.create_or_update(
    Data(name="loans", version="1", type=AssetTypes.MLTABLE, path="loans", description="Who paid a loan back")
)
print(registered.name, registered.version, registered.path)
for version in client.data.list(name="loans"):
    print("in the workspace:", version.name, version.version)
