"""What Azure ML has besides and is not emulated. Scripts that ask for it are told so by name."""

from __future__ import annotations

from opsml_cli.emulator.wire import refused

_PROVIDER = "/providers/Microsoft.MachineLearningServices"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{resource_group}" + _PROVIDER
ROUTES = tuple(
    refused(method, template, note)
    for methods, template, note in (
        ("GET", _GROUP + "/registries", "registries"),
        ("GET PUT DELETE", _GROUP + "/registries/{registry}", "registries"),
        ("GET PUT POST DELETE", _GROUP + "/registries/{registry}/{rest:path}", "assets of registries"),
        ("GET PUT POST DELETE", "{ws}/connections/{rest:path}", "connections"),
        ("GET", "{ws}/connections", "connections"),
        ("GET PUT POST DELETE", "{ws}/featuresets/{rest:path}", "feature stores"),
        ("GET PUT POST DELETE", "{ws}/featurestoreEntities/{rest:path}", "feature stores"),
        ("GET", "{ws}/serverlessEndpoints", "serverless endpoints"),
        ("GET PUT POST DELETE", "{ws}/serverlessEndpoints/{rest:path}", "serverless endpoints"),
        ("GET", "{ws}/marketplaceSubscriptions", "marketplace subscriptions"),
        ("GET", "{ws}/outboundRules", "managed networks"),
        ("GET PUT DELETE", "{ws}/outboundRules/{rest:path}", "managed networks"),
        ("GET PUT DELETE", "{ws}/privateEndpointConnections/{rest:path}", "private endpoints"),
        ("GET PUT POST DELETE", "{ws}/endpoints/{rest:path}", "endpoints of model providers"),
    )
    for method in methods.split()
)
