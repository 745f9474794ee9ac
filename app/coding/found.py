"""A symbol as a piece of code has it."""

from dataclasses import dataclass

MOST_VALUE = 500  # characters of a literal that are kept


@dataclass(frozen=True)
class Found:
    """A symbol as the code has it. `kind` is function, class, variable or import; `type` is the
    annotated or inferred type, `value` the literal text of a variable; `line` counts from 1."""

    name: str
    kind: str
    language: str
    code: str
    line: int
    signature: str | None = None
    type: str | None = None
    value: str | None = None

    @property
    def is_defined(self) -> bool:
        return self.kind != "import"
