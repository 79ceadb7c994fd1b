"""What may end a run; each error is one line that says what to try."""


class RunError(RuntimeError):
    """A run cannot go on; what it finished before is kept if it has a store."""


class TaskError(RunError):
    """A task raised an error; the message names that error and the problem."""


class ExecutorError(RunError):
    """An executor that cannot run tasks; the message says why."""


class WorkersDiedError(RunError):
    """Workers die whatever is done."""
