"""The same as JSON."""

import pytest
from starlette.testclient import TestClient

from passerby.web.service import Service

from .conftest import COATS, picture
from .test_pages import two_people


def test_facts_tracks_and_crops(api: TestClient):
    facts = api.get("/api/v1/gallery").json()
    assert facts["crops"] == 37 and facts["first"] == "2026-11-21T09:00:00Z" and facts["same"] == 0.98 and facts["finds_people"]
    tracks = api.get("/api/v1/tracks", params={"camera": "yard", "start": 1, "count": 2}).json()
    assert [(each["camera"], each["name"], len(each["crops"])) for each in tracks] == [("yard", "t1", 3), ("yard", "t2", 3)]
    crop = api.get("/api/v1/sightings/1").json()
    assert crop["camera"] == "gate" and crop["box"] == [1, 2, 30, 60] and crop["time"] == "2026-11-21T09:00:00Z"
    assert api.get("/api/v1/sightings/1/thumbnail").headers["content-type"] == "image/jpeg"
    assert api.get("/api/v1/sightings/37").json()["time"] is None


def test_a_picture_is_sent_and_searched_with(api: TestClient, service: Service):
    sent = api.post("/api/v1/pictures", files={"picture": two_people(COATS[1], COATS[3])})
    assert sent.status_code == 201
    held = sent.json()
    assert held["chosen"] is None and [each["person"] for each in held["people"]] == [0, 1, 2]
    found = api.get("/api/v1/search", params={"picture": held["people"][2]["query"], "k": 3, "camera": ["yard", "gate"]}).json()
    assert [service.holdings.rows([hit["sighting"]["id"]])[0].key[0] for hit in found["hits"][:2]] == ["3", "3"]
    assert found["hits"][0]["word"] == "same" and found["identity"] is None and found["hits"][0]["similarity"] > 0.98
    crop = api.post("/api/v1/pictures", files={"picture": picture(COATS[0])}, data={"kind": "crop"}).json()
    assert crop["chosen"] == 0 and api.get("/api/v1/search", params={"picture": crop["picture"]}).status_code == 200


def test_stored_crops_are_listed_a_part_at_a_time(api: TestClient):
    def numbers(**which: str | int) -> list[int]:
        return [row["id"] for row in api.get("/api/v1/sightings", params=which).json()]

    assert numbers(count=3) == [1, 2, 3] and numbers(after=3, count=2) == [4, 5]
    assert numbers(alone=True) == [37] and len(numbers(camera="gate")) == 12 and numbers(after=37) == []
    assert api.get("/api/v1/sightings", params={"camera": "cellar"}).status_code == 404


