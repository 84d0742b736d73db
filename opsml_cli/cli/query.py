"""`--query`: a JMESPath expression, checked before any work is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opsml_cli.domain.errors import UsageError


def compile_query(expression: str) -> Callable[[Any], Any]:
    """What picks the expression's part out of a plain value.

    UsageError for a bad expression or an unknown function, at once; for a value of a wrong type when it is applied."""
    import jmespath
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    def refuse(error: object) -> UsageError:
        detail = " ".join(str(error).split())
        return UsageError(
            f"--query {expression!r} is no valid JMESPath expression", cause=detail, fix="see https://jmespath.org"
        )

    try:
        parsed = jmespath.compile(expression)
    except JMESPathError as error:
        raise refuse(error) from error
    except RecursionError as error:
        raise refuse("it is nested too deeply") from error
    known = Functions.FUNCTION_TABLE
    nodes = [parsed.parsed]
    while nodes:
        node = nodes.pop()
        if node["type"] == "function_expression" and node["value"] not in known:
            raise refuse(f"unknown function {node['value']}()")
        nodes += [child for child in node["children"] if isinstance(child, dict)]

    def pick(value: Any) -> Any:
        try:
            return parsed.search(value)
        except JMESPathError as error:
            raise refuse(error) from error

    return pick
