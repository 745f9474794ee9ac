"""The values by which a client steers how tokens are chosen, and what guides a whole text."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.errors import BadRequest
from app.wire import document

MAX_STOPS = 4
MAX_CHOICES = 128
MAX_BIASES = 1000
MAX_TOP = 20
_MAX_GRAMMAR = 100_000  # characters
_LEVELS_AROUND = 16  # in a request, a row and a list of rows, with some to spare
_INT64 = 2**63


def _read_token(name: Any) -> Any:
    """JSON has only strings as keys; a token id is written as its digits, in one way."""
    is_number = isinstance(name, str) and name.isdecimal() and name.isascii()
    return int(name) if is_number and str(int(name)) == name else name


def _parse_schema(schema: Any) -> Any:
    """vLLM's clients send a schema as an object or as its JSON text, which is read as strictly as
    the body around it."""
    if not isinstance(schema, str):
        return schema
    try:
        return document.loads(schema.encode())
    except (BadRequest, UnicodeEncodeError) as error:
        raise PydanticCustomError("invalid_schema", "not JSON") from error


def _require_storable(schema: dict[str, Any]) -> dict[str, Any]:
    """Schemas alone hold whatever JSON allows, also what the store does not: integers of more than
    64 bits, and hundreds of levels."""
    held: Any = schema
    for _ in range(_LEVELS_AROUND):
        held = [held]
    try:
        orjson.dumps(held)
    except TypeError as error:
        raise PydanticCustomError("schema_invalid", "unstorable", {"reason": str(error)}) from error
    return schema


Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
TopP = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
TopK = Annotated[int, Field(ge=0, le=1_000_000)]
MinP = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=-_INT64, lt=_INT64)]
Count = Annotated[int, Field(ge=1)]
Repetition = Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
TokenId = Annotated[int, BeforeValidator(_read_token), Field(ge=0, lt=2**31)]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Biases = Annotated[dict[TokenId, Bias], Field(max_length=MAX_BIASES)]
Choices = Annotated[int, Field(ge=1, le=MAX_CHOICES)]
Reasks = Annotated[int, Field(ge=0, le=10)]
NumTop = Annotated[int, Field(ge=0, le=MAX_TOP)]
SchemaObject = Annotated[dict[str, Any], AfterValidator(_require_storable)]
Schema = Annotated[SchemaObject, BeforeValidator(_parse_schema)]
Regex = Annotated[str, Field(min_length=1, max_length=_MAX_GRAMMAR)]
Options = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=10_000)]],
    Field(min_length=1, max_length=1000),
]


class NamedSchema(BaseModel):
    """OpenAI's wrapping of a schema. A text always follows it, whatever `strict` says."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    content: Annotated[SchemaObject, Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """What a text must look like, in OpenAI's words."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None
