"""What a file is, told from its content: format, delimiter, encoding, compression."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables import detect, profile_table, read_frame, read_rows
from opsml_cli.tables.convert import MISSING

TABLE = "name,city,n\nJürgen,Köln,1\nZoë,Málaga,2\n"

# Text that stays text: begins with a letter, so it is no number, date or truth value; no surrounding newline games.
CELLS = st.text(
    st.characters(codec="cp1252", exclude_categories=["Cc", "Cs"], include_characters="\n\t,;|\"'"), max_size=12
).map(lambda text: "x" + text)
NAMES = st.lists(st.text(st.characters(codec="cp1252", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8).filter(
    lambda name: name.strip() == name and name[0] not in "{[#" and "\u00ff" not in name and "\u00fe" not in name),
    min_size=2, max_size=5, unique=True)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    names = draw(NAMES)
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), min_size=2, max_size=8))
    return names, rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=tables(),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    newline=st.sampled_from(["\n", "\r\n"]),
    compression=st.sampled_from(["", "gzip", "zip"]),
)
def test_any_table_survives_any_dialect(
    tmp_path: Path,
    table: tuple[list[str], list[list[str]]],
    delimiter: str,
    encoding: str,
    quoting: int,
    newline: str,
    compression: str,
) -> None:
    names, rows = table
    text = io.StringIO(newline="")
    # With minimal quoting only the real delimiter is protected; another one in every cell would be a fair reading.
    others = "".join(set(",;\t|") - {delimiter})
    if quoting == csv.QUOTE_MINIMAL:
        clean = str.maketrans("", "", others)
        names = [name.translate(clean) + str(position) for position, name in enumerate(names)]
        rows = [[cell.translate(clean) for cell in row] for row in rows]
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=newline).writerows([names, *rows])
    content = text.getvalue().encode(encoding)
    if encoding == "utf-16-le":
        content = codecs.BOM_UTF16_LE + content
    path = tmp_path / "table"
    if compression == "gzip":
        content = gzip.compress(content)
    elif compression == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("table.csv", content)
        content = packed.getvalue()
    path.write_bytes(content)
    found = read_rows(path)
    assert found == [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"),
     ("utf-16-be", "utf-16-be"), ("utf-32", "utf-32"), ("cp1252", "cp1252"), ("latin-1", "cp1252")],
)  # fmt: skip
def test_encodings_are_told_from_the_content(tmp_path: Path, encoding: str, found: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes((TABLE * 1).encode(encoding))
    assert detect(path).encoding == found
    assert read_rows(path)[0] == {"name": "Jürgen", "city": "Köln", "n": 1}


@pytest.mark.parametrize("before", [0, 100_000])
def test_an_encoding_that_was_guessed_is_noted(tmp_path: Path, before: int) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"name,n\n" + b"plain,1\n" * before + "Köln,2\n".encode("cp1252"))
    notes: list[str] = []

    class Notes:
        def note(self, text: str) -> None:
            notes.append(text)

        def phase(self, text: str) -> None: ...
        def amount(self, done: int, total: int | None, unit: str) -> None: ...
        def warn(self, text: str) -> None: ...
        def job(self, job: object) -> None: ...
        def run(self, run: object) -> None: ...

    profile = profile_table(path, progress=Notes())
    assert (profile.rows, profile.encoding) == (before + 1, "cp1252")
    assert len(notes) == 1
    assert "cp1252" in notes[0]
    assert read_frame(path, profile)["name"].iloc[-1] == "Köln"


def test_utf8_with_a_damaged_place_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(("a,b\n" + "Köln,Málaga\n" * 20).encode() + b"x\xff,1\n")
    with pytest.raises(InvalidInputError, match=r"wrong encoding.*line 22"):
        profile_table(path)
    # And behind the first look, too.
    path.write_bytes(("a,b\n" + "Köln,Málaga\n" * 50_000).encode() + b"x\xff,1\n")
    with pytest.raises(InvalidInputError, match=r"wrong encoding.*line 50002"):
        profile_table(path)


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)) * 40,
        b"\x00" * 50 + b"a,b\n1,2\n" * 3,
        b"a,b\n1,\x02\n",
        b"%PDF-1.7\n...",
        b"BZh91AY&SY",
        b"PK\x05\x06",
    ],
)
def test_binary_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError):
        profile_table(path)


def test_a_workbook_is_told_apart_from_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("xl/workbook.xml", "<x/>")
    with pytest.raises(InvalidInputError, match="Office"):
        detect(path)


@pytest.mark.parametrize("content", ["", "\n\n", "  \n"])
def test_empty_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match="is empty"):
        profile_table(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n", "header and no rows"),
        ("a,b\n1,2\n3\n", "line 3: expected 2 fields, found 1"),
        ("a,b\n1,2\n\n3,4,5\n", "line 4: expected 2 fields, found 3"),
        ('a,b\n"1\n1",2\n3\n', "line 4: expected 2 fields, found 1"),
        ("a,b,a\n1,2,3\n", "'a' is there twice, as columns 1 and 3"),
        (",b\n1,2\n", "column 1 of 2 has no name"),
        ("a,b,\n1,2,\n", "column 3 of 3 has no name"),
        ("a, \n1,2\n", "column 2 of 2 has no name"),
    ],
)
def test_unsound_tables_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(InvalidInputError) as caught:
        profile_table(path)
    assert message in caught.value.message


def test_a_ragged_row_far_down_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + '"x\ny",2\n' * 400_000 + "1,2,3\n" + "5,6\n" * 10)
    with pytest.raises(InvalidInputError, match="line 800002: expected 2 fields, found 3"):
        profile_table(path)


def test_a_quote_that_is_never_closed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,2\n3,"4\n' + "5,6\n" * 3_000_000)
    with pytest.raises(InvalidInputError) as caught:
        profile_table(path)
    assert "line 3" in caught.value.message
    assert caught.value.cause == "a quote that is never closed?"


def test_one_column_needs_no_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("value\n1\n2\n")
    assert read_rows(path) == [{"value": 1}, {"value": 2}]


def test_json_lines_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text('{"a": 1, "b": "x"}\n\n{"a": 2.5, "c": {"deep": [1]}}\n')
    profile = profile_table(path)
    assert profile.format == "jsonl"
    assert [(c.name, c.type.value, c.missing) for c in profile.columns] == [
        ("a", "number", 0), ("b", "string", 1), ("c", "string", 1)]  # fmt: skip
    assert read_frame(path, profile)["c"].iloc[1] == '{"deep":[1]}'
    path.write_text('[{"a": 1}, {"a": null}]')
    assert read_rows(path) == [{"a": 1}, {"a": None}]
    assert profile_table(path).format == "json"


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"a": 1}\n{"a": \n', "line 2: no sound JSON"), ('{"a": 1}\n[1]\n', "line 2: expected an object"),
     ('{"a": 1}\n{"a": ' + "[" * 40 + "]" * 40 + "}\n", "line 2: 'a' is nested more than 32"),
     ('{"a": 1}\n{"a": ' + "[" * 100_000 + "\n", "line 2: no sound JSON")],
)  # fmt: skip
def test_unsound_json_is_named_by_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidInputError) as caught:
        profile_table(path)
    assert message in caught.value.message


@pytest.mark.parametrize("word", MISSING)
def test_missing_values_are_those_of_pandas(tmp_path: Path, word: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'a,b\n1,x\n{word},"{word}"\n3,unknown\n')
    import pandas as pd

    profile = profile_table(path)
    assert [column.missing for column in profile.columns] == list(pd.read_csv(path).isna().sum()) == [1, 1]
