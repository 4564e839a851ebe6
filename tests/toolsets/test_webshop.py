"""WebShop: its pages, its reward, the made-up shop, the original's files, and visits over HTTP."""

import json
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from deepagent.errors import ToolFailedError, UsageError
from deepagent.toolsets.webshop import official
from deepagent.toolsets.webshop.catalogue import Goal, Product, Shop
from deepagent.toolsets.webshop.reward import reward, type_reward
from deepagent.toolsets.webshop.site import site
from deepagent.toolsets.webshop.synthetic import synthetic_shop
from deepagent.toolsets.webshop.toolset import WebShop
from deepagent.toolsets.webshop.visit import OwnVisit
from tests.toolsets.servers import serving


def product(asin="B000000001", title="Acme Running Shoes", **changes):
    given = {
        "asin": asin,
        "title": title,
        "category": "fashion",
        "query": "running shoes",
        "product_category": "Clothing › Shoes › Athletic",
        "description": "Light shoes.",
        "features": ("Rubber sole",),
        "options": {"color": ("red", "dark blue"), "size": ("8", "8 wide"), "style": ("plain", "classic red")},
        "attributes": ("rubber sole", "breathable"),
        "price": 40.0,
        "price_tag": "$40.0",
    }
    return Product(**given | changes)


SHOES = product()
GOAL = Goal(
    asin=SHOES.asin,
    instruction="i need running shoes",
    attributes=("rubber sole", "breathable"),
    options=("red", "8"),
    price_upper=50.0,
)
RIGHT = {"color": "red", "size": "8"}


def judged(bought=SHOES, goal=GOAL, chosen=RIGHT, wanted=SHOES):
    """Published, corrected."""
    worth = reward(bought, wanted, goal, chosen)
    return worth.published, worth.corrected


# The reward, rule by rule. There are 2 attributes, 2 options and the price: 5 parts.


def test_all_that_was_asked_for_is_worth_one():
    assert judged() == (1, 1)


def test_each_missing_option_costs_its_part():
    assert judged(chosen={}) == (3 / 5, 3 / 5)
    assert judged(chosen={"color": "red"}) == (4 / 5, 4 / 5)


def test_sizes_are_compared_exactly_and_other_options_alike():
    assert judged(chosen={"color": "red", "size": "8 wide"}) == (4 / 5, 4 / 5)
    assert judged(chosen={"style": "classic red", "size": "8"}) == (1, 1)


def test_colours_are_compared_by_their_plain_names():
    goal = GOAL.model_copy(update={"options": ("blue", "8")})
    assert judged(goal=goal, chosen={"color": "light blue", "size": "8"}) == (1, 1)
    plain = GOAL.model_copy(update={"options": ("navy blue", "8")})
    assert judged(goal=plain, chosen={"color": "blue sky", "size": "8"}) == (1, 1)
    assert judged(goal=plain, chosen={"color": "red", "size": "8"}) == (4 / 5, 4 / 5)


def test_attributes_count_when_the_product_has_them_or_says_them():
    bare = product(attributes=("breathable",))
    assert judged(bare) == (1, 1), "its features say: rubber sole"
    assert judged(product(attributes=("breathable",), features=())) == (4 / 5, 4 / 5)
    assert judged(product(attributes=("sole made of rubber",), features=(), description="breathable")) == (1, 1)


def test_too_high_a_price_costs_its_part():
    assert judged(product(price=50.0)) == (1, 1)
    assert judged(product(price=50.01)) == (4 / 5, 4 / 5)


def test_two_choices_for_one_wish_count_twice_only_as_published():
    assert judged(chosen={**RIGHT, "style": "classic red"}) == (6 / 5, 1)


def test_a_choice_that_nobody_wanted_counts_only_as_published_when_the_text_holds_it():
    goal = GOAL.model_copy(update={"options": ("green", "8")})
    assert judged(product(description="a red shoe"), goal, RIGHT) == (1, 4 / 5)


@pytest.mark.parametrize(
    ("bought", "worth"),
    [
        (SHOES, 1),
        (product(title="Bolt Shoes"), 1),
        (product(title="Shoes", query="x", product_category="A › B"), 1),  # a third of the nouns
        (product(title="Lamp"), 0),
    ],
)
def test_the_type_is_judged_by_nouns_first(bought, worth):
    assert type_reward(bought, SHOES) == worth


def test_of_few_common_nouns_query_and_category_decide():
    wanted = product(title="Acme Canvas Travel Duffel Weekender Holdall")
    other = {"query": "x", "product_category": "A › B"}
    assert type_reward(product(title="Canvas Lamp", **other), wanted) == 0.5
    assert type_reward(product(title="Canvas Lamp"), wanted) == 1
    assert type_reward(product(title="Canvas Lamp", **other | {"query": "running shoes"}), wanted) == 1
    many = product(title=" ".join(f"{letter}word" for letter in "abcdefghijkl"))
    assert type_reward(product(title="aword"), many) == 0.1
    assert type_reward(product(title="aword"), product(title="black 12")) == 1, "without a noun the query decides"


