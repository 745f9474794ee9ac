"""POST /predict: the source's route for the likeliest next tokens."""

from typing import Any

import pytest

from tests.acceptance.stack import Stack

pytestmark = pytest.mark.acceptance


def test_five_candidates_come_best_first_with_their_probabilities(service: Stack) -> None:
    answer = service.post("/predict", {"text": "The sky is"})

    assert answer.status_code == 200
    found = answer.json()["predictions"]
    chances = [each["probability"] for each in found]
    assert len(found) == 5
    assert chances == sorted(chances, reverse=True)
    assert all(0 < chance <= 1 for chance in chances)
    assert sum(chances) <= 1 + 1e-6
    assert all(isinstance(each["token"], str) for each in found)
    job = service.http.get("/v1/jobs?limit=1").json()["data"][0]
    assert (job["status"], job["usage"]["completion_tokens"]) == ("succeeded", 1)


def test_as_many_candidates_come_as_are_asked_for(service: Stack) -> None:
    asked = {"text": "The sky is", "top_k": 2, "model": "fake"}

    assert len(service.post("/predict", asked).json()["predictions"]) == 2


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "text"),
        ({"text": " "}, "empty_prompt", "text"),
        ({"text": "x", "top_k": 0}, "out_of_range", "top_k"),
        ({"text": "x", "top_k": 21}, "out_of_range", "top_k"),
        ({"text": "x", "top_p": 1}, "unknown_parameter", "top_p"),
    ],
)
def test_a_bad_request_is_refused_by_name(
    service: Stack, body: dict[str, Any], code: str, param: str
) -> None:
    answer = service.post("/predict", body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
