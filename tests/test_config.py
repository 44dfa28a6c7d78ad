import pathlib
import re

import pytest

from vp_jax import cli, config
from vp_jax.assembly import setup
from vp_jax.assembly.settings import check_settings, claim, read_config
from vp_jax.errors import UserError
from vp_jax.records import workdir
from vp_jax.records.names import CONFIG, RESULT

FOLDER = pathlib.Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.rglob("*.py"))


def test_the_defaults_are_the_papers():
    c = config.default()
    assert (c.backbone.name, c.prompt) == ("clip_vit_b32", "normalize | pad(30)")
    assert (c.task.name, c.batch_size, c.epochs) == ("cifar100", 256, 1000)
    assert (c.optimizer.name, c.optimizer.learning_rate, c.optimizer.momentum) == ("sgd", 40, 0.9)
    assert (c.optimizer.weight_decay, c.schedule.warmup_steps) == (0, 1000)
    assert c.head.templates == ("This is a photo of a {}",)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_is_valid_and_says_how_to_run_it(path):
    loaded = cli.load_config(str(path))
    setup.check(loaded)
    name = path.relative_to(FOLDER).as_posix()
    command = rf"python -m vp_jax.train(_start)? --config=configs/{re.escape(name)}\s"
    assert re.search(command, path.read_text())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_setting_of_a_config_exists_in_the_defaults(path):
    """A misspelt name in a config file would otherwise do nothing."""
    assert set(cli.setting_names(cli.load_config(str(path)))) == set(
        cli.setting_names(config.default())
    )


def test_help_lists_every_setting_with_its_default():
    text = cli.settings_help()
    for name in cli.setting_names(config.default()):
        assert f"\n  {name} " in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tune": (3,)}, r"config.tune is \(3,\); it holds texts"),
        ({"head.templates": ("{}", 3)}, r"config.head.templates is \('\{\}', 3\); it holds texts"),
        ({"task.class_names": (5,)}, r"config.task.class_names is \(5,\); it holds texts"),
        ({"tune": ("promt",)}, r"unknown part.*'promt'.*prompt"),
        ({"backbone.name": "clip_vit_b23"}, r"did you mean 'clip_vit_b32'"),
        ({"prompt": "padd(3)"}, r"config.prompt: unknown stage 'padd'; did you mean 'pad'"),
        ({"prompt": "normalize | pad(0)"}, r"at least 1, got 0"),
        ({"prompt": "normalise | pad(3)"}, r"did you mean 'normalize'"),
        ({"prompt": "normalize | pad(3) | clip"}, r"clip needs pixel values in \[0, 1\]"),
        ({"prompt": "pad(3, top=3)"}, r"unknown argument of pad: 'top'"),
        ({"prompt": ""}, r"config.tune has 'prompt', but the prompt 'normalize' has no parameters"),
        ({"prompt": "shrink(9)|clip"}, r"the prompt 'shrink\(9\) \| clip \| normalize' has no par"),
        ({"head.name": "txt"}, r"did you mean 'text'"),
        ({"head.templates": ()}, r"config.head.templates is empty"),
        ({"head.templates": ("a photo",)}, r"exactly one \{\}"),
        ({"task.name": "cifar1000"}, r"did you mean 'cifar100'"),
        ({"task.val_fraction": 1.0}, r"val_fraction is 1.0; it must be in \[0, 1\)"),
        ({"task.val_fraction": 0.0}, r"nothing to choose the best epoch by"),
        ({"select_on": "train"}, r"unknown value of config.select_on 'train'"),
        ({"batch_size": 0}, r"config.batch_size is 0; it must be at least 1"),
        ({"epochs": 0}, r"config.epochs is 0"),
        ({"seed": -1}, r"config.seed is -1"),
        ({"seed": 2**32}, r"config.seed is 4294967296; it must be below"),
        ({"optimizer.name": "sdg"}, r"did you mean 'sgd'"),
        ({"optimizer.learning_rate": float("nan")}, r"positive and finite"),
        ({"optimizer.learning_rate": 0.0}, r"positive and finite"),
        ({"schedule.name": "cosine"}, r"unknown schedule 'cosine'"),
        ({"schedule.warmup_steps": -1}, r"must be 0 or more"),
    ],
    ids=lambda x: ",".join(f"{k}={v}" for k, v in x.items()) if isinstance(x, dict) else "",
)
def test_settings_that_cannot_work_are_refused(changes, words):
    c = config.default()
    c.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=words):
        setup.check(c)


def test_zero_shot_needs_no_epochs_and_no_validation_split():
    c = config.default()
    c.update_from_flattened_dict({"tune": (), "epochs": 0, "task.val_fraction": 0.0})
    setup.check(c)


def test_an_unknown_config_file_names_the_others(tmp_path):
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(UserError, match=r"did you mean '.*mine.py'"):
        cli.load_config(str(tmp_path / "mein.py"))


def test_a_folder_instead_of_a_config_file_names_those_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(CONFIGS[0].parents[1])
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(UserError, match=r"(valid: |did you mean ).*mine.py"):
        cli.load_config(str(tmp_path))
    with pytest.raises(UserError, match=r"valid.*configs/clip_pad.py"):
        cli.load_config("no_folder/mine.py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def get_config(:", "SyntaxError"),
        ("import nonsense_module", "ModuleNotFoundError"),
        ("x = 1", "AttributeError.*get_config"),
        ("def get_config():\n    pass", "TypeError: get_config returns None"),
        ("def get_config():\n    return {}", "TypeError: get_config returns {}"),
    ],
)
def test_a_broken_config_file_is_one_sentence(tmp_path, text, words):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError, match=f"cannot be used: {words}"):
        cli.load_config(str(tmp_path / "mine.py"))


def test_settings_survive_being_written_and_read(tmp_path):
    c = config.default()
    with claim(tmp_path, c):
        pass
    assert workdir.flatten(read_config(tmp_path).to_dict()) == workdir.flatten(c.to_dict())
    assert read_config(tmp_path).head.templates == c.head.templates


def test_a_name_that_no_setting_can_have_is_refused():
    with pytest.raises(UserError, match="here cannot be used: no setting has the name 'head.na.e'"):
        config.from_json({"head": {"na.e": 1}}, "here")


def test_a_folder_of_another_run_is_refused_with_both_values(tmp_path):
    c = config.default()
    with claim(tmp_path, c):
        pass
    before = (tmp_path / CONFIG).read_bytes()
    c.prompt, c.seed = "normalize | pad(10)", 3
    differing = r"prompt is '.*pad\(30\)' there and '.*pad\(10\)' here; seed is 0 there"
    with pytest.raises(UserError, match=differing):
        check_settings(tmp_path, c)
    assert (tmp_path / CONFIG).read_bytes() == before


def test_where_things_lie_may_change(tmp_path):
    c = config.default()
    with claim(tmp_path, c):
        pass
    c.backbone.weights, c.task.data_dir, c.checkpoint_every_steps = "/w", "/d", 7
    check_settings(tmp_path, c)


def test_two_processes_cannot_train_in_one_folder(tmp_path):
    c = config.default()
    with (
        claim(tmp_path, c),
        pytest.raises(UserError, match="another process is training"),
        claim(tmp_path, c),
    ):
        pass


def test_a_folder_with_a_result_but_no_settings_is_refused(tmp_path):
    (tmp_path / RESULT).write_text("{}")
    with pytest.raises(UserError, match=r"holds result.json but no config.json"):
        check_settings(tmp_path, config.default())


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(UserError, match="is a file"):
        check_settings(file, config.default())
    assert file.read_text() == "precious"
