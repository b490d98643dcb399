from pathlib import Path

import pytest

from passerby.web.service import Service

from .conftest import Browser, text_of


@pytest.fixture
def anna(service: Service) -> int:
    return service.gallery.create_identity("Anna", [1, 2, 3, 4, 5, 6])


def test_an_identity_is_made_and_renamed(browser: Browser, service: Service):
    page = browser.submit("/identities", {"name": "Anna"})
    assert page.url.path == "/identities/1" and "No crops yet" in text_of(page)
    page = browser.submit("/identities/1/rename", {"name": "Bea"})
    assert service.gallery.identities()[0].name == "Bea" and 'Rename: "Anna" to "Bea"' in text_of(page).replace("&#34;", '"')
    for name, said in (("", "a name of 0 characters"), ("Bea", "an identity is called"), ("x" * 201, "1 to 200")):
        refused = browser.submit("/identities", {"name": name})
        assert refused.status_code == 400 and said in text_of(refused)


def test_two_identities_are_merged(browser: Browser, service: Service, anna: int):
    bea = service.gallery.create_identity("Bea", [10, 11])
    page = browser.submit(f"/identities/{anna}/merge", {"other": bea})
    assert page.status_code == 200 and [each.size for each in service.gallery.identities()] == [8]
    cleo = service.gallery.create_identity("Cleo", [20])
    browser.submit(f"/identities/{anna}/merge", {"other": " Cleo "})
    assert cleo not in {each.id for each in service.gallery.identities()}
    assert "say with whom" in text_of(browser.submit(f"/identities/{anna}/merge"))
    assert browser.submit(f"/identities/{anna}/merge", {"other": 99}).status_code == 404
    assert "a merge is of two" in text_of(browser.submit(f"/identities/{anna}/merge", {"other": anna}))


def test_crops_are_split_off_rejected_and_taken_back_in(browser: Browser, service: Service, anna: int):
    url = f"/identities/{anna}/crops"
    browser.submit(url, {"do": "split", "id": [1, 2], "name": "Cleo"})
    assert [(each.name, each.size) for each in service.gallery.identities()] == [("Anna", 4), ("Cleo", 2)]
    page = browser.submit(url, {"do": "reject", "id": 3})
    assert "Said not to be this person" in text_of(page) and service.gallery.members(anna) == [4, 5, 6]
    browser.submit(url, {"do": "assign", "id": 3})
    assert service.gallery.members(anna) == [3, 4, 5, 6] and 3 not in service.gallery.rejected(anna)
    for fields, said in (
        ({"do": "split"}, "no crop is ticked"), ({"do": "dance", "id": 3}, "split, reject or assign"),
        ({"do": "split", "id": [3, 4, 5, 6]}, "leaves some"), ({"do": "split", "id": 1}, "not of identity"),
        ({"do": "reject", "id": "x"}, "id: numbers"), ({"do": "reject", "id": "9" * 30}, "id: numbers"),
    ):  # fmt: skip
        refused = browser.submit(url, fields)
        assert refused.status_code in (400, 409) and said in text_of(refused), fields


def test_erasing_asks_for_the_name_and_leaves_nothing(browser: Browser, service: Service, path: Path, anna: int):
    page = browser.get(f"/identities/{anna}/erase")
    assert "Erase Anna?" in text_of(page) and "cannot be taken back" in text_of(page)
    refused = browser.submit(f"/identities/{anna}/erase", {"name": "anna"})
    assert refused.status_code == 400 and "nobody was erased" in text_of(refused) and len(service.gallery) == 37
    page = browser.submit(f"/identities/{anna}/erase", {"name": "Anna"})
    assert page.url.path == "/identities" and "Erase: an identity and 6 sightings" in text_of(page)
    assert len(service.gallery) == 31 and "Anna" not in page.text and "Anna" not in browser.get("/audit").text
    assert not any(b"Anna" in each.read_bytes() for each in path.parent.iterdir())
    assert browser.get("/thumbnails/1.jpg").status_code == 404 and browser.get(f"/identities/{anna}").status_code == 404
    assert "nothing to take back" in text_of(browser.submit("/undo"))


def test_the_log_tells_what_was_done_and_what_was_taken_back(browser: Browser, service: Service, anna: int):
    service.gallery.rename(anna, "Bea")
    service.gallery.undo()
    page = browser.get("/audit")
    assert "rename (taken back)" in text_of(page) and "Undo the latest: create" in text_of(page)


def test_large_identities_come_a_page_at_a_time(browser: Browser, service: Service, monkeypatch: pytest.MonkeyPatch, anna: int):
    monkeypatch.setattr("passerby.web.people._A_PAGE", 4)
    assert browser.get(f"/identities/{anna}").text.count("data-card>") == 4
    assert browser.get(f"/identities/{anna}?start=4").text.count("data-card>") == 2
    assert browser.get(f"/identities/{anna}?start=99999").status_code == 200
    for name in ("Bea", "Bert", "Cleo", "Dora"):
        service.gallery.create_identity(name)
    assert browser.get("/identities").text.count("data-card>") == 4 and "5 identities" in text_of(browser.get("/identities"))
    assert browser.get("/identities?start=4").text.count("data-card>") == 1
    assert browser.get("/identities?name=BE").text.count("data-card>") == 2
    assert "Nobody is called so" in text_of(browser.get("/identities?name=nobody"))


def test_an_identity_of_very_many_crops_is_searched_with_enough_of_them(
    browser: Browser, service: Service, monkeypatch: pytest.MonkeyPatch, anna: int
):
    monkeypatch.setattr("passerby.web.service._MOST_ROWS", 4)
    assert "searched with 4 of them" in text_of(browser.get(f"/search?identity={anna}"))


@pytest.mark.parametrize("what", ["", "/erase"])
def test_nobody_is_nobody(browser: Browser, what: str):
    assert browser.get(f"/identities/5{what}").status_code == 404
    assert browser.get(f"/identities/0{what}").status_code == 422
    for do in ("rename", "merge", "crops", "erase"):
        assert browser.submit(f"/identities/5/{do}", {"name": "x", "other": 5, "id": 1, "do": "reject"}).status_code == 404


def test_the_interface_is_told_in_words(browser: Browser):
    said = text_of(browser.get("/api"))
    assert "GET /api/v1/search" in said and "DELETE /api/v1/identities/{number}" in said and "X-Passerby" in said
