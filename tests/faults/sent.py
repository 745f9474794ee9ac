"""What clients remember of what they asked for, and what an undisturbed engine would answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import settings
from app.inference import fake
from app.inference.engine import Request, Sampling
from app.models.keys import DEFAULT_TENANT
from app.text import plain

Body = Mapping[str, Any]
Messages = Sequence[Mapping[str, str]]
Foresee = Callable[[Body, Messages], str]


@dataclass(frozen=True)
class Caller:
    """Who submits: a tenant and its key, empty where the service asks for none."""

    tenant_id: str = DEFAULT_TENANT
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(frozen=True)
class Sent:
    """One acknowledged submission. `code` is the error that it must end with; `is_cancelled`: its
    cancellation was acknowledged while it was open; `may_be_cancelled`: somebody tried. `asked_at`
    (monotonic) is when the request was sent that was accepted."""

    job_id: str
    key: str
    body: Body
    is_cancelled: bool = False
    code: str | None = None
    may_be_cancelled: bool = False
    caller: Caller = Caller()
    asked_at: float = 0.0


@dataclass(frozen=True)
class Line:
    """A line of a batch: what it asks for, in the words of a job's body; the error that it must end
    with; and whether its time may end first."""

    body: Body
    code: str | None = None
    may_expire: bool = False


def compose(body: Body, said: Messages) -> list[dict[str, str]]:
    """The conversation that the model sees."""
    return [*map(dict, said), {"role": "user", "content": body["prompt"]}]


def foresee(body: Body, said: Messages = ()) -> str:
    """The text that an undisturbed fake engine gives after the messages of earlier turns: every
    attempt must give the same."""
    engine = fake.build(settings.Model("fake", backend="fake"))
    prompt = plain.Bytes().prompt(compose(body, said))
    sampling = Sampling(
        max_tokens=body["max_tokens"],
        seed=body["seed"],
        ignore_eos=body.get("ignore_eos", False),
    )
    engine.add(Request("r", tuple(prompt), sampling))
    while not (outputs := engine.step()):
        pass
    return outputs[0].text