# Pages and actions.


SHOP = synthetic_shop()


async def test_pages_read_as_the_originals_do():
    goal = SHOP.goals[0]
    visit, wanted = OwnVisit(SHOP, goal), SHOP.products[goal.asin]
    assert await visit.look() == f"WebShop [SEP] Instruction: [SEP] {goal.instruction} [SEP] Search"
    results = (await visit.search(wanted.title)).split(" [SEP] ")
    assert results[2:5] == ["Back to Search", "Page 1 (Total results: 50)", "Next >"]
    assert results[5:8] == [wanted.asin, wanted.title, wanted.price_tag]
    assert "Page 2 (Total results: 50) [SEP] < Prev [SEP] Next >" in await visit.click("next >")
    await visit.click("< PREV")
    item = await visit.click(wanted.asin.lower())
    assert item.endswith("[SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now")
    assert wanted.description in await visit.click("Description")
    assert item == await visit.click("< Prev")
    for option in goal.options:
        assert await visit.click(option) == item
    assert visit.reward is None
    assert (await visit.click("Buy Now")).endswith("Your score (min 0.0, max 1.0) [SEP] 1.0")
    assert visit.reward is not None


async def test_what_is_not_on_the_page_cannot_be_clicked():
    visit = OwnVisit(SHOP, SHOP.goals[0])
    with pytest.raises(ToolFailedError, match="use search"):
        await visit.click("Buy Now")
    await visit.search("tea")
    with pytest.raises(ToolFailedError, match=r"no 'Buy Now' on this page; .*'back to search'"):
        await visit.click("Buy Now")
    with pytest.raises(ToolFailedError, match="empty"):
        await visit.search(" ")


async def test_a_new_search_forgets_the_options():
    goal = SHOP.goals[0]
    visit = OwnVisit(SHOP, goal)
    for _ in range(2):
        await visit.search(SHOP.products[goal.asin].title)
        await visit.click(goal.asin)
        chosen = [part.text for part in visit.page.parts if part.chosen]
        assert not chosen
        await visit.click(goal.options[0])
        assert [part.text for part in visit.page.parts if part.chosen] == [goal.options[0]]


async def test_after_a_purchase_the_visit_is_over():
    goal = SHOP.goals[0]
    toolset = WebShop.own(SHOP, goal)
    search, click, look = toolset.tools
    await search.invoke({"keywords": SHOP.products[goal.asin].title})
    await click.invoke({"value": goal.asin})
    assert not toolset.done
    await click.invoke({"value": "Buy Now"})
    assert toolset.done
    with pytest.raises(ToolFailedError, match="over"):
        await search.invoke({"keywords": "another"})
    assert "Thank you" in await look.invoke({})


def test_the_same_seed_makes_the_same_shop():
    assert synthetic_shop().goals == SHOP.goals
    assert synthetic_shop(1).goals != SHOP.goals
    assert len(SHOP.products) == 1200


def test_no_page_shows_what_only_the_goal_knows():
    goal = Goal(asin=SHOES.asin, instruction="buy shoes", attributes=("zzz",), options=("qqq",), price_upper=77.77)
    visit = OwnVisit(Shop([SHOES], [goal]), goal)
    assert not any(secret in visit.page.text for secret in ("zzz", "qqq", "77.77", SHOES.asin))


# The original's files.

ITEM = {
    "asin": "B0ABCDEFGH",
    "name": "Acme Running Shoes",
    "category": "fashion",
    "query": " Running Shoes ",
    "product_category": "Clothing › Shoes",
    "full_description": "Light.",
    "small_description": ["Rubber sole"],
    "pricing": "$30.00$1,040.00",
    "images": ["x"],
    "customization_options": {"Color": [{"value": " Red/White ", "image": None}], "Size": None},
}


def files(folder, items):
    (folder / "items.json").write_text(json.dumps(items))
    (folder / "ins.json").write_text(json.dumps({ITEM["asin"]: {"attributes": ["rubber sole"]}}))
    written = {"instruction": "buy shoes.", "instruction_attributes": ["rubber sole"], "instruction_options": ["red"]}
    unusable = {"instruction": "buy", "instruction_attributes": [], "instruction_options": []}
    (folder / "human.json").write_text(json.dumps({ITEM["asin"]: [written, unusable]}))
    reviews = [
        {"asin": ITEM["asin"], "average_rating": "4.5", "reviews": [{"title": "t", "stars": "4", "review": "b"}]}
    ]
    (folder / "reviews.json").write_text(json.dumps(reviews))
    return official.Files(
        items=folder / "items.json",
        attributes=folder / "ins.json",
        instructions=folder / "human.json",
        reviews=folder / "reviews.json",
    )


