"""Let a verb be attended: what `[notify]`, `[hooks]` and `[metrics]` ask for, around its work."""

from collections.abc import Callable, Sequence

from archiver.cli.answer import Answer, Invocation
from archiver.errors import ArchiverError, InterruptedRunError
from archiver.service.reporting import Attended


def attended(
    invocation: Invocation,
    verb: str,
    sources: Sequence[str],
    work: Callable[[Attended], Answer],
) -> Answer:
    """Return the answer of `work`, with what went wrong around it as warnings: its exit status
    stays its own. sources: those that are named; none: all.
    """
    config = invocation.config()
    every = [source.name for source in config.sources]
    around = Attended(
        config,
        verb,
        [name for name in every if not sources or name in sources],
        invocation.now,
        whole=not sources or set(sources) == set(every),
        asked_to_stop=invocation.asked_to_stop,
    )
    around.begin()
    try:
        answer = work(around)
    except ArchiverError as known:
        answer = Answer(failures=[known])
    except KeyboardInterrupt:
        around.end(InterruptedRunError.exit_status, ())
        raise
    except Exception as error:
        from archiver.cli.main import explain  # noqa: PLC0415 (it imports the verbs)

        failure = explain(error)
        around.end(failure.exit_status, [failure])
        raise
    status = answer.status
    around.end(status, answer.failures)
    answer.exit_status = status
    answer.failures = [*answer.failures, *around.warnings]
    return answer
