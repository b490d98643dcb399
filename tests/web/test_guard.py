"""Whose page it is, who asks, how much they send."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from passerby.web import pages, people
from passerby.web.service import Service

from .conftest import COATS, Browser, picture, text_of

TOKEN = "a token that is long enough"


@pytest.mark.parametrize("url", ["/", "/search?like=1", "/static/page.js", "/thumbnails/1.jpg", "/api/v1/gallery", "/nothing"])
def test_every_answer_tells_browsers_what_they_may_do(browser: Browser, url: str):
    headers = browser.get(url).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == ("no-cache" if "static" in url else "no-store")
    assert headers["referrer-policy"] == "same-origin" and headers["cross-origin-resource-policy"] == "same-origin"


def test_pages_hold_no_script_and_no_style_of_their_own(browser: Browser, service: Service):
    service.gallery.create_identity("Anna", [1, 4])
    uploaded = str(browser.upload(picture(COATS[0]), kind="crop").url)
    for url in ("/", "/crops", "/search?like=10", uploaded, "/identities", "/identities/1", "/identities/1/erase", "/audit",
                "/api", "/login", "/nothing"):  # fmt: skip
        text = browser.get(url).text
        assert re.findall(r"<script(?![^>]* src=\"/static/)", text) == [] and "style=" not in text and "<style" not in text
        assert re.search(r"\son\w+=", text) is None and "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8017", "10.0.0.7", "localhost.evil.example", "", "[::1", "a b"])
def test_a_foreign_name_is_not_answered(service: Service, host: str):
    from passerby.web.app import make_app

    with TestClient(make_app(service), base_url="http://localhost:8017") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/healthz", headers={"host": "127.0.0.1:8017"}).status_code == 200
        assert client.get("/healthz", headers={"host": "[::1]:8017"}).status_code == 200
        refused = client.get("/", headers={"host": host})
        assert refused.status_code == 421 and "not known by that name" in refused.text


def test_a_page_on_all_addresses_answers_to_numbers_and_to_its_names_only(make_browser):
    with make_browser(token=TOKEN, any_address=True, names=["camera-room"]) as client:
        for host, status in (("10.0.0.7:80", 200), ("camera-room", 200), ("[fe80::1]", 200), ("evil.example", 421)):
            assert client.get("/login", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://testserver:81"}, {"sec-fetch-site": "cross-site"},
     {"sec-fetch-site": "same-site"}, {"origin": "http://testserver.evil.example"}],
)  # fmt: skip
def test_what_another_site_sends_is_not_done(browser: Browser, service: Service, headers: dict[str, str]):
    csrf = browser.csrf()
    refused = browser.post("/identities", data={"csrf": csrf, "name": "Eve"}, headers=headers)
    assert refused.status_code == 403 and "another site" in refused.text
    refused = browser.post("/api/v1/identities", json={"name": "Eve"}, headers={"x-passerby": "1", **headers})
    assert refused.status_code == 403 and refused.json()["error"].startswith("another site")
    assert not service.gallery.identities()


def test_other_sites_may_link_here_but_not_show_what_is_here(browser: Browser):
    foreign = {"sec-fetch-site": "cross-site"}
    assert browser.get("/", headers={**foreign, "sec-fetch-mode": "navigate"}).status_code == 200
    assert browser.get("/thumbnails/1.jpg", headers={**foreign, "sec-fetch-mode": "no-cors"}).status_code == 403


CHANGES = ["/upload", "/confirm", "/reject", "/undo", "/identities", "/identities/1/rename", "/identities/1/merge",
           "/identities/1/crops", "/identities/1/erase", "/logout"]  # fmt: skip


@pytest.mark.parametrize("url", CHANGES)
def test_no_form_is_taken_without_its_token(browser: Browser, service: Service, url: str):
    service.gallery.create_identity("Anna", [1])
    fields = {"name": "Anna", "id": "2", "like": "1", "other": "1", "do": "reject"}
    before = service.gallery.audit()
    other = Browser(browser.app, base_url="http://testserver").csrf()
    for csrf in ({}, {"csrf": "x"}, {"csrf": other}, {"csrf": "\u00e9"}):
        refused = browser.post(url, data={**fields, **csrf})
        assert refused.status_code == 403 and "form is out of date" in text_of(refused)
    assert service.gallery.audit() == before


def test_every_changing_page_was_tried():
    routes: list[Any] = [*pages.router.routes, *people.router.routes]
    changing = {route.path.replace("{number}", "1") for route in routes if route.methods - {"GET", "HEAD"}}
    assert changing - {"/login"} == set(CHANGES)


def test_programs_need_a_header_for_changes(service: Service, make_browser):
    with make_browser() as client:
        refused = client.post("/api/v1/identities", json={"name": "Eve"})
        assert refused.status_code == 403 and "X-Passerby" in refused.json()["error"]
        assert client.post("/api/v1/identities", json={"name": "Eve"}, headers={"X-Passerby": ""}).status_code == 201


def test_a_token_is_asked_for_before_anything_is_shown(make_browser):
    with make_browser(token=TOKEN) as client:
        for url in ("/", "/search?like=1", "/thumbnails/1.jpg", "/audit", "/healthz", "/api", "/nothing"):
            asked = client.get(url, follow_redirects=False)
            assert asked.status_code == 303 and asked.headers["location"].startswith("/login?to=")
        for url in ("/api/v1/gallery", "/api/v1/openapi.json"):
            assert client.get(url).status_code == 401 and "sign in" in client.get(url).json()["error"]
        assert client.post("/confirm", data={"id": 1}).status_code == 401
        assert client.get("/static/page.css").status_code == 200


def test_signing_in_with_the_token_and_out_again(make_browser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("passerby.web.pages._WRONG_TOKEN_S", 0.0)
    with make_browser(token=TOKEN) as client:
        asked = client.get("/search?like=1")
        assert asked.url.path == "/login" and 'value="/search?like=1"' in asked.text
        wrong = client.post("/login", data={"token": "wrong", "to": "/"})
        assert wrong.status_code == 401 and "not the token" in text_of(wrong) and client.get("/").url.path == "/login"
        right = client.post("/login", data={"token": TOKEN, "to": "/search?like=1"}, follow_redirects=False)
        assert right.headers["location"] == "/search?like=1"
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie
        assert client.get("/").url.path == "/" and client.get("/api/v1/gallery").status_code == 200
        assert client.post("/api/v1/undo").status_code == 403  # a cookie is not enough for a program's change
        client.submit("/logout")
        assert client.get("/").url.path == "/login"


def test_programs_show_the_token_in_a_header(make_browser):
    with make_browser(token=TOKEN) as client:
        for given, status in (
            (f"Bearer {TOKEN}", 200),
            (f"bearer {TOKEN}", 200),
            ("Bearer x", 401),
            (TOKEN, 401),
            ("Bearer", 401),
        ):
            assert client.get("/api/v1/gallery", headers={"authorization": given}).status_code == status
        made = client.post("/api/v1/identities", json={"name": "Eve"}, headers={"authorization": f"Bearer {TOKEN}"})
        assert made.status_code == 201


def test_a_session_of_another_page_opens_nothing(make_browser, service: Service):
    from passerby.web.app import make_app

    foreign = make_app(service, token=TOKEN, names=["testserver"])
    cookie = foreign._app.state.sessions.new(signed_in=True).cookie  # pyright: ignore
    with make_browser(token=TOKEN) as client:
        client.cookies.set("passerby_0", cookie)
        assert client.get("/").url.path == "/login"


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb", ""]
)
def test_after_signing_in_one_stays_here(make_browser, to: str):
    with make_browser(token=TOKEN) as client:
        answer = client.post("/login", data={"token": TOKEN, "to": to}, follow_redirects=False)
        assert answer.headers["location"] == "/"


def test_more_than_is_taken_is_refused_whether_its_length_is_told_or_not(browser: Browser, service: Service):
    limit = service.looking.limits.bytes
    refused = browser.upload(bytes(limit + 100_000))
    assert refused.status_code == 413 and "more was sent than is taken" in refused.text
    assert browser.post("/confirm", content=b"x" * 300_000).status_code == 413
    assert browser.get("/", headers={"content-length": "-5"}).status_code == 413

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'
        for _ in range(limit // 1_000_000 + 2):
            yield bytes(1_000_000)

    headers = {"content-type": "multipart/form-data; boundary=b", "x-passerby": "1"}
    assert browser.post("/upload", content=pieces(), headers=headers).status_code == 413
    refused = browser.post("/api/v1/pictures", content=pieces(), headers=headers)
    assert refused.status_code == 413 and "more was sent" in refused.json()["error"]


def test_broken_bodies_are_refused(browser: Browser):
    for body, kind in ((b"--x", "multipart/form-data"), (b"\xff\xfe", "multipart/form-data; boundary=x"), (b"a", "text/plain")):
        assert browser.post("/upload", content=body, headers={"content-type": kind}).status_code in (400, 403)
    many = "&".join(f"a{n}=1" for n in range(2000))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert browser.post("/confirm", content=many, headers=headers).status_code in (400, 403)


def test_a_cookie_is_set_once_and_by_pages_only(service: Service, make_browser):
    with make_browser(port=8017) as client:
        assert "set-cookie" not in client.get("/api/v1/gallery").headers
        assert client.get("/").headers["set-cookie"].startswith("passerby_8017=")
        assert "set-cookie" not in client.get("/").headers
        client.cookies.set("passerby_8017", "forged.1.1.x")
        assert client.get("/").status_code == 200
