"""One call: arguments become a request, a response becomes a result."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from deepagent.errors import InvalidArgumentsError, ToolFailedError
from deepagent.tools import Arguments, well_formed
from deepagent.toolsets.http import Request, Response
from deepagent.toolsets.openapi import bodies, styles
from deepagent.toolsets.openapi.operations import Operation
from deepagent.toolsets.openapi.security import Additions

_EXCERPT_CHARS = 600
_PREVIEW_CHARS = 4000
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_TOKENS = ("pagetoken", "cursor", "after", "startingafter", "continuationtoken", "marker", "startkey")
_FIELDS: dict[str, tuple[str, ...]] = {
    "next": _TOKENS,
    "nextcursor": _TOKENS,
    "nextpagetoken": _TOKENS,
    "nexttoken": _TOKENS,
    "nextmarker": _TOKENS,
    "nextpage": ("page", "pagenumber"),
    "nextoffset": ("offset", "skip"),
    "nextlink": (),
    "nexturl": (),
}
"""How a field of a body that leads on is called, and the parameters that its value may be for, in plain letters."""

_ABOUT_PAGES = ("links", "_links", "meta", "paging", "pagination", "response_metadata", "page_info", "pageInfo")
_NEXT = re.compile(r"<([^<>]*)>([^<]*)")


def build(operation: Operation, server: str, arguments: Arguments, extra: Additions) -> Request:
    """The request of a call.

    Raises:
        InvalidArgumentsError: a value cannot be sent in its place.
    """
    paths: dict[str, str] = {}
    query = [f"{quote(name, safe='')}={value}" for name, value in extra.query.items()]
    cookies = [f"{name}={value}" for name, value in extra.cookies.items()]
    headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": "deepagent"}
    for name, value in arguments.items():
        how = operation.spellings.get(name)
        if how is None or (value is None and how.where != "path"):
            continue
        if how.where == "path":
            paths[how.name] = styles.path(how, value)
        elif how.where == "query":
            query += styles.query(how, value)
        elif how.where == "header":
            headers[_header_name(how.name)] = styles.header(how, value)
        elif written := styles.cookie(how, value):
            cookies.append(written)
    content = None
    if operation.body is not None and operation.body.argument in arguments:
        content, headers["Content-Type"] = bodies.write(operation.body, arguments[operation.body.argument])
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    path = _PLACEHOLDER.sub(lambda match: paths.get(match.group(1), ""), operation.path)
    # What stands in the document beside the placeholders may hold anything; what was filled in is encoded already.
    url = server + quote(path, safe="/:@!$&'()*+,;=%?#[]~") + (f"?{'&'.join(query)}" if query else "")
    return Request(operation.method, url, headers | extra.headers, content)


def preview(request: Request) -> str:
    """A request as people read it."""
    lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())]
    if request.body is not None:
        text = request.body.decode("utf-8", "backslashreplace")
        cut = f"\n[... {len(request.body)} bytes in all]" if len(text) > _PREVIEW_CHARS else ""
        lines += ["", text[:_PREVIEW_CHARS] + cut]
    return "\n".join(lines)


def result(operation: Operation, response: Response, path: Any) -> Any:
    """What a call gives: JSON as it is, text as text, anything else by size and type.

    What a server claims of its content is not believed where the content says otherwise. Where the server names a
    next page, in a Link header or a usual field of the body, the result is an object of `data` and `next`, the
    arguments that lead there.

    Args:
        operation: what was called.
        response: what came back.
        path: a compiled JSON path that selects what is wanted, or None for all.

    Raises:
        ToolFailedError: the server refused, in its own words.
    """
    value = content(response)
    if not 200 <= response.status < 300:
        told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        raise ToolFailedError(
            f"{operation.name} failed: the server answered {response.status}: "
            f"{well_formed(' '.join(told.split())[:_EXCERPT_CHARS]) or 'nothing'}"
        )
    following = _next_page(operation, response.headers.get("link", "")) or _next_in_body(operation, value)
    if path is not None:
        found = path.find(value)
        value = found.values()[0] if path.singular_query() and found else found.values()
    return {"data": value, "next": following} if following else value


def content(response: Response) -> Any:
    """The body as JSON where it is that, else as text, else described."""
    if not response.body:
        return ""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        pass
    if response.charset is None and b"\0" not in response.body[:4096]:
        try:
            return response.body.decode("utf-8")
        except UnicodeDecodeError:
            pass
    elif response.charset is not None:
        return response.text()
    return f"[{response.kind or 'data'}, {len(response.body)} bytes]"


def _next_page(operation: Operation, link: str) -> dict[str, str]:
    """Arguments of the next page, from a Link header; values as text, which fits numbers too."""
    for url, attributes in _NEXT.findall(link[:8192]):
        if re.search(r';\s*rel="?next"?(?:[\s;,]|$)', attributes, re.IGNORECASE):
            return _query_of(operation, url)
    return {}


def _next_in_body(operation: Operation, value: Any) -> dict[str, str]:
    """Arguments of the next page, from a field that APIs usually name it by: an address, a token, a number."""
    if not isinstance(value, dict):
        return {}
    inner = [value[name] for name in _ABOUT_PAGES if isinstance(value.get(name), dict)]
    for place in (value, *inner):
        for field, told in place.items():
            plain = _plain(field)
            if plain not in _FIELDS or isinstance(told, bool) or not isinstance(told, (str, int)) or told == "":
                continue
            if isinstance(told, str) and ("/" in told or told.startswith("?")):
                found = _query_of(operation, told)
            else:
                wanted = (plain.removeprefix("next"), *_FIELDS[plain])
                names = {_plain(how.name): name for name, how in operation.spellings.items() if how.where == "query"}
                found = next(({names[one]: str(told)} for one in wanted if one in names), {})
            if found:
                return found
    return {}


def _query_of(operation: Operation, url: str) -> dict[str, str]:
    """The operation's own arguments in a URL."""
    try:
        given = parse_qs(urlsplit(url).query)
    except ValueError:
        return {}
    named = {how.name: name for name, how in operation.spellings.items() if how.where == "query"}
    return {named[key]: values[-1] for key, values in given.items() if key in named}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise InvalidArgumentsError(f"the API's document names a header {name[:40]!r}, which cannot be sent")
    return name
