"""One running service for all tests that ask it as OpenAI's clients do."""

from collections.abc import Iterator

import openai
import pytest

from tests.acceptance.stack import Stack, fake_config, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A fake model that takes 10 ms for each token and stops after 40."""
    config = fake_config(step_seconds=0.01, tokens_per_job=40)
    folder = tmp_path_factory.mktemp("service")
    with running(folder, config, "--no-flower") as made:
        made.wait_healthy()
        yield made


@pytest.fixture
def client(service: Stack) -> Iterator[openai.OpenAI]:
    """OpenAI's own client; whatever does not fit its types raises, and nothing is tried again."""
    with openai.OpenAI(
        base_url=f"{service.url}/v1",
        api_key="any",
        max_retries=0,
        _strict_response_validation=True,
    ) as made:
        yield made
