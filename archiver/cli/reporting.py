"""Do a verb's work with what `[notify]`, `[hooks]` and `[metrics]` ask for around it."""

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
    """Return the answer of `work`, and as warnings what went wrong around it, which does not
    change the exit status. sources: the names given; none: all.
    """
    config = invocation.config()
    configured = [source.name for source in config.sources]
    around = Attended(
        config,
        verb,
        [name for name in configured if not sources or name in sources],
        invocation.now,
        whole=not sources or set(sources) == set(configured),
        asked_to_stop=invocation.asked_to_stop,
    )
    around.begin()
    try:
        answer = work(around)
    except ArchiverError as failure:
        answer = Answer(failures=[failure])
    except KeyboardInterrupt:
        around.end(InterruptedRunError.exit_status, ())
        raise
    except Exception as error:
        from archiver.cli.main import failure_of  # noqa: PLC0415 (it imports the verbs)

        unexpected = failure_of(error)
        around.end(unexpected.exit_status, [unexpected])
        raise
    status = answer.status
    around.end(status, answer.failures)
    answer.exit_status = status
    answer.failures = [*answer.failures, *around.warnings]
    return answer
