"""The Azure adapter: an Azure Machine Learning workspace behind the port.

Reads go over ARM; the SDK is loaded where it uploads, validates or submits."""
