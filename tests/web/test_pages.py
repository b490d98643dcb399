"""Finding somebody, as a browser does it: forms and links, no script."""

import re
from pathlib import Path

import numpy as np
import pytest

from passerby.gallery import Gallery, NewSighting
from passerby.web.service import Service

from .conftest import CAMERAS, COATS, Browser, hits_of, picture, text_of


def coat(service: Service, id: int) -> int:
    """Whose crop it is."""
    return int(service.holdings.rows([id])[0].key.partition("-")[0]) if service.holdings.rows([id])[0].key != "alone" else -1


def test_home_says_what_the_gallery_holds(browser: Browser):
    said = text_of(browser.get("/"))
    for fact in ("Crops 37", "Cameras 3", "Identities 0", "2026-11-21 09:00:00", "mean colour, 3-d", "same from 0.980", *CAMERAS):
        assert fact in said


def test_a_stored_crop_finds_the_same_person_elsewhere_first(browser: Browser, service: Service):
    page = browser.get("/search", params={"like": 1})
    found = hits_of(page)
    assert [coat(service, id) for id in found[:2]] == [0, 0] and len(found) == 12
    assert [service.holdings.rows([id])[0].camera for id in found[:2]] != ["gate", "gate"]
    assert "same" in text_of(page) and "different" in text_of(page) and "the way takes 5e+03 s" in text_of(page)


def test_an_uploaded_crop_finds_its_person_and_is_shown_again(browser: Browser, service: Service):
    page = browser.upload(picture(COATS[2]), kind="crop")
    assert page.status_code == 200 and {coat(service, id) for id in hits_of(page)[:3]} == {2}
    shown = re.search(r"/pictures/[\w-]+/0\.jpg", page.text)
    assert shown and browser.get(shown[0]).headers["content-type"] == "image/jpeg"


