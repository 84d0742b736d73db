"""The graph of a pipeline: what each step's references point at, whether the types agree, and an order to run in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from opsml_cli.domain.fields import FieldError, Where, did_you_mean
from opsml_cli.local.pipelines.bindings import Reference, Scope, Template
from opsml_cli.local.pipelines.definition import (
    LITERAL_TYPES,
    CommandWork,
    Output,
    Port,
    StepDefinition,
    StepInput,
    accepts,
)

_TABLE_TYPES = ("mltable", "uri_file", "uri_folder")


class Graph:
    """Resolves the steps of one pipeline against each other; errors are FieldErrors with the place of the step."""

    def __init__(
        self, steps: Mapping[str, StepDefinition], inputs: Mapping[str, Port], outputs: Mapping[str, Output], where: Where
    ) -> None:
        self._steps = steps
        self._inputs = inputs
        self._outputs = outputs
        self._where = where

    def resolved(self) -> tuple[StepDefinition, ...]:
        """The steps with the types of their inputs and what they need, in an order in which they can run."""
        self._check_outputs()
        return self._ordered({name: self._resolve(step) for name, step in self._steps.items()})

    def _resolve(self, step: StepDefinition) -> StepDefinition:
        needs: dict[str, None] = {}
        given: dict[str, StepInput] = {}
        for name, item in step.inputs.items():
            where = self._place(step, name)
            typed = self._typed(step, item, where)
            if item.template is not None:
                for reference, _ in item.template.references():
                    if reference.scope is Scope.STEP_OUTPUT and reference.step is not None:
                        needs[reference.step] = None
            given[name] = typed
        # A step without component declares its inputs by giving them.
        ports = step.ports or {name: Port(name, item.type, optional=self._may_lack(item)) for name, item in given.items()}
        resolved = replace(step, inputs=given, needs=tuple(needs), ports=ports)
        if isinstance(step.work, CommandWork):
            self._check_command(resolved, step.work)
        return resolved

    def _place(self, step: StepDefinition, name: str) -> Where:
        if isinstance(step.work, CommandWork):
            return (*self._where, step.name, "inputs", name)
        return (*self._where, step.name, *name.split("."))

    def _typed(self, step: StepDefinition, item: StepInput, where: Where) -> StepInput:
        kind = item.type if item.template is None else self._type_of_template(step, item.template, where)
        port = step.ports.get(item.name)
        wanted = port.type if port is not None else item.type
        if not isinstance(step.work, CommandWork):
            key = item.name.split(".")[0]
            table = key in ("training_data", "validation_data", "test_data")
            if kind not in (_TABLE_TYPES if table else LITERAL_TYPES):
                expected = "mltable, uri_file or uri_folder" if table else "a literal"
                raise FieldError(where, f"{item.name} of step {step.name} is of type {kind}", f"expected {expected}")
            return replace(item, type=kind)
        if wanted and not accepts(wanted, kind):
            raise FieldError(where, f"the input {item.name} of step {step.name} wants {wanted}, and is given {kind}")
        if port is not None and not port.optional and item.template is not None and self._may_lack(item):
            raise FieldError(
                where,
                f"the input {item.name} of step {step.name} is required, and is given an optional input of the pipeline",
                "make both optional, or give the pipeline's input a default",
            )
        return replace(item, type=wanted or kind)

    def _may_lack(self, item: StepInput) -> bool:
        """Whether the value may be missing when the pipeline runs."""
        only = None if item.template is None else item.template.only
        if only is None or only.scope is not Scope.PARENT_INPUT:
            return False
        port = self._inputs[only.name]
        return port.optional and port.default is None

    def _type_of_template(self, step: StepDefinition, template: Template, where: Where) -> str:
        kinds = [self._type_of(step, reference, where) for reference, _ in template.references()]
        if template.only is not None:
            return kinds[0]
        for (reference, _), kind in zip(template.references(), kinds, strict=True):
            if kind not in LITERAL_TYPES:
                raise FieldError(where, f"{reference.text} is of type {kind}, and cannot stand inside other text")
        return "string"

    def _type_of(self, step: StepDefinition, reference: Reference, where: Where) -> str:
        if reference.scope is Scope.PARENT_INPUT:
            if reference.name not in self._inputs:
                raise FieldError(
                    where, f"the pipeline has no input {reference.name!r}", did_you_mean(reference.name, tuple(self._inputs))
                )
            return self._inputs[reference.name].type
        if reference.scope is Scope.RUN_NAME:
            return "string"
        if reference.scope is Scope.STEP_OUTPUT and reference.step is not None:
            producer = self._steps.get(reference.step)
            if producer is None:
                raise FieldError(
                    where, f"there is no step {reference.step!r}", did_you_mean(reference.step, tuple(self._steps))
                )
            if reference.name not in producer.outputs:
                raise FieldError(
                    where,
                    f"the step {producer.name} has no output {reference.name!r}",
                    did_you_mean(reference.name, tuple(producer.outputs)),
                )
            return producer.outputs[reference.name].type
        raise FieldError(
            where,
            f"{reference.text} cannot be an input of step {step.name}",
            "expected ${{parent.inputs.NAME}}, ${{parent.jobs.STEP.outputs.NAME}} or ${{parent.name}}",
        )

    def _check_command(self, step: StepDefinition, work: CommandWork) -> None:
        place: Where = (*self._where, step.name, "command")
        self._check_template(step, work.command, place)
        for name, template in work.environment.items():
            self._check_template(step, template, (*self._where, step.name, "environment_variables", name))

    @staticmethod
    def _check_template(step: StepDefinition, template: Template, where: Where) -> None:
        for reference, in_optional in template.references():
            if reference.scope is Scope.INPUT:
                port = step.ports.get(reference.name)
                if port is None:
                    raise FieldError(
                        where,
                        f"the step {step.name} has no input {reference.name!r}",
                        did_you_mean(reference.name, tuple(step.ports)),
                    )
                if port.optional and port.default is None and not in_optional:
                    raise FieldError(
                        where,
                        f"the input {port.name} of step {step.name} is optional",
                        f"write it as $[[{reference.text}]], so that it can be left out",
                    )
            elif reference.scope is Scope.OUTPUT:
                if reference.name not in step.outputs:
                    raise FieldError(
                        where,
                        f"the step {step.name} has no output {reference.name!r}",
                        did_you_mean(reference.name, tuple(step.outputs)),
                    )
            else:
                raise FieldError(
                    where,
                    f"{reference.text} cannot stand in a command",
                    "bind it to an input of the step, and name that: ${{inputs.NAME}}",
                )

    def _check_outputs(self) -> None:
        writers: dict[str, str] = {}
        for step in self._steps.values():
            for output in step.outputs.values():
                if output.bound is None:
                    continue
                where = (*self._where, step.name, "outputs", output.name)
                if output.bound not in self._outputs:
                    raise FieldError(
                        where, f"the pipeline has no output {output.bound!r}", did_you_mean(output.bound, tuple(self._outputs))
                    )
                if output.bound in writers:
                    raise FieldError(
                        where, f"the steps {writers[output.bound]} and {step.name} both write outputs.{output.bound}"
                    )
                wanted = self._outputs[output.bound].type
                if not accepts(wanted, output.type):
                    raise FieldError(where, f"outputs.{output.bound} wants {wanted}, and is given {output.type}")
                writers[output.bound] = step.name

    def _ordered(self, steps: Mapping[str, StepDefinition]) -> tuple[StepDefinition, ...]:
        done: dict[str, StepDefinition] = {}
        while len(done) < len(steps):
            ready = [step for step in steps.values() if step.name not in done and all(need in done for need in step.needs)]
            if not ready:
                circle = list(self._circle({name: step for name, step in steps.items() if name not in done}))
                raise FieldError((*self._where, circle[0]), f"the steps wait for each other: {' -> '.join(circle)}")
            done.update((step.name, step) for step in ready)
        return tuple(done.values())

    @staticmethod
    def _circle(steps: Mapping[str, StepDefinition]) -> Iterator[str]:
        path: list[str] = []
        name = next(iter(steps))
        while name not in path:
            path.append(name)
            name = next(need for need in steps[name].needs if need in steps)
        yield from path[path.index(name) :]
        yield name
