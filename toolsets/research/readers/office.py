"""Spreadsheets, text documents and slides of the Office formats."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from typing import Any

from .document import Document, Limit, Part, chosen

_MOST_COLUMNS = 500


def read_xlsx(data: bytes, part: str) -> Document:
    """Sheets as lines of tab-separated values; formulas as their last result."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    names = list(book.sheetnames)
    limit = Limit()
    parts = []
    for name in chosen(names, part) if part else names:
        sheet = book[name]
        if not hasattr(sheet, "iter_rows"):
            parts.append(Part(name, "[a chart]"))
            continue
        sheet.reset_dimensions()  # what the file claims of its size is not believed
        parts.append(Part(name, "\n".join(limit.take(_rows(sheet)))))
    return Document(f"spreadsheet with the sheets {', '.join(names)}", parts, [limit.reached] if limit.reached else [])


def _rows(sheet: Any) -> Iterator[str]:
    empty = 0
    for row in sheet.iter_rows(values_only=True):
        line = "\t".join(_cell(value) for value in row[:_MOST_COLUMNS]).rstrip("\t")
        if not line:
            empty += 1
            continue
        yield from [""] * min(empty, 3)
        empty = 0
        yield line


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return " ".join(str(value).split())


def read_docx(data: bytes, part: str) -> Document:
    """Paragraphs and tables in their order; headings are marked."""
    import docx

    document = docx.Document(io.BytesIO(data))
    limit = Limit()
    text = "\n".join(limit.take(_blocks(document)))
    about = f"text document {document.core_properties.title!r}" if document.core_properties.title else "text document"
    return Document(about, [Part("text", text)], [limit.reached] if limit.reached else [])


def _blocks(document: Any) -> Iterator[str]:
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            yield from _table(block)
        elif block.text.strip():
            style = block.style.name if block.style is not None else ""
            level = style.removeprefix("Heading ") if style.startswith("Heading ") else ""
            yield f"{'#' * int(level)} {block.text}" if level.isdigit() else block.text


def _table(table: Any) -> Iterator[str]:
    for row in table.rows:
        yield "\t".join(" ".join(cell.text.split()) for cell in row.cells)


def read_pptx(data: bytes, part: str) -> Document:
    """Slides: their texts, tables and notes."""
    import pptx

    slides = pptx.Presentation(io.BytesIO(data)).slides
    names = [f"slide {number}" for number in range(1, len(slides) + 1)]
    wanted = set(chosen(names, part) if part else names)
    limit = Limit()
    parts = [
        Part(name, "\n".join(limit.take(_slide(slide))))
        for name, slide in zip(names, slides, strict=True)
        if name in wanted
    ]
    return Document(f"presentation of {len(names)} slides", parts, [limit.reached] if limit.reached else [])


def _slide(slide: Any) -> Iterator[str]:
    yield from _shapes(slide.shapes, 10)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        if notes:
            yield f"Notes: {notes}"


def _shapes(shapes: Any, depth: int) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes") and depth:
            yield from _shapes(shape.shapes, depth - 1)
        elif getattr(shape, "has_table", False):
            yield from _table(shape.table)
        elif shape.has_text_frame and shape.text_frame.text.strip():
            yield shape.text_frame.text
        elif hasattr(shape, "image"):
            yield f"[picture {shape.name}]"
