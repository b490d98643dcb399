"""Whatever is sent to the JSON interface, an answer below 500 comes back: values by its own description, and values by chance."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
PLAIN = ["gate", "track", "true", "null", "-1", "1e999", "NaN", "2026-11-21T09:00:00", "9999-12-31", "%00", "../.."]
odd = st.integers() | st.integers(1, 40) | st.text(max_size=12) | st.sampled_from(PLAIN) | st.floats() | st.booleans()
bodies = st.recursive(
    st.none() | odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@st.composite
def requests(draw: Any, described: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Names are mostly the right ones, values mostly are not."""
    path = draw(st.sampled_from(sorted(described["paths"])))
    method = draw(st.sampled_from(sorted(described["paths"][path])))
    facts = described["paths"][path][method]
    names = [each["name"] for each in facts.get("parameters", []) if each["in"] == "query"]
    given: dict[str, Any] = {"params": [(name, str(draw(odd))) for name in names if draw(st.booleans())]}
    content = facts.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        schema = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        fields = described["components"]["schemas"][schema]["properties"]
        near = {name: draw(odd | st.lists(odd, max_size=3)) for name in fields if draw(st.booleans())}
        given |= {"content": json.dumps(draw(st.just(near) | bodies)), "headers": {"content-type": "application/json"}}
    elif content:
        given |= {"files": {"picture": draw(st.binary(max_size=60))}, "data": {"kind": str(draw(odd))}}
    number = draw(st.integers(-1, 40) | st.integers() | st.sampled_from(PLAIN[:4]))
    return method, path.replace("{number}", str(number)), given


def test_nothing_by_chance_breaks_it(api: TestClient):
    described: dict[str, Any] = api.get("/api/v1/openapi.json").json()

    @given(requests(described))
    @QUICK
    def answers(request: tuple[str, str, dict[str, Any]]) -> None:
        method, url, given = request
        answer = api.request(method, url, **given)
        assert answer.status_code < 500, (request, answer.text)
        if answer.status_code >= 400:
            assert "\n" not in answer.json()["error"]

    answers()


def test_nothing_of_its_own_description_breaks_it(api: TestClient):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed; benchmarks/web.py fuzz uses it too")
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", api.app, headers={"Host": "testserver"})
    for found in schema.get_all_operations():

        @given(case=found.ok().as_strategy())
        @settings(QUICK, max_examples=8)
        def answers(case: Any) -> None:
            assert case.call(headers={"X-Passerby": "1", "Host": "testserver"}).status_code < 500

        answers()
