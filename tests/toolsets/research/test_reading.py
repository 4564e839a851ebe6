"""Files of every kind become text; hostile ones cost their own reading and nothing else."""

import gzip
import io
import os
import struct
import tarfile
import time
import zipfile
import zlib

import pytest

from deepagent.errors import ToolFailedError
from deepagent.sandbox import SandboxConfig
from deepagent.toolsets.research.reading import Reader
from tests.toolsets.research import made

pytest.importorskip("openpyxl")
pytestmark = pytest.mark.usefixtures("walls")


async def read(data: bytes, name: str, part: str = "", **options: str):
    return await Reader(SandboxConfig()).read(data, name, part=part, **options)


async def test_a_spreadsheet_is_its_sheets_as_tables():
    found = await read(made.xlsx([["sku", "price"], ["a 1", 2.5], [None, None], ["b", 3]]), "t.xlsx")
    assert found.about == "spreadsheet with the sheets Prices, Empty"
    assert found.parts[0].text == "sku\tprice\na 1\t2.5\n\nb\t3"
    assert (await read(made.xlsx([["x"]]), "t.xlsx", "empty")).text == ""


async def test_a_text_document_keeps_headings_and_tables_in_their_order():
    text = (await read(made.docx(), "w.docx")).text
    assert text == "# Whales\nThe largest one is blue.\nlength\t30 m\nThe end."


async def test_slides_with_their_notes_and_one_alone():
    found = await read(made.pptx(), "s.pptx")
    assert found.text == "--- slide 1 ---\nFirst\n\n--- slide 2 ---\nSecond\nNotes: say it slowly"
    assert (await read(made.pptx(), "s.pptx", "2")).text == "Second\nNotes: say it slowly"


async def test_pages_of_a_pdf():
    data = made.pdf([f"This is page {number}." for number in range(1, 6)])
    found = await read(data, "p.pdf")
    assert (found.about, found.parts[2].text) == ("PDF of 5 pages", "This is page 3.")
    assert [part.name for part in (await read(data, "p.pdf", "pages 2-3")).parts] == ["page 2", "page 3"]
    with pytest.raises(ToolFailedError, match="there is no part '9'; give a page from 1 to 5"):
        await read(data, "p.pdf", "9")


async def test_what_is_known_of_an_image():
    found = await read(made.png(text="a red field"), "i.png")
    assert found.about == "PNG image, 40 x 30; ask_image looks at it"
    assert "Description: a red field" in found.text


async def test_a_page_is_its_main_text_and_its_links():
    page = (
        "<html><head><title>All about whales</title></head><body><nav><a href='/home'>Home</a></nav>"
        "<article><h1>Whales</h1>"
        + "<p>The blue whale is the largest animal that is known to have lived on this planet.</p>"
        * 4
        + "<table><tr><td>length</td><td>30 m</td></tr></table></article>"
        "<script>var evil = 'never shown';</script><a href='javascript:alert(1)'>x</a></body></html>"
    )
    found = await read(page.encode(), "w.html", url="http://sea.test/a/b")
    assert found.about.startswith(("All about whales", "Whales"))
    assert "largest animal" in found.text
    assert "30 m" in found.text
    assert "never shown" not in found.text
    assert found.links == [("Home", "http://sea.test/home")]


@pytest.mark.parametrize("name", ["1abc.pdb", "data.csv", "code.py", "x.json", "x.xml"])
async def test_text_of_any_sort_stays_as_it_is(name):
    assert (await read(b"ATOM 1,2 <a>&b;</a>\n", name)).text == "ATOM 1,2 <a>&b;</a>\n"


async def test_archives_are_listed_and_a_member_is_read_by_its_own_kind():
    inner = made.zipped({"deep.txt": b"deep"})
    data = made.zipped({"d/t.xlsx": made.xlsx([["in a zip"]]), "a.txt": b"plain", "in.zip": inner})
    assert "a.txt\t5 bytes" in (await read(data, "z.zip")).text
    assert (await read(data, "z.zip", "d/t.xlsx")).parts[0].text == "in a zip"
    assert "deep.txt" in (await read(data, "z.zip", "in.zip")).text
    with pytest.raises(ToolFailedError, match=r"there is no 'b\.txt' in it; there is d/t\.xlsx, a\.txt"):
        await read(data, "z.zip", "b.txt")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
async def test_tars_however_packed(mode):
    data = made.tarred({"a/b.txt": b"hello"}, mode)
    assert (await read(data, "t.tar")).text == "a/b.txt\t5 bytes"
    assert (await read(data, "t.tar", "a/b.txt")).text == "hello"


async def test_a_single_packed_file_is_unpacked_once():
    assert (await read(gzip.compress(b"x,y\n"), "t.csv.gz")).text == "x,y\n"
    with pytest.raises(ToolFailedError, match="compressed once more; it is not unpacked twice"):
        await read(gzip.compress(gzip.compress(b"x")), "t.gz")


# Hostile files


async def test_names_with_dots_and_links_lead_nowhere(tmp_path):
    data = made.zipped({"../../evil.txt": b"only text", "/etc/cron.d/x": b"*"})
    assert "../../evil.txt" in (await read(data, "z.zip")).text
    assert (await read(data, "z.zip", "../../evil.txt")).text == "only text"
    tar = made.tarred({"../up": b"up"}, links={"passwd": "/etc/passwd"})
    with pytest.raises(ToolFailedError, match="there is no 'passwd' in it"):
        await read(tar, "t.tgz", "passwd")
    assert not list(tmp_path.iterdir())


