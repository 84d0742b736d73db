"""Binding expressions: what they mean, and that reading them loses nothing."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.local.pipelines.bindings import BindingError, Literal, Optional, Reference, Scope, Template, parse

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True).filter(
    lambda name: name not in ("inputs", "outputs", "path")
)
PLAIN = st.text(st.characters(exclude_characters="$", exclude_categories=("Cs",)), max_size=20)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    scope, name = draw(st.sampled_from(list(Scope))), draw(NAMES)
    if scope is Scope.RUN_NAME:
        return Reference(scope, "name", "${{ parent.name }}")
    step = draw(NAMES) if scope is Scope.STEP_OUTPUT else None
    blank = draw(st.sampled_from(["", " ", "  "]))
    inner = f"parent.jobs.{step}.outputs.{name}" if step else f"{scope.value}.{name}"
    return Reference(scope, name, f"${{{{{blank}{inner}{blank}}}}}", step)


def plain_parts(text: st.SearchStrategy[str]) -> st.SearchStrategy[list[Literal | Reference]]:
    return st.lists(st.one_of(text.filter(bool).map(Literal), references()), max_size=5)


def merged(parts: list[Literal | Reference]) -> tuple[Literal | Reference, ...]:
    """Neighbouring texts are one text."""
    result: list[Literal | Reference] = []
    for part in parts:
        if isinstance(part, Literal) and result and isinstance(result[-1], Literal):
            result[-1] = Literal(result[-1].text + part.text)
        else:
            result.append(part)
    return tuple(result)


@given(plain_parts(PLAIN))
def test_what_was_written_is_read(parts: list[Literal | Reference]) -> None:
    expected = merged(parts)
    template = parse("".join(part.text for part in expected))
    assert template == Template(expected)


@given(plain_parts(PLAIN), plain_parts(PLAIN.map(lambda text: text.replace("]", ""))), plain_parts(PLAIN))
def test_optional_sections_are_read_and_left_out(
    before: list[Literal | Reference], inside: list[Literal | Reference], after: list[Literal | Reference]
) -> None:
    template = Template((*merged(before), Optional(merged(inside)), *merged(after)))
    read = parse(template.text)
    assert read.text == template.text
    assert read == template
    nothing = read.render(lambda reference: None)
    kept = "".join(part.text for part in (*before, *after) if isinstance(part, Literal))
    expected = kept
    if not any(isinstance(part, Reference) for part in inside):
        expected = "".join(p.text for p in before if isinstance(p, Literal))
        expected += "".join(p.text for p in inside) + "".join(p.text for p in after if isinstance(p, Literal))
    assert nothing == expected


@given(st.text(st.sampled_from("${}[]. ainputsoe"), max_size=40))
def test_any_text_is_read_back_as_it_was_or_refused(text: str) -> None:
    try:
        template = parse(text)
    except BindingError:
        return
    assert template.text == text


@given(st.text(string.printable, max_size=60))
def test_text_without_expressions_stays_as_it_is(text: str) -> None:
    if "${{" in text or "$[[" in text:
        return
    assert parse(text).render(lambda reference: "never") == text


@pytest.mark.parametrize(
    ("text", "scope", "name", "step"),
    [
        ("${{inputs.a}}", Scope.INPUT, "a", None),
        ("${{ inputs.a }}", Scope.INPUT, "a", None),
        ("${{inputs.a.path}}", Scope.INPUT, "a", None),
        ("${{inputs.path}}", Scope.INPUT, "path", None),
        ("${{outputs.b}}", Scope.OUTPUT, "b", None),
        ("${{parent.inputs.c}}", Scope.PARENT_INPUT, "c", None),
        ("${{parent.outputs.d}}", Scope.PARENT_OUTPUT, "d", None),
        ("${{parent.jobs.s.outputs.e}}", Scope.STEP_OUTPUT, "e", "s"),
    ],
)
def test_every_scope(text: str, scope: Scope, name: str, step: str | None) -> None:
    assert parse(text).only == Reference(scope, name, text, step)


@pytest.mark.parametrize(
    "text",
    [
        "${{",
        "${{inputs.a}",
        "${{x.a}}",
        "${{inputs}}",
        "${{inputs.a b}}",
        "${{inputs.a/../b}}",
        "$[[a",
        "$[[a $[[b]] ]]",
        "${{}}",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BindingError):
        parse(text)
