"""The shop as a web site, to shop by hand: the original's addresses and forms, with pages of our own.

`python -m deepagent.toolsets.webshop` serves it on loopback. An agent can visit it as it visits the original's server.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deepagent.toolsets.webshop.catalogue import Goal, Shop
from deepagent.toolsets.webshop.pages import Page, Part, View, render
from deepagent.toolsets.webshop.reward import reward

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
form { display: inline-block; margin: 0 .5rem .5rem 0; }
button, .chosen { padding: .3rem .8rem; } label { margin-right: .8rem; } .chosen { font-weight: bold; }
#instruction-text { border-left: 3px solid; padding-left: 1rem; }
"""
_HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>WebShop</title>
<meta name="viewport" content="width=device-width"><style>{style}</style></head><body>{body}
<script>document.querySelectorAll('input[type=radio]').forEach(one =>
one.addEventListener('change', () => location.assign(one.dataset.url)))</script></body></html>"""


def site(shop: Shop) -> Starlette:
    """The site as an ASGI application. `/fixed_N` is a visit with the N-th goal, `/` one with the first."""
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
    from starlette.routing import Route

    def shown(request: Request, view: View) -> Response:
        session = request.path_params["session"]
        goal = _goal(shop, session)
        known = not view.asin or view.asin in shop.products
        if goal is None or not known or not _may_be(shop, view):
            return PlainTextResponse("there is no such page", 404)
        score = 0.0
        if view.place == "done":
            score = reward(shop.products[view.asin], shop.products[goal.asin], goal, view.options).published
        return HTMLResponse(_html(session, render(shop, goal.instruction, view, score)))

    async def index(request: Request) -> Response:
        if request.method == "POST":
            words = str((await request.form()).get("search_query", "")).strip().lower()
            if words:
                return RedirectResponse(_url(request.path_params["session"], View("results", words)), 302)
        return shown(request, View())

    async def inner(request: Request) -> Response:
        view = _view(request.url.path.split("/")[1], request.path_params)
        return shown(request, view) if view else PlainTextResponse("there is no such page", 404)

    async def home(request: Request) -> Response:
        return RedirectResponse("/fixed_0", 302)

    both = ["GET", "POST"]
    item = "{session}/{asin}/{keywords}/{number:int}"
    return Starlette(
        routes=[
            Route("/", home),
            Route("/search_results/{session}/{keywords}/{number:int}", inner, methods=both),
            Route(f"/item_page/{item}/{{options}}", inner, methods=both),
            Route(f"/item_sub_page/{item}/{{sub}}/{{options}}", inner, methods=both),
            Route(f"/done/{item}/{{options}}", inner, methods=both),
            Route("/{session}", index, methods=both),
        ]
    )


def _goal(shop: Shop, session: str) -> Goal | None:
    number = session.removeprefix("fixed_")
    fits = session.startswith("fixed_") and number.isascii() and number.isdigit() and int(number) < len(shop.goals)
    return shop.goals[int(number)] if fits else None


_PLACES: dict[str, Any] = {"search_results": "results", "item_page": "item", "item_sub_page": "sub", "done": "done"}
_ADDRESSES = {place: address for address, place in _PLACES.items()}


def _view(address: str, given: dict[str, Any]) -> View | None:
    """The place that an address names."""
    try:
        options = json.loads(given.get("options", "{}"))
    except ValueError:
        return None
    if not isinstance(options, dict) or given["number"] < 1:
        return None
    keywords, asin = given["keywords"].replace("\N{DIVISION SLASH}", "/"), given.get("asin", "")
    return View(_PLACES[address], keywords, given["number"], asin, options, given.get("sub", ""))


def _may_be(shop: Shop, view: View) -> bool:
    """Whether the options are the product's: an address can be typed by hand."""
    product = shop.products.get(view.asin)
    return all(product and value in product.options.get(name, ()) for name, value in view.options.items())


def _url(session: str, view: View) -> str:
    if view.place == "index":
        return f"/{session}"
    # A slash, also an encoded one, would end the part of the path.
    parts = [_ADDRESSES[view.place], session, view.asin, view.keywords.replace("/", "\N{DIVISION SLASH}"), view.number]
    parts += [view.sub] if view.place == "sub" else []
    parts += [] if view.place == "results" else [json.dumps(view.options).replace("/", "\\u002f")]
    return "/" + "/".join(quote(str(part), safe="") for part in parts if part != "")


def _html(session: str, page: Page) -> str:
    body = "\n".join(_part(session, part, number) for number, part in enumerate(page.parts))
    return _HTML.format(style=_STYLE, body=body)


def _part(session: str, part: Part, number: int) -> str:
    text = escape(part.text)
    url = escape(_url(session, part.target)) if part.target else ""
    if part.kind == "option":
        checked = " checked" if part.chosen else ""
        name, id = escape(part.group), f"option{number}"
        radio = f'<input type="radio" id="{id}" name="{name}" value="{text}" data-url="{url}"{checked}>'
        return f'{radio}<label for="{id}">{text}</label>'
    if part.kind == "link":
        return f'<h3><a class="product-link" href="{url}">{text}</a></h3>'
    if part.kind == "title":
        return f"<h1>{text}</h1>"
    if part.kind == "button" and part.target is None:  # the search
        field = '<input id="search_input" name="search_query" aria-label="Search" required>'
        return f'<form method="post" action="/{session}">{field} <button class="btn">{text}</button></form>'
    if part.kind == "button":
        return f'<form method="post" action="{url}"><button class="btn">{text}</button></form>'
    id = {"instruction": ' id="instruction-text"', "score": ' id="reward"'}.get(part.kind, "")
    return f"<p{id}>{text}</p>"
