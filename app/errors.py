"""Every error this project raises on purpose, in one tree.

    AutoglmError                 code, param, values; its text is looked up by code in app/locales
    |-- SettingsError            the configuration is wrong                            exit 2
    |-- InputError               a file or option given on the command line is wrong   exit 2
    |-- RequestError             the client's request cannot be served                 4xx, 5xx
    |   |-- BadRequest           400
    |   |-- Unauthorized         401
    |   |-- Forbidden            403
    |   |-- NotFound             404
    |   |-- Conflict             409
    |   |-- TooLarge             413
    |   |-- ClientGone           499, seen by nobody but the log
    |   |-- Busy                 429, with retry_after seconds
    |   |-- Failed               500, a job that the call waited for failed on our side
    |   |-- Unavailable          503, with retry_after seconds
    |   |   |-- Contention       503: a transaction lost every race, though it was repeated
    |   |   `-- Full             507: the disk takes no more
    |   `-- Overdue              504, a job that the call waited for ran out of time
    |-- WeightsError             a model directory failed verification or cannot be loaded
    |-- EngineError              one generation request is refused or failed; neighbours go on
    |-- Stopped                  work that can be resumed was left, since the process is to end
    |-- StepTimeout              a forward pass took longer than worker.step_timeout_seconds
    |-- PortTaken                what an earlier service left still has the port       exit 1
    `-- SlotTaken                another live worker owns this slot

An error carries a `code` (stable, machine-readable, never translated) and the values that its
message needs. The text of code `x` is the entry `errors.x` of the message files.
"""

from typing import Any, ClassVar


class AutoglmError(Exception):
    """Base of all deliberate errors. `code` names the message; `values` fill its placeholders."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"

    def __init__(self, code: str, *, param: str | None = None, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.param = param
        self.values = values

    def __str__(self) -> str:
        details = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.code}({details})" if details else self.code

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.code, self.param, self.values)


def _rebuild(
    kind: type[AutoglmError], code: str, param: str | None, values: dict[str, Any]
) -> AutoglmError:
    return kind(code, param=param, **values)


class SettingsError(AutoglmError):
    """The configuration is wrong; the process exits with status 2."""


class InputError(AutoglmError):
    """A file or option given on the command line is wrong; the process exits with status 2."""


class RequestError(AutoglmError):
    """The client's request cannot be served."""

    type = "invalid_request_error"


class BadRequest(RequestError):
    """The request is malformed or breaks a rule."""

    status = 400


class Unauthorized(RequestError):
    """No valid key was given."""

    status = 401
    type = "authentication_error"


class Forbidden(RequestError):
    """The key is valid but may not do this."""

    status = 403
    type = "permission_error"


class NotFound(RequestError):
    """No such object exists for this tenant."""

    status = 404


class Conflict(RequestError):
    """The object's state does not allow this."""

    status = 409


class TooLarge(RequestError):
    """The body or file is over its limit."""

    status = 413


class ClientGone(RequestError):
    """The client hung up before its answer was there."""

    status = 499


class Busy(RequestError):
    """The queue is full; try again after `retry_after` seconds."""

    status = 429
    type = "rate_limit_error"


class Unavailable(RequestError):
    """A dependency is missing for now; try again after `retry_after` seconds."""

    status = 503
    type = "server_error"


class Contention(Unavailable):
    """A transaction was rolled back in favour of another one; it may be repeated."""


class Full(Unavailable):
    """The disk of the database or of the files takes no more."""

    status = 507


class Failed(RequestError):
    """A job that the call waited for failed, and not by its request's fault."""

    status = 500
    type = "server_error"


class Overdue(RequestError):
    """A job that the call waited for did not end in time."""

    status = 504
    type = "server_error"


class WeightsError(AutoglmError):
    """A model directory failed verification or cannot be loaded."""


class EngineError(AutoglmError):
    """One generation request is refused or failed; its neighbours go on."""


class Stopped(AutoglmError):
    """The process was told to end; what it was at is resumed by the next one."""


class StepTimeout(AutoglmError):
    """A forward pass did not end in time and was cut; raised into the loop from outside of it."""


class PortTaken(AutoglmError):
    """What an earlier service left still has the port; a later start may succeed."""


class SlotTaken(AutoglmError):
    """Another live worker owns this slot."""
