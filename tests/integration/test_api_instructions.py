"""POST /v1/instructions/parse and `autoglm parse`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app import cli
from app.models.database import Database
from tests.integration.apis import Api

pytestmark = pytest.mark.integration
PATH = "/v1/instructions/parse"


@pytest.fixture(scope="module")
def api(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Api:
    return Api(module_database, redis_server, Path(tmp_path_factory.mktemp("files")))


def test_an_instruction_is_answered_with_its_tree(api: Api):
    text = "写一个 Python 函数 add，参数 a 和 b，b 默认值为 2"

    answer = api.client.post(PATH, json={"instruction": text})

    assert answer.status_code == 200
    tree = answer.json
    assert (tree["intent"], tree["target"], tree["language"]) == ("create", "function", "python")
    assert (tree["name"], tree["locale"]) == ("add", "zh")
    assert tree["parameters"][1] == {"name": "b", "type": None, "default": "2"}
    start, end = tree["spans"]["name"]
    assert text[start:end] == "add"


@pytest.mark.parametrize("text", ["", "\n", "🙂" * 1000, "}{", "a" * 100_000])
def test_no_text_is_refused(api: Api, text: str):
    assert api.client.post(PATH, json={"instruction": text}).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"instruction": 5}, "invalid_type"),
        ({"instruction": "x", "more": 1}, "unknown_parameter"),
    ],
)
def test_a_wrong_body_is_refused_by_name(api: Api, body: dict[str, object], code: str):
    answer = api.client.post(PATH, json=body)

    assert (answer.status_code, answer.json["error"]["code"]) == (400, code)


def test_the_command_prints_the_tree_of_an_argument_and_of_standard_input():
    text = "Write a function called area that takes width and height."

    given = CliRunner().invoke(cli.main, ["parse", text])
    piped = CliRunner().invoke(cli.main, ["parse", "-"], input=text)

    assert json.loads(given.output)["name"] == "area"
    assert piped.output == given.output
