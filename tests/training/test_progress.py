"""What checkpoints say of a run's progress."""

import json

from vp_jax.training.progress import Progress


def test_of_one_run_nothing_is_said_of_members():
    progress = Progress(train_images=64, stopped=[-1])
    progress.record(19, {"accuracy": 0.5})
    saved = json.loads(json.dumps(progress.to_json()))
    assert "members" not in saved and "stopped" not in saved
    again = Progress(**saved)
    assert again.each == [again] and again.best == {"accuracy": 0.5} and again.stopped == []


def test_members_are_read_as_they_were_saved():
    progress = Progress(members=[Progress(), Progress(best_step=7)], stopped=[-1, 7])
    again = Progress(**json.loads(json.dumps(progress.to_json())))
    assert again == progress and again.each[1].best_step == 7


def test_the_first_of_equal_evaluations_is_best():
    progress = Progress()
    for step, accuracy in enumerate((0.1, 0.3, 0.3, 0.2)):
        progress.record(step, {"accuracy": accuracy})
    assert progress.best_step == 1 and progress.stale == 2
