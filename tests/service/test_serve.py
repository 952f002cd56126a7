"""The service's looks: what it starts, what it makes of how a job ends, and what it never does."""

import itertools
import signal
import tempfile
from dataclasses import dataclass, field

import pytest

from archiver.errors import ArchiverError, ConfigError, DiskError, NotToldError, StoreError
from archiver.rotation import last_run
from archiver.service import last_jobs
from archiver.service.child import Ended
from archiver.service.jobs import LONGEST_PAUSE, Job
from archiver.service.serve import SOON, Accepted, Running, Service, start_child
from tests.world.host import MONDAY, Host, after, lines

WELL, HELD = Ended(0), Ended(11)


@dataclass
class Work:
    """A job that ends when the test says so."""

    job: Job
    begun: int
    clock: "Clock"
    since: float
    end: Ended | None = None
    stops: int = 0

    @property
    def seconds(self) -> float:
        return self.clock.monotonic - self.since

    def stop(self) -> None:
        self.stops += 1

    def ended(self) -> Ended | None:
        return self.end


@dataclass
class Clock:
    """Wall and monotonic, and a service that lives by them."""

    host: Host
    wall: int
    monotonic: float = 1000.0
    started: list[Work] = field(default_factory=list)
    alarms: list[tuple[Job, list[str]]] = field(default_factory=list)
    broken: ArchiverError | None = None

    def service(self) -> Service:
        return Service(
            Accepted.read(self.host.toml),
            start=self.start,
            alarm=lambda job, failures: self.alarms.append((job, [f.code for f in failures])),
            now=lambda: self.wall,
            monotonic=lambda: self.monotonic,
        )

    def start(self, job: Job, accepted: Accepted, now: int) -> Running:
        assert accepted.config.host.name == "mx1"
        if self.broken:
            raise self.broken
        self.started.append(Work(job, now, self, self.monotonic))
        return self.started[-1]

    def pass_(self, seconds: float) -> None:
        self.wall += int(seconds)
        self.monotonic += seconds

    @property
    def jobs(self) -> list[Job]:
        return [work.job for work in self.started]

    def end(self, service: Service, ended: Ended) -> None:
        """The job under way ends, and is noted as a child would have noted it."""
        work = self.started[-1]
        work.end = ended
        if work.job is Job.NIGHT and not ended.killed_by and ended.exit_status != 11:
            state = self.host.config.host.state_dir
            state.mkdir(exist_ok=True)
            last = last_run.load(state).after(
                work.begun, ended.exit_status, complete={}, logs={}, spool="", sources=["maillog"]
            )
            last_run.save(state, last)
        service.tick()


@pytest.fixture
def clock(host: Host) -> Clock:
    host.config.host.state_dir.mkdir(exist_ok=True)
    return Clock(host, host.at(MONDAY, "00:05"))


def test_the_jobs_come_one_after_the_other_and_once(clock: Clock) -> None:
    """Night, expiry, scrub; then nothing, until the next night, which has no scrub."""
    service = clock.service()
    service.tick()
    assert clock.jobs == [Job.NIGHT]
    service.tick()
    assert clock.jobs == [Job.NIGHT], "one at a time"
    for job in (Job.NIGHT, Job.EXPIRE, Job.SCRUB):
        assert clock.jobs[-1] is job
        clock.end(service, WELL)
    assert clock.jobs == list(Job)
    for _ in range(100):
        clock.pass_(14 * 60)
        service.tick()
    assert clock.jobs == list(Job)
    clock.wall = clock.host.at(after(MONDAY), "00:00:05")
    service.tick()
    clock.end(service, WELL)
    clock.end(service, WELL)
    assert clock.jobs == [*Job, Job.NIGHT, Job.EXPIRE]
    assert clock.alarms == []


def test_a_restart_remembers_what_was_done(clock: Clock) -> None:
    """And notes that were lost, or are somebody's novel, only make a job be done once more."""
    service = clock.service()
    service.tick()
    for _ in Job:
        clock.end(service, WELL)
    clock.service().tick()
    assert clock.jobs == list(Job)
    for text in ("", "novel", '{"expire": 5}', '{"expire": {"started": "now"}}', '{"x": {}}'):
        (clock.host.config.host.state_dir / last_jobs.FILE).write_text(text)
        again = clock.service()
        again.tick()
        assert clock.jobs[-1] is Job.EXPIRE
        clock.end(again, WELL)
        clock.end(again, WELL)