def two_people(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    import io

    from PIL import Image

    made = Image.new("RGB", (200, 100), left)
    made.paste(right, (100, 0, 200, 100))
    written = io.BytesIO()
    made.save(written, "PNG")
    return written.getvalue()


def test_people_are_found_in_a_whole_picture_and_one_is_picked(browser: Browser, service: Service):
    page = browser.upload(two_people(COATS[1], COATS[3]))
    assert page.url.path == "/pick" and "2 people found" in text_of(page)
    choices = [
        link.replace("&amp;", "&")
        for link in re.findall(r"data-open", page.text) and re.findall(r'class="face" href="([^"]*)"', page.text)
    ]
    assert len(choices) == 3
    for choice, who in zip(choices[:2], (1, 3), strict=True):
        assert {coat(service, id) for id in hits_of(browser.get(choice))[:3]} == {who}
    whole = browser.get(re.findall(r'<image href="([^"]*)"', page.text)[0])
    assert whole.status_code == 200


def test_one_person_who_fills_the_picture_needs_no_picking(browser: Browser):
    assert browser.upload(two_people(COATS[0], (0, 0, 0)), follow=False).headers["location"].endswith(".1")
    tall = picture(COATS[0], (100, 100))
    assert browser.upload(tall, follow=False).headers["location"].startswith("/pick")
    black = picture((0, 0, 0), (100, 100))
    assert browser.upload(black, follow=False).headers["location"].endswith(".0")
    nobody = browser.upload(black, kind="picture")
    assert nobody.url.path == "/pick" and "Nobody was found" in text_of(nobody)


def test_filters_of_camera_and_time_and_their_opposites(browser: Browser, service: Service):
    def cameras(**given) -> set[str]:
        page = browser.get("/search", params={"like": 1, "group": "row", "k": 100, **given})
        return {service.holdings.rows([id])[0].camera for id in hits_of(page)}

    assert cameras() == {"gate", "lobby", "yard"}
    assert cameras(camera=["yard", "lobby"]) == {"yard", "lobby"}
    assert cameras(not_camera="yard") == {"gate", "lobby"}
    since = browser.get("/search", params={"like": 1, "since": "2026-11-21T09:10:00", "until": "2026-11-21T09:20:00", "k": 100})
    assert {coat(service, id) for id in hits_of(since)} == {1} and "Filters (on)" in text_of(since)
    none = browser.get("/search", params={"like": 1, "since": "2027-01-01T00:00"})
    assert "Nothing passes these filters" in text_of(none)


def test_grouping_shows_one_crop_a_track_and_reranking_keeps_the_hits(browser: Browser):
    every = hits_of(browser.get("/search", params={"like": 1, "group": "row", "k": 500}))
    assert len(every) == 37 - 3 and len(hits_of(browser.get("/search", params={"like": 1, "k": 500}))) == 12
    again = hits_of(browser.get("/search", params={"like": 1, "group": "row", "k": 500, "rerank": "True"}))
    assert sorted(again) == sorted(every)


def test_the_timeline_has_a_strip_for_each_camera_with_marks_that_lead_to_the_cards(browser: Browser):
    page = browser.get("/search", params={"like": 1})
    assert re.findall(r'class="lane-name">([^<]+)<', page.text) == ["gate", "lobby", "yard"]
    marks = re.findall(r'<a href="#(hit-\d+)" aria-label', page.text)
    assert marks and all(f'id="{mark}"' in page.text for mark in marks)
    assert page.text.count('class="mark own"') == 1


def test_confirming_makes_an_identity_and_the_crop_joins_the_query(browser: Browser, service: Service):
    first = hits_of(browser.get("/search", params={"like": 1}))[0]
    page = browser.submit("/confirm", {"like": 1, "id": first, "name": " Anna  Ask "})
    assert page.url.path == "/search" and page.url.params["identity"] == "1" and first not in hits_of(page)
    assert "Where was Anna Ask ?" in text_of(page) and "Create: &#34;Anna Ask&#34; of 6 sightings" in page.text
    (anna,) = service.gallery.identities()
    assert anna.size == 6  # two tracks of three
    again = hits_of(page)[0]
    after = browser.submit("/confirm", {"identity": 1, "id": again})
    assert service.gallery.identities()[0].size == 9 and again not in hits_of(after)


def test_without_a_name_the_first_confirmation_finds_one(browser: Browser, service: Service):
    browser.submit("/identities", {"name": "person 2"})
    browser.submit("/confirm", {"like": 1, "id": 4})
    browser.submit("/confirm", {"like": 10, "id": 13})
    assert [each.name for each in service.gallery.identities()] == ["person 2", "person 3", "person 4"]


def test_rejecting_leaves_out_and_is_kept_once_there_is_an_identity(browser: Browser, service: Service):
    page = browser.get("/search", params={"like": 1})
    wrong = hits_of(page)[-1]
    page = browser.submit("/reject", {"like": 1, "id": wrong})
    assert wrong not in hits_of(page) and page.url.params["hidden"] == str(wrong) and not service.gallery.identities()
    page = browser.submit("/confirm", {"like": 1, "hidden": wrong, "id": hits_of(page)[0]})
    assert "hidden" not in page.url.params and wrong in service.gallery.rejected(1) and wrong not in hits_of(page)
    other = hits_of(page)[-1]
    page = browser.submit("/reject", {"identity": 1, "id": other})
    assert other not in hits_of(page) and other in service.gallery.rejected(1) and "Reject:" in text_of(page)


def test_crops_of_a_known_person_confirm_to_that_person(browser: Browser, service: Service):
    service.gallery.create_identity("Anna", [1])
    page = browser.get("/search", params={"like": 1})
    assert "Where was Anna ?" in text_of(page)
    browser.submit("/confirm", {"like": 1, "id": 4, "group": "row"})
    assert service.gallery.members(1) == [1, 4]
    service.gallery.create_identity("Bea", [10])
    refused = browser.submit("/confirm", {"like": [1, 10], "id": 20})
    assert refused.status_code == 400 and "belong to 2 identities" in text_of(refused)


def test_a_confirmation_is_taken_back_and_the_query_is_as_before(browser: Browser, service: Service):
    page = browser.submit("/confirm", {"like": 1, "id": 4})
    form = page.text[page.text.index("data-undo") :]
    fields = dict(re.findall(r'name="(event|identity|was)" value="(\d+)"', form[: form.index("</form>")]))
    assert fields == {"event": "1", "identity": "1", "was": "1"}
    page = browser.submit("/undo", fields)
    assert page.url.path == "/search" and page.url.params["like"] == "1" and not service.gallery.identities()
    assert "Undo: create" in text_of(page)


def test_undo_takes_back_what_was_meant_or_nothing(browser: Browser, service: Service):
    assert "nothing to take back" in text_of(browser.submit("/undo"))
    service.gallery.create_identity("Anna", [1])
    event = service.gallery.audit(1)[0].id
    service.gallery.create_identity("Bea", [4])
    refused = browser.submit("/undo", {"event": event})
    assert refused.status_code == 400 and "something else was done since" in text_of(refused)
    assert browser.submit("/undo").url.path == "/audit" and [each.name for each in service.gallery.identities()] == ["Anna"]


def test_all_tracks_and_lone_crops_can_be_looked_through(browser: Browser):
    page = browser.get("/crops")
    assert "13 tracks and crops" in text_of(page) and page.text.count("data-card>") == 13
    yard = browser.get("/crops", params={"camera": "yard"})
    assert yard.text.count("data-card>") == 5
    assert browser.get("/crops", params={"start": 10**12}).status_code == 200
    assert browser.get("/crops", params={"start": -5}).text.count("data-card>") == 13
    assert "no such camera" in text_of(browser.get("/crops", params={"camera": "cellar"}))


def test_many_crops_without_a_track_are_all_shown(browser: Browser, service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("passerby.web.holdings._STRIDE", 7)
    cameras = ["attic" if n % 3 else "yard" for n in range(120)]
    added = service.gallery.add([NewSighting(f"lone {n}", np.full(3, 0.1), camera) for n, camera in enumerate(cameras)])
    found, url = [], "/crops"
    while url:
        page = browser.get(url)
        assert "133 tracks and crops" in text_of(page) and page.text.count("data-card>") <= 48
        found += [int(id) for id in re.findall(r"data-card.*?/thumbnails/(\d+)\.jpg", page.text, flags=re.DOTALL)]
        later = re.search(r'rel="next" href="([^"]+)"', page.text)
        url = later and later[1].replace("&amp;", "&")
    assert found[13:] == added and len(found) == 133  # twelve tracks, one crop of before
    assert service.holdings.alone(100, 50) == service.gallery.sightings(added[99:])  # from the middle, and once more
    in_attic = [id for id in added if cameras[id - added[0]] == "attic"]
    assert service.holdings.alone(60, 50, "attic") == service.gallery.sightings(in_attic)[60:]
    attic = browser.get("/crops", params={"camera": "attic", "start": 48})
    assert attic.text.count("data-card>") == 32 and "Later" not in attic.text and "Tracks by time" in text_of(attic)
    assert service.holdings.alone(121, 5) == [] and service.holdings.alone(10**12, 5) == []
    service.gallery.erase_sightings(added[:60])
    assert [row.id for row in service.holdings.alone(1, 3)] == added[60:63]


def test_thumbnails_come_by_number_only(browser: Browser):
    assert browser.get("/thumbnails/1.jpg").content.startswith(b"\xff\xd8\xff")
    assert browser.get("/thumbnails/37.jpg").headers["content-type"] == "image/svg+xml"  # none was kept
    for wrong in ("/thumbnails/0.jpg", "/thumbnails/99.jpg", "/thumbnails/x.jpg", "/thumbnails/1", "/thumbnails/..%2f1.jpg"):
        assert browser.get(wrong).status_code in (404, 422)


@pytest.mark.parametrize(
    "url", ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/nobody.svg%00",
            "/pictures/..%2f..%2fetc%2fpasswd.jpg", "/pictures/../x.jpg", "/thumbnails/../../etc/passwd"]
)  # fmt: skip
def test_no_path_leads_out(browser: Browser, url: str):
    answer = browser.get(url)
    assert answer.status_code in (404, 422) and "root:" not in answer.text and "import" not in answer.text


def test_static_files_are_sent_once(browser: Browser):
    css = browser.get("/static/page.css")
    assert css.headers["content-type"].startswith("text/css")
    assert browser.get("/static/page.css", headers={"if-none-match": css.headers["etag"]}).status_code == 304
    assert "https://" not in css.text and "@import" not in css.text  # nothing is fetched from elsewhere


def test_names_and_cameras_are_text_wherever_they_are_shown(tmp_path: Path):
    from passerby.gallery import Model, NewSighting
    from passerby.web.app import make_app
    from passerby.web.opened import OpenGallery

    evil = "<script>alert(1)</script>\"'{{71*977}}"
    with Gallery.open(tmp_path / "g", create=True, model=Model("m", evil, 3)) as gallery:
        gallery.add(
            [NewSighting(f"{evil}{n}", np.eye(3)[n % 3] + 0.5, evil, 100.0 * n, f"{evil}{n}", source=evil) for n in range(6)]
        )
        gallery.create_identity(evil, [1])
        gallery.create_identity("Bea", [2])
    opened = OpenGallery(str(tmp_path / "g"))
    with Browser(make_app(Service(opened), names=["testserver"])) as client:
        for url in ("/", "/crops", "/search?like=1", "/search?identity=1", "/identities", "/identities/1", "/identities/2",
                    "/identities/1/erase", "/audit"):  # fmt: skip
            page = client.get(url)
            assert page.status_code == 200 and "<script>alert" not in page.text and "69367" not in text_of(page), url
            assert "alert(1)" in page.text or url == "/identities/2"
        said = client.get("/search", params={"like": 1, "camera": "<img src=x onerror=alert(1)>"})
        assert said.status_code == 400 and "<img src=x" not in said.text
    opened.close()


def test_refusals_of_uploads_are_one_line(browser: Browser):
    bad = browser.upload(b"<svg/>")
    assert bad.status_code == 422 and "no JPEG, PNG or WebP" in text_of(bad)
    assert browser.upload(picture(COATS[0])[:-100]).status_code == 422
    assert "no picture was sent" in text_of(browser.submit("/upload", {"kind": "crop"}))
    assert "kind:" in text_of(browser.upload(picture(COATS[0]), kind="cat"))
    assert "has no statistics of cameras" in text_of(browser.upload(picture(COATS[0]), of_camera="gate"))


def test_searches_that_cannot_be_are_refused_in_one_line(browser: Browser, service: Service):
    service.gallery.create_identity("Empty")
    wanted = {
        "": "nobody is searched for", "like=999": "not in this gallery", "identity=9": "identity 9: not in this gallery",
        "identity=1": "has no crops", "picture=abc": "not held any more", "like=1&camera=cellar": "no camera",
        "like=1&since=2026-01-02&until=2026-01-01": "since must come before until", "like=1&k=0": "k:",
    }  # fmt: skip
    for asked, said in wanted.items():
        page = browser.get(f"/search?{asked}")
        assert page.status_code in (400, 404) and said in text_of(page), asked
    token = re.search(r"picture=([\w-]+)", str(browser.upload(two_people(COATS[0], COATS[1])).url))
    assert token
    assert "pick one" in text_of(browser.get(f"/search?picture={token[1]}"))
    assert browser.get(f"/search?picture={token[1]}.7").status_code == 404
    assert browser.get("/pick").status_code == 400 and browser.get("/pick?picture=gone").status_code == 404


def test_without_a_model_pictures_are_off_and_crops_still_found(service: Service, make_browser):
    service.looking.embedder = None
    with make_browser() as client:
        assert "Searching by pictures is off" in text_of(client.get("/"))
        assert "is off" in text_of(client.upload(picture(COATS[0])))
        assert hits_of(client.get("/search?like=1"))


def test_without_a_detector_a_picture_is_a_crop(service: Service, make_browser):
    service.looking.detector = None
    with make_browser() as client:
        assert client.upload(two_people(COATS[0], COATS[1]), follow=False).headers["location"].endswith(".0")
        assert "nobody can be found" in text_of(client.upload(picture(COATS[0]), kind="picture"))


def test_a_model_with_camera_statistics_is_told_the_camera(service: Service, make_browser):
    asked: list[str | None] = []
    plain = service.looking.embedder
    assert plain is not None

    def embed(pictures, camera):
        asked.append(camera)
        return plain(pictures)

    service.looking.embedder, service.looking.cameras = embed, ("gate", "lobby")
    with make_browser() as client:
        assert "Taken by" in text_of(client.get("/"))
        assert "whose picture it is" in text_of(client.upload(picture(COATS[0]), kind="crop"))
        assert client.upload(picture(COATS[0]), kind="crop", of_camera="lobby").status_code == 200 and asked == ["lobby"]
        service.looking.cameras = ("gate", "lobby", "*")  # statistics of all cameras together
        assert '<option value="*" selected>no camera in particular</option>' in client.get("/").text
        assert client.upload(picture(COATS[0]), kind="crop", of_camera="*").status_code == 200 and asked[-1] == "*"


def test_a_gallery_that_goes_away_is_said_and_the_page_goes_on_when_it_is_back(browser: Browser, path: Path):
    away = path.with_name("away")
    browser.get("/")
    path.rename(away)
    for url in ("/", "/search?like=1", "/crops", "/identities", "/audit", "/thumbnails/1.jpg"):
        page = browser.get(url)
        assert page.status_code == 503 and "is not there any more" in text_of(page), url
    assert browser.get("/healthz").status_code == 503 and not path.exists()
    assert browser.get("/api/v1/search?like=1").json()["error"].startswith("the gallery town.gallery is not there any more")
    away.rename(path)
    assert browser.get("/search?like=1").status_code == 200 and browser.get("/healthz").text == "ok\n"


def test_a_store_that_breaks_in_the_middle_of_a_search_is_one_line(browser: Browser, service: Service, monkeypatch):
    from passerby.errors import GalleryError

    def gone(*_, **__):
        raise GalleryError("the store does not answer.")

    monkeypatch.setattr(Gallery, "search", gone)
    monkeypatch.setattr(Gallery, "__len__", gone)
    page = browser.get("/search?like=1")
    assert page.status_code == 503 and "the store does not answer" in text_of(page)
    monkeypatch.undo()
    assert browser.get("/search?like=1").status_code == 200


def test_what_nobody_foresaw_shows_nothing_of_the_inside(service: Service, monkeypatch, capsys):
    from passerby.web.app import make_app

    def broken(*_, **__):
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(Service, "search", broken)
    with Browser(make_app(service, names=["testserver"]), raise_server_exceptions=False) as client:
        page = client.get("/search?like=1")
    assert page.status_code == 500 and "secret" not in page.text and "content-security-policy" in page.headers
    assert "RuntimeError while answering" in capsys.readouterr().err
