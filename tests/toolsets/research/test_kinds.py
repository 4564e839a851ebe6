"""What a file is, is told by its content; names and claims only where the content cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.toolsets.research.kinds import decoded, kind_of
from tests.toolsets.research import made

PDB = b"HEADER    HYDROLASE   01-JAN-20   1ABC\nATOM      1  N   MET A   1      27.340  24.430   2.614\n"


@pytest.mark.parametrize(
    ("data", "name", "claimed", "kind"),
    [
        (b"a,b\n1,2\n", "t.csv", "", "text"),
        (b'{"a": 1}', "x.json", "text/html", "html"),  # between texts a server is believed
        (b"<!DOCTYPE html><p>", "", "text/plain", "html"),
        (b"<?xml version='1.0'?><a/>", "a.xml", "", "text"),
        (PDB, "1abc.pdb", "", "text"),
        (b"def f(): ...", "f.py", "", "text"),
        (b"%PDF-1.7", "report.html", "text/html", "pdf"),
        (b"\x89PNG\r\n\x1a\n", "page.html", "text/html", "image"),
        (b"BMW is a car maker", "cars.txt", "", "text"),
        (b"RIFF\0\0\0\0WAVEfmt ", "s", "", "audio"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "s", "", "image"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old.xls", "", "old office"),
        (b"\x00\x01\x02\x03" * 50, "x.csv", "text/csv", "binary"),
        ("grüße".encode("utf-16"), "x.txt", "", "text"),
        (b"", "x", "", "text"),
    ],
)
def test_content_decides(data, name, claimed, kind):
    assert kind_of(data, name, claimed) == kind


def test_zips_are_told_apart_by_name_or_by_their_parts():
    pytest.importorskip("openpyxl")
    book = made.xlsx([["a"]])
    assert kind_of(book, "book.xlsx") == kind_of(book, "no_ending") == "xlsx"
    assert kind_of(made.zipped({"in.xlsx": book}), "a.zip") == "zip"
    assert kind_of(made.docx()) == "docx"
    assert kind_of(made.pptx()) == "pptx"
    assert kind_of(made.tarred({"a": b"b"}, "w"), "a") == "tar"
    assert kind_of(made.tarred({"a": b"b"}), "a") == "packed"


@given(st.binary(max_size=600), st.text(max_size=20), st.text(max_size=20))
def test_any_bytes_are_of_some_kind_and_any_text_can_be_decoded(data, name, claimed):
    assert kind_of(data, name, claimed)
    assert isinstance(decoded(data, claimed or None), str)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_is_read_in_its_encoding(encoding):
    assert decoded("grüße".encode(encoding)) == "grüße"
