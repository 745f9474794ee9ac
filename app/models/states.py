"""The states of jobs, batches and workers, and the one table of legal job moves."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"  # stored, waits for a worker to claim it
    RUNNING = "running"  # claimed by a worker incarnation under the current attempt
    SUCCEEDED = "succeeded"  # has its one result
    FAILED = "failed"  # ended with an error code
    CANCELLED = "cancelled"  # the client withdrew it
    EXPIRED = "expired"  # its time window passed first


MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {
            JobState.RUNNING,
            JobState.SUCCEEDED,  # with the answer of an identical line: app.models.twins
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.EXPIRED,
        }
    ),
    JobState.RUNNING: frozenset(
        {
            JobState.QUEUED,
            JobState.SUCCEEDED,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.EXPIRED,
        }
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

TERMINAL = frozenset(state for state, moves in MOVES.items() if not moves)
OPEN = frozenset(MOVES) - TERMINAL


def sources(target: JobState) -> tuple[str, ...]:
    """The states a job may be in just before `target`; statements move rows from these only."""
    return tuple(state.value for state, moves in MOVES.items() if target in moves)


class BatchState(StrEnum):
    """OpenAI's batch states, exactly."""

    VALIDATING = "validating"  # its lines are being read
    FAILED = "failed"  # the input file was refused
    IN_PROGRESS = "in_progress"  # its jobs are queued or running
    FINALIZING = "finalizing"  # all jobs ended, files are being written
    COMPLETED = "completed"  # its files can be downloaded
    EXPIRED = "expired"  # the window passed; what was done is kept
    CANCELLING = "cancelling"  # cancel was asked for, jobs are ending
    CANCELLED = "cancelled"  # ended by the client; what was done is kept


CANCELLABLE = (BatchState.VALIDATING, BatchState.IN_PROGRESS, BatchState.FINALIZING)
ENDED = (BatchState.FAILED, BatchState.COMPLETED, BatchState.EXPIRED, BatchState.CANCELLED)


class WorkerState(StrEnum):
    """What a worker incarnation is doing."""

    LOADING = "loading"  # verifying and loading weights
    READY = "ready"  # can claim jobs
    FAILED = "failed"  # could not load; its reason is in the row; it tries again
    STOPPING = "stopping"  # told to end; gives its jobs back after its current step
    LOST = "lost"  # its pulse stopped; its jobs were given to others
    STOPPED = "stopped"  # ended in order


CLAIMING = (WorkerState.LOADING, WorkerState.READY, WorkerState.FAILED)  # they may be given jobs
ALIVE = (*CLAIMING, WorkerState.STOPPING)  # they own their slot
