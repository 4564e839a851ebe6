"""Real files for the tests, made by the libraries that make such files."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any


def saved(save: Callable[[Any], Any]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def xlsx(rows: list[list[Any]], name: str = "Prices") -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = name
    for row in rows:
        book.active.append(row)
    book.create_sheet("Empty")
    return saved(book.save)


def docx() -> bytes:
    import docx as library

    document = library.Document()
    document.add_heading("Whales", 1)
    document.add_paragraph("The largest one is blue.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "length", "30 m"
    document.add_paragraph("The end.")
    return saved(document.save)


def pptx() -> bytes:
    import pptx as library

    show = library.Presentation()
    for title in ("First", "Second"):
        slide = show.slides.add_slide(show.slide_layouts[0])
        slide.shapes.title.text = title
    show.slides[1].notes_slide.notes_text_frame.text = "say it slowly"
    return saved(show.save)


def pdf(pages: list[str]) -> bytes:
    """A PDF of plain text, written by hand: each page one line."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    out, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF"
    return out.encode()


def png(width: int = 40, height: int = 30, text: str = "") -> bytes:
    from PIL import Image, PngImagePlugin

    about = PngImagePlugin.PngInfo()
    about.add_text("Description", text)
    return saved(lambda out: Image.new("RGB", (width, height), "red").save(out, "PNG", pnginfo=about))


def zipped(files: dict[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz", links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    return out.getvalue()