def bomb(size: int) -> bytes:
    """A zip with one member that unpacks to `size` bytes of zeros: one packed block, again and again."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(2**24)
    body = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)) * (size // len(block)) + packer.flush()
    small = size & 0xFFFFFFFF if size < 2**32 else 0xFFFFFFFF
    extra = struct.pack("<HHQQ", 1, 16, size, len(body)) if size >= 2**32 else b""
    length = len(body) if size < 2**32 else 0xFFFFFFFF
    head = struct.pack("<HHHHHIIIHH", 45, 0, 8, 0, 0, 0, length, small, 8, len(extra)) + b"zero.txt" + extra
    local = b"PK\x03\x04" + head
    entry = (
        b"PK\x01\x02" + struct.pack("<H", 45) + head[: -len(b"zero.txt" + extra)] + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    )
    entry += b"zero.txt" + extra
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(body), 0)
    return local + body + entry + end


async def test_ten_gigabytes_in_a_zip_are_listed_and_not_unpacked():
    data = bomb(10 * 2**30)
    assert len(data) < 12_000_000
    began = time.monotonic()
    assert "10,737,418,240 bytes" in (await read(data, "b.zip")).text
    with pytest.raises(ToolFailedError, match="unpacks to more than 50,000,000 bytes"):
        await read(data, "b.zip", "zero.txt")
    assert time.monotonic() - began < 30


async def test_a_tar_that_unpacks_without_end_is_given_up():
    out = io.BytesIO()
    with gzip.open(out, "wb", 1) as packed:
        member = tarfile.TarInfo("zeros")
        member.size = 2**30
        packed.write(member.tobuf())
        for _ in range(64):
            packed.write(bytes(2**24))
    with pytest.raises(ToolFailedError, match="unpacks to more than 500,000,000 bytes"):
        await read(out.getvalue(), "t.tar.gz")


def many_entries(count: int, claimed: int) -> bytes:
    """A zip whose directory has `count` entries for the same empty file."""
    fields = (20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", *fields[1:3], *fields[3:]) + b"x"
    entry = b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", *fields[:-1], 0, 0, 0, 0, 0, 0) + b"x"
    size, place = len(entry) * count, len(local)
    end64 = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, claimed, claimed, size, place)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, place + size, 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return local + entry * count + end64 + locator + end


async def test_a_million_entries_are_not_opened():
    assert "zip archive of 3 entries" in (await read(many_entries(3, 3), "m.zip")).about
    with pytest.raises(ToolFailedError, match="1,000,000 entries; archives of more than 100,000 are not opened"):
        await read(many_entries(1_000_000, claimed=5), "m.zip")


async def test_entities_that_multiply_are_refused_or_bounded():
    laughs = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(10)
    )
    rows = '<sheetData><row><c t="str"><v>&k;</v></c></row></sheetData>'
    sheet = f'<?xml version="1.0"?>{laughs}]><worksheet>{rows}</worksheet>'
    book = made.xlsx([["x"]])
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else old.read(name))
    with pytest.raises(ToolFailedError, match="EntitiesForbidden"):
        await read(out.getvalue(), "t.xlsx")


async def test_an_outside_entity_brings_no_file_of_the_host(tmp_path):
    (tmp_path / "secret").write_text("s3cret")
    body = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        "<w:body><w:p><w:r><w:t>[&e;]</w:t></w:r></w:p></w:body></w:document>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made.docx())) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, body if name == "word/document.xml" else old.read(name))
    try:
        text = (await read(out.getvalue(), "t.docx")).text
    except ToolFailedError as error:
        text = str(error)
    assert "s3cret" not in text


async def test_an_image_of_a_billion_pixels_is_described_and_not_shown():
    data = made.png(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", 60_000, 60_000), 1)
    head = data[12:29]
    data = data.replace(data[29:33], struct.pack(">I", zlib.crc32(head)), 1)
    assert "60000 x 60000" in (await read(data, "i.png")).about
    with pytest.raises(ToolFailedError, match="more than are looked at"):
        await Reader(SandboxConfig()).shown(data, "i.png")


@pytest.mark.parametrize("name", ["a.pdf", "a.xlsx", "a.docx", "a.pptx", "a.zip", "a.tar.gz", "a.png", "a.bz2", "a.xz"])
async def test_damaged_files_of_every_kind_are_told_in_one_line(name):
    beginnings = {
        "pdf": b"%PDF-1.5\n",
        "png": b"\x89PNG\r\n\x1a\n",
        "gz": b"\x1f\x8b\x08",
        "bz2": b"BZh9",
        "xz": b"\xfd7zXZ\0",
    }
    data = beginnings.get(name.rpartition(".")[2], b"PK\x03\x04") + os.urandom(300)
    with pytest.raises(ToolFailedError, match="cannot be read") as caught:
        await read(data, name)
    assert "\n" not in str(caught.value)


async def test_pages_that_refer_to_each_other_in_a_circle_do_not_hang():
    data = made.pdf(["x"]).replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]")
    began = time.monotonic()
    with pytest.raises(ToolFailedError, match="cannot be read"):
        await read(data, "p.pdf", "1")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.xls", "a format of Office before 2007"),
        (b"\x7fELF\0\0\0\0" * 9, "a.out", "no text and of no known kind"),
        (b"ID3\x03" + b"\0" * 9, "a.mp3", "no transcriber is configured"),
    ],
)
async def test_what_cannot_be_read_is_told(data, name, words):
    with pytest.raises(ToolFailedError, match=words):
        await read(data, name)


async def test_a_missing_library_names_the_extra(monkeypatch):
    from deepagent.toolsets.research import reading

    monkeypatch.setitem(reading._PACKAGES, "pdf", ("no-such-package",))
    with pytest.raises(ToolFailedError, match=r"needs the extra: pip install 'deepagent\[research\]'"):
        await read(made.pdf(["x"]), "p.pdf")