def test_item_files_are_read_as_the_original_reads_them(tmp_path):
    shop = official.load(files(tmp_path, [ITEM, ITEM, ITEM | {"asin": "nan"}, ITEM | {"asin": "B" * 11}]))
    (read,) = shop.products.values()
    assert read.options == {"color": ("red | white",)}
    assert (read.query, read.price_tag, read.rating) == ("running shoes", "$30.0 to $1040.0", "4.5")
    assert 30 <= read.price <= 1040
    assert read.reviews[0].body == "b"
    (goal,) = shop.goals
    assert goal.instruction.startswith("buy shoes")
    assert not goal.instruction.startswith("buy shoes.")
    assert official.load(files(tmp_path, [ITEM])).goals == shop.goals, "prices and bounds are the same every time"


def test_files_that_are_something_else_are_told_in_one_line(tmp_path):
    with pytest.raises(UsageError, match="not WebShop's item files"):
        official.load(files(tmp_path, [{"asin": "B1"}]))
    given = files(tmp_path, [ITEM])
    with pytest.raises(UsageError, match="cannot be read"):
        official.load(given.model_copy(update={"items": tmp_path / "none.json"}))


# The web site, and visits over HTTP.


@pytest.fixture(scope="module")
def url():
    with serving(site(SHOP)) as url:
        yield url


async def test_a_visit_over_http_is_the_same_as_one_in_this_process(url):
    goal = SHOP.goals[3]
    title = SHOP.products[goal.asin].title
    own, remote = WebShop.own(SHOP, goal), WebShop.remote(url, 3)
    steps = [
        ("search", {"keywords": title}),
        ("click", {"value": "Next >"}),
        ("click", {"value": "< Prev"}),
        ("click", {"value": goal.asin}),
        *(("click", {"value": option}) for option in goal.options),
        ("click", {"value": "Reviews"}),
        ("click", {"value": "< Prev"}),
        ("click", {"value": "Buy Now"}),
    ]
    async with remote:
        for name, arguments in steps:
            shown = []
            for toolset in (own, remote):
                (made,) = (tool for tool in toolset.tools if tool.name == name)
                shown.append(await made.invoke(arguments))
            assert shown[0] == shown[1]
        assert own.reward == remote.reward
        assert remote.done


async def test_a_click_on_what_a_remote_page_does_not_have_is_refused(url):
    async with WebShop.remote(url, 0) as remote:
        _, click, look = remote.tools
        with pytest.raises(ToolFailedError, match="use search"):
            await click.invoke({"value": "search"})
        assert SHOP.goals[0].instruction in await look.invoke({})


ORIGINALS_LAST_PAGE = """<html><head><title>WebShop</title></head><body>
<h1>Thank you for shopping with us!</h1>
<div style="display:none"><h4 id="goal-asin">asin<pre>B0SECRET</pre></p></h4></div>
<h3 id="reward">Your score (min 0.0, max 1.0)<pre>0.75</pre></h3>
<h4 hidden>Reward Details <div><pre>secret</pre></div></h4></body></html>"""


async def test_the_originals_last_page_gives_the_score_and_hides_the_goal():
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    start = '<form action="/done" method="post"><button class="btn">Buy Now</button></form>'
    app = Starlette(
        routes=[
            Route("/fixed_0", lambda request: HTMLResponse(start)),
            Route("/done", lambda request: HTMLResponse(ORIGINALS_LAST_PAGE), methods=["POST"]),
        ]
    )
    with serving(app) as url:
        async with WebShop.remote(url, 0) as remote:
            shown = await remote.tools[1].invoke({"value": "Buy Now"})
            assert (remote.reward.published, remote.reward.corrected) == (0.75, 0.75)
    assert "secret" not in shown.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/fixed_9999",
        "/abc",
        "/item_page/fixed_0/B0/tea/1/%7B%7D",
        "/item_page/fixed_0/{asin}/tea/1/nonsense",
        "/item_page/fixed_0/{asin}/tea/1/" + quote('{"color": "<script>"}'),
        "/search_results/fixed_0/tea/0",
    ],
)
def test_addresses_that_were_made_up_lead_nowhere(url, path):
    import urllib.error

    with pytest.raises(urllib.error.HTTPError, match="404"):
        urlopen(url + path.format(asin=SHOP.goals[0].asin) if "{asin}" in path else url + path)


def test_what_products_say_is_text_and_no_markup():
    hostile = '"><script>alert(1)</script>'
    listed = product(title=hostile, options={hostile: (hostile,)})
    goal = GOAL.model_copy(update={"instruction": hostile})
    words = quote('"><script>alert', safe="")
    with serving(site(Shop([listed], [goal]))) as url:
        for path in (f"/search_results/fixed_0/{words}/1", f"/item_page/fixed_0/{listed.asin}/{words}/1/%7B%7D"):
            assert b"<script>alert" not in urlopen(url + path).read()