def test_a_failed_night_is_tried_again_ever_later_and_lets_the_others_go_on(clock: Clock) -> None:
    service = clock.service()
    service.tick()
    tried = [clock.monotonic]
    away = Ended(12, (StoreError("it is away", hint="wait"),))
    clock.end(service, away)
    assert clock.jobs[-1] is Job.EXPIRE
    clock.end(service, WELL)
    clock.end(service, WELL)
    assert clock.jobs == list(Job)
    assert "to be tried again soon: night" in service.status
    while len(tried) < 8:
        clock.pass_(10)
        service.tick()
        if service.running:
            assert clock.jobs[-1:] == [Job.NIGHT]
            tried.append(clock.monotonic)
            clock.end(service, away)
    pauses = [b - a for a, b in itertools.pairwise(tried)]
    assert pauses == [300, 600, 1200, 2400, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert clock.alarms == [], "a run tells of its own failures"
    clock.pass_(3600)
    service.tick()
    clock.end(service, WELL)
    assert clock.alarms == [(Job.NIGHT, [])]
    assert "failed" not in service.status


def test_what_cannot_tell_of_itself_is_told_of(clock: Clock) -> None:
    """Expiry, scrub, and a night that was killed."""
    service = clock.service()
    service.tick()
    clock.end(service, Ended(1, (), killed_by=9))
    assert clock.alarms == [(Job.NIGHT, ["job"])]
    assert last_run.load(clock.host.config.host.state_dir).started is None
    clock.pass_(300)
    service.tick()
    clock.end(service, WELL)
    clock.end(service, Ended(3, (DiskError("full", hint="free some"),)))
    assert clock.alarms == [(Job.NIGHT, ["job"]), (Job.NIGHT, []), (Job.EXPIRE, ["disk"])]


def test_a_night_that_failed_without_a_word_is_told_of(clock: Clock) -> None:
    """Its program could not even be loaded: so it has told nobody."""
    service = clock.service()
    service.tick()
    clock.end(service, Ended(1))
    assert clock.alarms == [(Job.NIGHT, ["job"])]


def test_the_warnings_of_a_job_that_went_well_are_logged(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service = clock.service()
    service.tick()
    with caplog.at_level("INFO"):
        clock.end(service, Ended(0, (NotToldError("mail: not delivered", hint="look"),)))
    assert "night: mail: not delivered (try: look)" in caplog.messages
    assert clock.alarms == []


def test_another_archiver_at_work_is_no_failure(clock: Clock) -> None:
    service = clock.service()
    service.tick()
    clock.end(service, HELD)
    assert service.running is None
    clock.pass_(SOON - 1)
    service.tick()
    assert service.running is None
    clock.pass_(1)
    service.tick()
    assert clock.jobs == [Job.NIGHT, Job.NIGHT]
    assert clock.alarms == []


def test_a_job_that_hangs_is_ended_told_of_and_tried_again(clock: Clock) -> None:
    clock.host.configure(tables='[schedule]\nhang_after = "10m"\n')
    service = clock.service()
    service.tick()
    clock.pass_(600)
    service.tick()
    assert (clock.started[0].stops, clock.alarms) == (0, [])
    clock.pass_(1)
    service.tick()
    service.tick()
    assert (clock.started[0].stops, clock.alarms) == (2, [(Job.NIGHT, ["job"])])
    clock.started[0].end = Ended(1, (), killed_by=9)
    service.tick()
    assert clock.alarms == [(Job.NIGHT, ["job"])], "told once"
    assert service.running is None
    clock.pass_(LONGEST_PAUSE)
    service.tick()
    assert service.running is clock.started[-1]
    assert len(clock.started) == 2


def test_what_cannot_be_started_is_tried_again(clock: Clock) -> None:
    service = clock.service()
    clock.broken = DiskError("no process can be made", hint="wait")
    service.tick()
    service.tick()
    assert clock.alarms == [(Job.NIGHT, ["disk"])]
    clock.broken = None
    clock.pass_(300)
    service.tick()
    assert clock.jobs == [Job.NIGHT]


def test_stopping_ends_after_the_step_and_starts_nothing(clock: Clock) -> None:
    """The job is asked again with each look: its own clock decides when it is killed."""
    service = clock.service()
    service.tick()
    service.stop()
    service.tick()
    assert (clock.started[0].stops, service.finished) == (2, False)
    clock.end(service, Ended(130))
    assert service.finished
    assert (clock.jobs, clock.alarms) == ([Job.NIGHT], [])


def test_stopped_before_it_knew_of_signals_it_is_no_failure(clock: Clock) -> None:
    """A child takes a while to come up; a service is often stopped soon after it was started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        service = clock.service()
        service.tick()
        service.stop()
        clock.started[-1].end = Ended(1, (), killed_by=number)
        service.tick()
        assert service.finished
    assert clock.alarms == []


def test_a_full_log_makes_a_night(clock: Clock) -> None:
    """When it has reached its max_size; and if that does not make it smaller, not all the time."""
    clock.host.configure(more='max_size = "100B"')
    service = clock.service()
    service.tick()
    for _ in Job:
        clock.end(service, WELL)
    clock.host.write(lines(MONDAY, "00:00:01"))
    service.tick()
    assert clock.jobs == list(Job)
    clock.pass_(SOON)
    service.tick()
    assert clock.jobs == list(Job)
    clock.host.write(lines(MONDAY, "00:00:01") * 2)
    service.tick()
    assert clock.jobs == [*Job, Job.NIGHT]
    clock.end(service, WELL)
    assert service.running is None
    clock.pass_(SOON)
    service.tick()
    assert clock.jobs == [*Job, Job.NIGHT, Job.NIGHT]


def test_a_full_log_that_another_one_rotates_makes_none(clock: Clock) -> None:
    """Our nights do not make it smaller: they would follow one another, each minute."""
    clock.host.configure(more='max_size = "100B"\ncoexist = "adopt"')
    service = clock.service()
    service.tick()
    for _ in Job:
        clock.end(service, WELL)
    clock.host.write(lines(MONDAY, "00:00:01") * 3)
    clock.pass_(SOON)
    service.tick()
    assert clock.jobs == list(Job)


def test_what_cannot_be_noted_is_not_done_at_each_look(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    service = clock.service()
    service.tick()
    clock.end(service, WELL)
    assert clock.jobs[-1] is Job.EXPIRE

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(last_jobs, "save", full)
    with pytest.raises(OSError, match="No space"):
        clock.end(service, WELL)
    service.tick()
    assert clock.jobs.count(Job.EXPIRE) == 1


def test_a_job_that_cannot_have_files_is_no_mistake_of_ours(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(ArchiverError, match="starting the job night"):
        start_child(Job.NIGHT, Accepted.read(clock.host.toml), 0)


def test_a_night_of_one_source_only_is_not_the_night(clock: Clock) -> None:
    """`archiver run --source A`, by hand: the others' turn is still to come."""
    clock.host.configure(sources=("maillog", "authlog"))
    service = clock.service()
    service.tick()
    clock.end(service, WELL)  # of maillog alone
    clock.end(service, WELL)
    clock.end(service, WELL)
    assert clock.jobs == list(Job)
    clock.pass_(SOON)
    service.tick()
    assert clock.jobs == [*Job, Job.NIGHT]


def test_a_bad_configuration_is_refused_and_the_old_one_kept(clock: Clock) -> None:
    """A new one counts at once, and what failed under the old one is tried anew."""
    service = clock.service()
    service.tick()
    clock.end(service, Ended(12))
    old = service.accepted
    for broken in ("novel", clock.host.toml.read_text().replace('"mx1"', '"mx2"')):
        text = clock.host.toml.read_text()
        clock.host.toml.write_text(broken)
        with pytest.raises(ConfigError):
            service.reload()
        assert service.accepted is old
        clock.host.toml.write_text(text)
    clock.host.configure(tables='[schedule]\nscrub = "never"\n')
    service.reload()
    assert service.accepted.config.schedule.scrub == "never"
    clock.end(service, WELL)  # expiry, which was under way
    assert clock.jobs == [Job.NIGHT, Job.EXPIRE, Job.NIGHT]
