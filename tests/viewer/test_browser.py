"""The pages in a real browser, clicked through as people do, with a run as hostile and as long as can be."""

import threading

import pytest

from deepagent.runs.events import ApprovalAsked
from deepagent.runs.store import RunStore
from deepagent.viewer.server import Server
from tests.viewer.runs import HOSTILE, begin, end, step, write_run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
playwright = pytest.importorskip("playwright.sync_api", reason="`make test-browser` installs what drives a browser")

STEPS = 2_000
WAIT = 60_000
"""Milliseconds that a busy machine may take for what is not timed."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A store with a long hostile run, two that differ, one that waits for approval and one that goes on; by name."""
    path = tmp_path_factory.mktemp("store") / "runs.sqlite"
    with RunStore(path) as store:
        named = {"path": path, "store": store}
        named["long"] = write_run(store, STEPS, task=HOSTILE, answer=HOSTILE, huge_at=5)
        named["short"] = write_run(store, 12, task="count apples")
        other = begin(store, "count pears", model="large")
        for number in range(1, 9):
            step(other, number)
        end(other, 8, status="failed", answer=None)
        named["other"] = other.id
        waiting = begin(store, "delete an order")
        step(waiting, 1)
        waiting.append(ApprovalAsked(step=1, tool="delete_order", arguments={"id": 7}))
        named["waiting"] = waiting
        named["going"] = begin(store, "still going on")
        yield named


@pytest.fixture(scope="module")
def url(runs):
    """The page, served as `deepagent view` does."""
    server = Server(runs["path"])
    threading.Thread(target=server.run, daemon=True).start()
    return server.url.rstrip("/")


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium."""
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, url):
    """Opens pages; no script of a run may speak up, nothing may be asked of another host, nothing may go wrong."""
    wrong, contexts = [], []

    def start(address, **options):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
        page.on("pageerror", lambda error: wrong.append(f"error {error}"))
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else wrong.append(asked.url))
        page.goto(url + address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert wrong == []


def until(page, expression):
    """Wait for something in the page; Playwright's own way is what the page's policy forbids: to evaluate text."""
    for _ in range(WAIT // 100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {expression}")


def test_the_list_is_filtered_and_leads_to_a_run(open_page, runs):
    page = open_page("/")
    assert page.locator("tr[data-item]").count() == 5
    page.select_option("select[name=status]", "failed")
    page.wait_for_url("**status=failed**")
    assert page.locator("tr[data-item]").count() == 1
    page.click("text=show all")
    page.fill("[data-search]", "apples")
    page.press("[data-search]", "Enter")
    page.click("text=count apples")
    page.wait_for_url(f"**/runs/{runs['short']}")
    assert page.locator("#step-3").is_visible()


def test_two_thousand_steps_paint_in_two_seconds(open_page, runs):
    """The best of five loads, since the machine may have other things to do; each asks the server anew."""
    page = open_page(f"/runs/{runs['long']}")
    paints = []
    for _ in range(5):
        page.reload()
        until(page, "performance.getEntriesByName('first-contentful-paint').length > 0")
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    assert min(paints) < 2_000, paints
    assert page.locator("li.entry").count() < 200


def test_a_deep_link_finds_a_step_that_is_not_loaded_yet(open_page, runs):
    page = open_page(f"/runs/{runs['long']}#step-1503")
    page.wait_for_selector("#step-1503.here")
    until(page, "Math.abs(document.getElementById('step-1503').getBoundingClientRect().top) < 300")
    page.fill("[data-search]", "77")
    page.press("[data-search]", "Enter")
    page.wait_for_selector("#step-77.here")


def test_scrolling_brings_more(open_page, runs):
    page = open_page(f"/runs/{runs['long']}")
    before = page.locator("li.entry").count()
    page.evaluate("document.querySelector('[data-chunk]').scrollIntoView()")
    until(page, f"document.querySelectorAll('li.entry').length > {before}")


def test_ten_megabytes_are_cut_with_a_link_to_the_rest(open_page, runs):
    page = open_page(f"/runs/{runs['long']}#step-5")
    link = page.locator("#step-5 a", has_text="Raw text").last
    assert len(page.locator("#step-5").inner_text()) < 20_000
    answer = page.request.get(link.evaluate("link => link.href"))
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(answer.body()) > 10_000_000


def test_a_fold_shows_what_changed(open_page, runs):
    page = open_page(f"/runs/{runs['long']}#fold-2")
    fold = page.locator("#fold-2")
    fold.wait_for()
    assert fold.locator(".memories section").count() == 3
    assert fold.locator("ins").count() > 0
    assert fold.locator("del").count() > 0


def test_two_runs_are_compared(open_page, runs):
    page = open_page("/")
    assert page.locator("[data-compare-button]").is_disabled()
    for name in ("short", "other"):
        page.check(f"input[value='{runs[name]}']")
    page.click("[data-compare-button]")
    page.wait_for_url("**/compare?**")
    assert page.locator("tr.split").count() == 1


def test_a_call_is_approved(open_page, runs):
    waiting = runs["waiting"]
    page = open_page(f"/runs/{waiting.id}")
    page.click("button:text-is('Approve')")
    page.wait_for_selector("text=the run goes on with it")
    decision = runs["store"].decisions.of(waiting.id, 1, 0)
    assert (decision.approved, decision.by) == (True, "page")


def test_a_run_is_followed(open_page, runs):
    log = runs["going"]
    page = open_page(f"/runs/{log.id}")
    step(log, 1)
    page.wait_for_selector("#step-1")
    page.locator("#step-1 summary").first.click()
    step(log, 2)
    page.wait_for_selector("#step-2")
    assert page.locator("#step-1 details[open]").count() == 1, "what the reader opened stays open"
    end(log, 2)
    page.wait_for_selector("#head .status.answered")


def test_the_keyboard_is_enough(open_page, runs):
    page = open_page("/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    task = page.locator("tr.here .task").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/**")
    assert page.locator("h1").inner_text() == task
    page.keyboard.press("u")
    page.wait_for_selector("table.runs")
    page.wait_for_load_state()  # keys are heard once the page's script has run
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.matches('[data-search]')")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.goto(page.url.rstrip("/") + f"/runs/{runs['long']}")
    for _ in range(45):
        page.keyboard.press("j")
    until(page, "[...document.querySelectorAll('.here')].some((one) => Number(one.dataset.index) > 10)")
    page.keyboard.press("Enter")
    assert page.locator(".here details[open]").count() > 0


@pytest.mark.parametrize("address", ["/", "/runs/{long}", "/runs/{long}#fold-1", "/compare?run={short}&run={other}"])
def test_nothing_is_cut_off_on_a_phone(open_page, runs, address):
    page = open_page(address.format(**runs), viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(open_page, runs, scheme):
    page = open_page(f"/runs/{runs['short']}", color_scheme=scheme)
    ratios = page.evaluate(CONTRAST)
    assert min(ratios.values()) >= 4.5, ratios


CONTRAST = """() => {
  const luminance = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
  };
  const found = {};
  const names = ".quiet|.thought pre|.said.output|.problem|.error|h1|.mark|.facts dt|summary|.code .k|.key";
  for (const name of names.split("|")) {
    const one = document.querySelector(name);
    if (!one) continue;
    const [light, dark] = [getComputedStyle(one).color, behind(one)].map(luminance).sort((a, b) => b - a);
    found[name] = (light + 0.05) / (dark + 0.05);
  }
  return found;
}"""
