"""A wish to stop becomes one safe point, the same in all processes."""

import threading

import pytest

from t5x_lite.checkpoints.multihost import Messages
from t5x_lite.training import interrupts as interrupts_module
from t5x_lite.training.errors import StopAsked
from t5x_lite.training.interrupts import Council, Interrupts
from t5x_lite.training.signals import Signals


class FakeSignals(Signals):
    """Signals that come when a test says so; who leaves is noted."""

    def __init__(self, *, may_exit: bool = True):
        super().__init__(may_exit=may_exit)
        self.left = threading.Event()

    def come(self, name: str = "SIGTERM") -> None:
        """As the thread that reads signals does it."""
        self.name = name
        self._answer()

    def leave(self) -> None:
        for action in self._before_leaving:
            action()
        self.left.set()


class Board(Messages):
    """Messages of processes that are threads here."""

    def __init__(self):
        self._texts = {}

    def post(self, name, text):
        self._texts[name] = text

    def read(self, kind):
        return [text for name, text in dict(self._texts).items() if name.startswith(f"{kind}/")]


def test_a_lone_process_stops_at_the_next_safe_point(capfd):
    """A step, or a batch of an evaluation; not at the one that it has passed."""
    signals = FakeSignals()
    interrupts = Interrupts(signals)
    assert not interrupts.wants_to_stop(after_step=True)
    signals.come()
    assert not signals.left.is_set()
    with pytest.raises(StopAsked):
        interrupts.stop_if_asked()
    assert interrupts.wants_to_stop(after_step=True)
    assert "SIGTERM: saving after this step" in capfd.readouterr().out
    error = interrupts.stopped(2, "/runs/one")
    assert error.exit_status == 75
    assert "SIGTERM after step 2" in str(error)


def test_with_nothing_to_save_a_process_leaves_at_once():
    """Before the first step, within an evaluation that is made up for, and after a rollback."""
    signals = FakeSignals()
    interrupts = Interrupts(signals)
    interrupts.stop_if_asked()
    signals.come()
    assert signals.left.is_set()
    signals = FakeSignals()
    interrupts = Interrupts(signals)
    interrupts.wants_to_stop(after_step=True)
    interrupts.restored()
    signals.come()
    assert signals.left.is_set()


def test_a_process_that_is_not_the_runs_own_makes_a_step_first():
    """A notebook goes on to live."""
    signals = FakeSignals(may_exit=False)
    interrupts = Interrupts(signals)
    signals.come()
    assert not signals.left.is_set()
    assert interrupts.wants_to_stop(after_step=True)


def test_a_wish_from_before_the_loop_is_heard():
    """It came while something was imported, say."""
    signals = FakeSignals(may_exit=False)
    signals.name = "SIGTERM"
    assert Interrupts(signals).wants_to_stop()


@pytest.fixture
def processes(monkeypatch):
    """A job of three processes on one board, and their wishes."""
    monkeypatch.setattr(interrupts_module, "_SECONDS_BETWEEN_LOOKS", 0.001)
    board, signals = Board(), [FakeSignals() for _ in range(3)]
    made = [Interrupts(each, Council(board, i, 3)) for i, each in enumerate(signals)]
    yield made, signals
    for each in made:
        each.close()


def decided(each: Interrupts) -> None:
    """Waits until a process knows where to stop."""
    each._council._thread.join(10)
    assert not each._council._thread.is_alive()


@pytest.mark.parametrize("asked", [[0], [1], [2, 0]])
def test_processes_at_different_steps_stop_at_the_same(processes, asked):
    """Whoever was asked, and also those that were asked themselves; nobody before the furthest."""
    made, signals = processes
    for each, passed in zip(made, (4, 6, 5), strict=True):
        assert not any([each.wants_to_stop(after_step=True) for _ in range(passed)])
    for index in asked:
        signals[index].come()
    for each, passed in zip(made, (4, 6, 5), strict=True):
        decided(each)
        stops = [each.wants_to_stop(after_step=True) for _ in range(passed + 1, 9)]
        assert passed + 1 + stops.index(True) == 7
        assert all(stops[stops.index(True) :])
    unasked = [each.stopped(7, "") for i, each in enumerate(made) if i not in asked]
    assert all("a signal to another process after step 7" in str(error) for error in unasked)


def test_nobody_passes_a_safe_point_until_all_have_answered(monkeypatch):
    """Else the one that was agreed upon might lie behind it."""
    monkeypatch.setattr(interrupts_module, "_SECONDS_BETWEEN_LOOKS", 0.001)
    board, signals = Board(), FakeSignals()
    early = Interrupts(signals, Council(board, 0, 2))
    early.wants_to_stop(after_step=True)
    asked = threading.Event()
    post = board.post
    board.post = lambda name, text: (post(name, text), name == "place/0" and asked.set())
    signals.come()
    assert asked.wait(10)
    passing = threading.Thread(target=lambda: early.wants_to_stop(after_step=True))
    passing.start()
    passing.join(0.05)
    assert passing.is_alive()
    late = Interrupts(FakeSignals(), Council(board, 1, 2))
    passing.join(10)
    assert not passing.is_alive()
    for each in (early, late):
        decided(each)
        each.close()


def test_processes_with_nothing_to_save_leave_together_and_the_first_one_last(processes):
    """The end of process 0 would kill the others, with another exit status."""
    made, signals = processes
    order = []
    for index, each in enumerate(signals):
        each._before_leaving.append(lambda index=index: order.append(index))
    signals[2].come()
    for each in made:
        decided(each)
    assert all(each.left.is_set() for each in signals)
    assert order[-1] == 0


def test_a_process_that_has_trained_makes_all_of_them_save(processes):
    """Another one may still be at its first step."""
    made, signals = processes
    made[1].wants_to_stop(after_step=True)
    signals[2].come()
    for each, rest in zip(made, (2, 1, 2), strict=True):
        decided(each)
        assert [each.wants_to_stop(after_step=True) for _ in range(rest)][-1]
    assert not any(each.left.is_set() for each in signals)


def test_a_process_that_does_not_answer_is_said(processes, monkeypatch, capfd):
    """What became of it the devices will tell."""
    monkeypatch.setattr(interrupts_module, "_SECONDS_TO_ANSWER", 0.01)
    signals = FakeSignals()
    lonely = Interrupts(signals, Council(Board(), 0, 2))
    signals.come()
    decided(lonely)
    assert not lonely.wants_to_stop(after_step=True)
    assert "only 1 of 2 processes answer" in capfd.readouterr().out
    lonely.close()


def test_closing_ends_the_thread(processes):
    """Before the messages' server ends."""
    made, _ = processes
    made[0].close()
    assert not made[0]._council._thread.is_alive()
