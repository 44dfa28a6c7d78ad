"""Members of a sweep: stacked, taken apart, evaluated together."""

import jax
import numpy as np
import own_backbone
import pytest
from own_backbone import quick

from vp_jax.assembly.setup import setup_all
from vp_jax.assembly.several.members import member_configs
from vp_jax.step.sharding import put, replicated
from vp_jax.training.evaluation import make_evaluate_together
from vp_jax.training.members import Members
from vp_jax.training.start import evaluate_of, feed_of, fresh_state

SIZES = [{"seed": 0, "prompt": "normalize | pad(1)"}, {"seed": 1, "prompt": "normalize | pad(3)"}]
BOTH = {"tune": ("prompt", "head"), "head.name": "linear"}


def make(folder, members=SIZES, **changes):
    backbone = own_backbone.make()
    configs = member_configs(quick(**BOTH, **changes), members, backbone)
    return Members(setup_all(configs, folder, backbone))


def same(one, two):
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_member_is_taken_out_as_its_own_run_begins(tmp_path, optimizer):
    """Also what the optimiser keeps of a prompt that lies on a canvas, and of the head not."""
    members = make(tmp_path, **{"optimizer.name": optimizer})
    state = jax.device_get(members.fresh())
    assert state.tuned["prompt"][1].shape == (2, 8, 8, 3)
    for number, experiment in enumerate(members.experiments):
        same(members.member(state, number), fresh_state(experiment))


def test_one_member_has_no_axis(tmp_path):
    members = make(tmp_path, SIZES[1:])
    assert members.canvases == [] and members.traits.masks is None
    same(members.fresh(), fresh_state(members.first))
    assert members.member(members.fresh(), 0).sums.loss.shape == ()
    frozen = {"backbone": object()}
    assert members.shared(frozen, np.ones(1, bool)) is frozen


@pytest.mark.slow
def test_members_that_are_not_active_stay_as_they_are(tmp_path):
    members = make(tmp_path)
    feed = feed_of(members.first, members.first.mesh, others=members.experiments[1:])
    epoch = feed.make_epochs(*(e.task.train for e in members.experiments))(0)
    batch = feed.fetch(feed.store, jax.tree.map(lambda x: x[0], epoch))
    assert batch.image.shape == (64, 2, 8, 8, 3) and batch.mask.shape == (64,)
    shared = members.shared(members.first.frozen, np.array([True, False]))
    before = members.fresh()
    after, metrics = jax.jit(members.train_step())(before, shared, batch)
    assert int(after.step) == 1 and metrics["loss"].shape == (2,)
    before, after = jax.device_get((before, after))
    same(members.member(before, 1)._replace(step=0), members.member(after, 1)._replace(step=0))
    moved = members.member(after, 0).tuned, members.member(before, 0).tuned
    changed = jax.tree.map(lambda a, b: bool(np.any(np.asarray(a) != b)), *moved)
    assert all(jax.tree.leaves(changed))


def test_together_they_are_evaluated_as_alone(tmp_path):
    members = make(tmp_path)
    mesh, experiments = members.first.mesh, members.experiments
    feed = feed_of(members.first, mesh, others=experiments[1:])
    keys = members.stack([e.key for e in experiments])
    tasks = [e.task for e in experiments]
    together = make_evaluate_together(members.eval_step(), keys, tasks, feed, mesh)
    frozen, tuned = put((members.first.frozen, members.fresh().tuned), replicated(mesh))
    splits = [task.val for task in tasks]
    found, nothing = together({**frozen, **tuned}, splits, members.eval_argument)
    assert nothing is None
    test, counted = tasks[0].test, np.array([True, False])
    tested, mean = together({**frozen, **tuned}, [test] * 2, members.eval_argument, counted)
    assert mean.shape == (len(test), 10)
    np.testing.assert_array_equal(mean.argmax(axis=-1), tested[0].predictions)
    for evaluation, experiment, split in zip(found, experiments, splits, strict=True):
        alone = evaluate_of(experiment, feed_of(experiment, mesh), mesh)
        expected = alone({**frozen, **put(experiment.tuned, replicated(mesh))}, split)
        np.testing.assert_array_equal(evaluation.predictions, expected.predictions)
        assert evaluation.accuracy == expected.accuracy
        assert evaluation.loss == pytest.approx(expected.loss, rel=1e-5)