def test_identities_from_their_making_to_their_erasing(api: TestClient, service: Service):
    made = api.post("/api/v1/identities", json={"name": "Anna", "crops": [1]})
    assert made.status_code == 201 and made.json() == {"identity": 1, "event": 1, "erased": None}
    assert api.get("/api/v1/identities").json() == [{"id": 1, "name": "Anna", "crops": 3, "rejected": 0}]
    assert api.post("/api/v1/identities/1/confirm", json={"crops": [4], "whole_tracks": False}).json()["event"] == 2
    assert api.post("/api/v1/identities/1/reject", json={"crops": [10]}).status_code == 200
    assert api.get("/api/v1/identities/1").json() == {"id": 1, "name": "Anna", "crops": 4, "rejected": 3}
    found = api.get("/api/v1/search", params={"identity": 1}).json()
    assert found["searched_with"] == [1, 2, 3, 4] and found["identity"]["name"] == "Anna"
    assert api.patch("/api/v1/identities/1", json={"name": "Bea"}).status_code == 200
    split = api.post("/api/v1/identities/1/split", json={"crops": [4], "name": "Cleo"})
    assert split.status_code == 201 and split.json()["identity"] == 2
    assert api.post("/api/v1/identities/1/merge", json={"other": 2}).status_code == 200
    assert [row["id"] for row in api.get("/api/v1/identities/1/sightings", params={"start": 1, "count": 2}).json()] == [2, 3]
    undone = api.post("/api/v1/undo", params={"event": service.gallery.audit(1)[0].id})
    assert undone.status_code == 200 and len(service.gallery.identities()) == 2
    refused = api.delete("/api/v1/identities/1", params={"name": "Anna"})
    assert refused.status_code == 400 and "nobody was erased" in refused.json()["error"]
    assert api.delete("/api/v1/identities/1", params={"name": "Bea"}).json()["erased"] == 3
    assert api.get("/api/v1/sightings/1").status_code == 404
    assert api.get("/api/v1/audit", params={"count": 1}).json()[0]["action"] == "erase"
    whole = api.post("/api/v1/identities", json={"name": "Dora", "crops": [13], "whole_tracks": False})
    assert whole.status_code == 201


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "said"),
    [
        ("GET", "/api/v1/sightings/99", None, 404, "not in this gallery"),
        ("GET", "/api/v1/sightings/37/thumbnail", None, 404, "no picture was kept"),
        ("GET", "/api/v1/sightings/99999999999999999999", None, 422, "number:"),
        ("GET", "/api/v1/sightings/x", None, 422, "number:"),
        ("GET", "/api/v1/tracks?camera=cellar", None, 404, "no such camera"),
        ("GET", "/api/v1/search", None, 400, "nobody is searched for"),
        ("GET", "/api/v1/search?like=1&colour=red", None, 422, "colour"),
        ("GET", "/api/v1/search?like=1&since=0001-01-01T00:00:00", None, 422, "a year from 1900"),
        ("GET", "/api/v1/search?picture=..%2f..%2fetc", None, 422, "picture"),
        ("GET", "/api/v1/identities/7", None, 404, "identity 7"),
        ("POST", "/api/v1/identities", {"name": ""}, 422, "name:"),
        ("POST", "/api/v1/identities", {"name": "a\nb\x07"}, 400, "printable"),
        ("POST", "/api/v1/identities", {"name": "A", "crops": [99]}, 404, "not in this gallery"),
        ("POST", "/api/v1/identities", {"name": "A", "colour": 1}, 422, "colour"),
        ("POST", "/api/v1/identities/7/confirm", {"crops": [1]}, 404, "identity 7"),
        ("POST", "/api/v1/identities/7/merge", {"other": 8}, 404, "identity 7"),
        ("POST", "/api/v1/undo", None, 400, "nothing to take back"),
        ("POST", "/api/v1/pictures", None, 422, "picture"),
        ("DELETE", "/api/v1/identities/7", None, 422, "name"),
        ("DELETE", "/api/v1/identities/7?name=x", None, 404, "identity 7"),
        ("PUT", "/api/v1/gallery", None, 405, "Not Allowed"),
        ("GET", "/api/v1/nothing", None, 404, "Not Found"),
    ],
)
def test_refusals_are_one_line_of_json(api: TestClient, method: str, url: str, body: object, status: int, said: str):
    answer = api.request(method, url, json=body)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    assert said in answer.json()["error"] and "\n" not in answer.json()["error"]


def test_a_text_that_is_no_text_is_refused_without_being_repeated(api: TestClient):
    headers = {"content-type": "application/json"}
    for body in (b'{"name": "\\ud800"}', b'{"name": "a\\u0000"}', b"{", b"[]", b"\xff", b'{"name": 1e999}'):
        answer = api.post("/api/v1/identities", content=body, headers=headers)
        assert answer.status_code in (400, 422) and "\n" not in answer.json()["error"]


def test_the_description_names_every_path_with_its_answers(api: TestClient):
    described = api.get("/api/v1/openapi.json").json()
    assert len(described["paths"]) == 16 and all(path.startswith("/api/v1/") for path in described["paths"])
    for methods in described["paths"].values():
        for method, facts in methods.items():
            assert facts["description"] and {"400", "404", "422", "503"} <= set(facts["responses"])
            secured = {name for each in facts["security"] for name in each}
            assert ("APIKeyHeader" in secured) == (method != "get")
