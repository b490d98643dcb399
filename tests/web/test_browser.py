"""The page in a real browser: picture, filter, keys, confirm, undo, erase; on a desk and on a telephone, light and dark."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passerby.web.service import Service

from .conftest import COATS, hits_of, picture

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """The page, served as `passerby serve` does."""
    import uvicorn

    from passerby.web.app import make_app
    from passerby.web.serving import _bound

    with _bound("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        app = make_app(service, port=port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=90_000)
        yield browser
        browser.close()


def opened(chromium: Any, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    """A fresh page, and the list of what goes wrong in it."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(60_000)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return page, wrong


def test_from_a_picture_to_an_erased_person(chromium: Any, address: str, service: Service, tmp_path: Path):
    page, wrong = opened(chromium)
    page.goto(address)
    crop = tmp_path / "crop.jpg"
    crop.write_bytes(picture(COATS[2]))
    page.set_input_files("#picture", crop)
    page.check("input[value=crop]")
    page.click("button.main")
    page.wait_for_url("**/search?picture=*")
    assert page.locator(".card.hit").count() == 13 and page.locator(".word.same").count() >= 3

    page.keyboard.press("f")  # filters: focus is in them, and yard is ticked out
    page.locator("input[name=not_camera][value=yard]").check()
    page.locator("[data-filters] button").click()
    page.wait_for_url("**not_camera=yard*")
    assert "yard" not in page.locator(".hits .camera").all_inner_texts()

    page.fill("input[name=name]", "Anna")
    page.locator(".card.hit").first.focus()
    first = hits_of(type("Page", (), {"text": page.content()}))[0]
    page.keyboard.press("y")
    page.wait_for_url("**identity=1*")
    assert page.locator("h1").inner_text() == "Where was Anna?" and first in service.gallery.members(1)
    assert first not in hits_of(type("Page", (), {"text": page.content()}))
    page.wait_for_selector("#hit-1:focus")  # one goes on where one was

    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "hit-2"
    page.keyboard.press("n")
    page.locator(".told", has_text="Reject").wait_for()  # no script of ours: the page's policy forbids it
    assert len(service.gallery.rejected(1)) == 3
    page.keyboard.press("u")
    page.locator(".told", has_text="Undo:").wait_for()  # no script of ours: the page's policy forbids it
    assert not service.gallery.rejected(1)

    page.click("h1 a")
    page.click("a.danger")
    page.fill("input[name=name]", "Anna")
    page.click("button.danger")
    page.wait_for_url("**/identities?did=*")
    assert not service.gallery.identities() and len(service.gallery) == 34
    assert not wrong, wrong


def test_keys_are_shown_and_can_be_turned_off(chromium: Any, address: str):
    page, wrong = opened(chromium)
    page.goto(f"{address}/search?like=1")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.locator("[data-keys-on]").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.tagName") != "ARTICLE"
    page.reload()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.tagName") != "ARTICLE" and not wrong


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_nothing_is_wider_than_the_screen(chromium: Any, address: str, service: Service, width: int, scheme: str):
    service.gallery.create_identity("A rather long name " * 6, [1, 4, 10])
    page, wrong = opened(chromium, width, scheme)
    for url in ("/", "/search?like=13", "/search?identity=1", "/identities/1", "/identities/1/erase", "/audit", "/api", "/crops"):
        page.goto(address + url)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, url
        unnamed = page.evaluate(
            "[...document.querySelectorAll('img:not([alt]), input:not([type=hidden]), select, button')]"
            ".filter(e => e.matches('img') || !(e.labels?.length || e.textContent.trim())).length"
        )
        assert unnamed == 0, url
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(18, 23, 29)") == (scheme == "dark") and not wrong


def test_a_dropped_picture_is_searched_with(chromium: Any, address: str):
    page, wrong = opened(chromium)
    page.goto(address)
    page.check("input[value=crop]")
    content = list(picture(COATS[1]))
    page.evaluate(
        """content => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(content)], "a.jpg", { type: "image/jpeg" }));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
        }""",
        content,
    )
    page.wait_for_url("**/search?picture=*")
    assert page.locator(".word.same").count() >= 3 and not wrong
