"""The report in headless Chromium: it asks for nothing, complains of nothing, fits, and works without a mouse."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_app.report.command import write_report
from tests.support.reported_runs import HOSTILE, make_run

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
NAMES = {"one": ("run",), "several": ("run", "other", "third")}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = {name: make_run(folder / name, 0.1 * number) for number, name in enumerate(NAMES["several"], 1)}
    files = {}
    for kind, names in NAMES.items():
        files[kind] = folder / f"{kind}.html"
        write_report([runs[name] for name in names], files[kind])
    return files


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed; see the extra dev")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed; .ci/packages installs the first one")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("kind", NAMES)
def test_the_report_fits_and_asks_for_nothing(
    pages: dict[str, Path], browser: Any, kind: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))

    page.goto(pages[kind].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")

    addresses = [address for address in requests if not address.startswith("data:")]
    assert (messages, addresses) == ([], [pages[kind].as_uri()])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title() != "harmed"
    assert page.locator("script").count() == 0
    assert page.get_by_text(HOSTILE).first.is_visible()
    # pictures have been decoded, and charts have a size
    assert page.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
    assert page.evaluate(
        "[...document.querySelectorAll('svg')].every(each => each.getBoundingClientRect().width > 200)"
    )
    colours = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    light = [sum(map(int, colour[4:-1].split(","))) > 380 for colour in colours]
    assert light == ([True, False] if scheme == "light" else [False, True])
    page.close()


def test_all_of_it_is_reached_by_keyboard(pages: dict[str, Path], browser: Any) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 900})
    page.goto(pages["one"].as_uri())
    reachable = page.locator("a[href], summary, [tabindex='0']").count()
    reached = set()
    for _ in range(reachable):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    scrolling = page.evaluate("[...document.querySelectorAll('.scroll')].every(each => each.tabIndex === 0)")
    closed = page.locator("details:not([open])").first
    closed.locator("summary").focus()
    page.keyboard.press("Enter")

    assert len(reached) > 15
    assert scrolling
    assert page.locator("details[open]").count() == 1
    page.close()


def test_it_prints_with_what_is_closed_on_the_screen(pages: dict[str, Path], browser: Any, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 794, "height": 1123})
    page.goto(pages["one"].as_uri())
    page.emulate_media(media="print")

    page.pdf(path=tmp_path / "report.pdf")

    assert page.locator("details td").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    page.close()
