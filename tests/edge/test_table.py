"""What people write into CSV files, and what they are told about it."""

import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mera_edge import table
from mera_edge.errors import InputError
from mera_edge.evaluation import labelled_csv


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty: begin with the columns file,label"),
        ("\n", "is empty"),
        ("file,label\n", "no rows, only a header"),
        ("file/label\na.wav/happy\n", "has 'file/label': its first line must name .*file,label"),
        ("clip;label\na.wav;happy\n", "no column 'file', it has 'clip;label'"),
        ("file;label\na.wav;happy;sad\n", "line 2: more fields than the 2 columns"),
        ("file,label\na.wav,happy\nwell, fine,happy\n", "line 3: more fields .*quote text"),
        ('file,label\n"a.wav,happy\n', "line 2"),
    ],
)
def test_a_table_that_cannot_be_used_says_what_it_has(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    (tmp_path / "a.wav").touch()
    with pytest.raises(InputError, match=rf"rows\.csv.*{message}"):
        labelled_csv.read(path, "file", "label")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_of_another_tool_is_the_same_table(
    tmp_path: Path, delimiter: str, encoding: str, end: str
) -> None:
    path = tmp_path / "rows.csv"
    lines = ["File_Name,LABEL,Speaker", "ä.wav,happy,p1", "b.wav,sad,p2"]
    bom = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    text = "".join(line.replace(",", delimiter) + end for line in lines)
    path.write_bytes(bom + text.encode(encoding))
    assert [row for _, row in table.read(path, ("file", "label"))] == [
        {"file": "ä.wav", "label": "happy", "person": "p1"},
        {"file": "b.wav", "label": "sad", "person": "p2"},
    ]


def test_a_table_in_another_encoding_says_what_to_save_it_in(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("file,label\nä.wav,happy\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"rows\.csv cannot be read .*: use a CSV file in UTF-8"):
        table.read(path, ("file", "label"))


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_a_table_that_cannot_be_opened_says_what_to_give(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        InputError, match=r"cannot be read \((No such|Is a)[^:]*: give .* file,label"
    ):
        table.read(tmp_path / name, ("file", "label"))


def test_bad_rows_can_be_left_out_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nfine,happy\nbad,hapy\nworse,\nyes,sad\n")
    skipped = table.Skipped(2)
    rows = labelled_csv.read(path, "text", "label", skipped=skipped)
    assert [row.line for row in rows] == [2, 5]
    assert "line 3: 'hapy'" in skipped.faults[0] and "did you mean 'happy'" in skipped.faults[0]
    assert "line 4: label is empty" in skipped.faults[1]
    with pytest.raises(
        InputError, match=r"2 rows are unusable, more than the 1 allowed; the last: .*line 4"
    ):
        labelled_csv.read(path, "text", "label", skipped=table.Skipped(1))
    with pytest.raises(InputError, match="line 3"):
        labelled_csv.read(path, "text", "label")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_content_gives_rows_or_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"file,label\n" + content)
    try:
        rows = labelled_csv.read(path, "file", "label", skipped=table.Skipped(100))
        assert all(Path(row.given).is_file() for row in rows)
    except InputError as error:
        assert str(path) in str(error)
