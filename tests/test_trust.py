"""What a configuration may not do by itself, and how the user declares that it may."""

from __future__ import annotations

import hydra
import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from lavx.errors import RequestError
from lavx.experiments import trust
from lavx.experiments.compose import settings
from lavx.networks.openmmlab.plain_config import is_plain


def checked(text: str, *typed: str) -> None:
    trust.check(yaml.safe_load(text), typed)


CODE = [
    ("net: {_target_: my_module.Net}", "net._target_=my_module.Net", "my_module"),
    ("method: {removal: {_target_: os.system, command: ls}}", "method.removal._target_=os.system", "os"),
    ("net: {function: 'my_module:predict'}", "net.function=my_module:predict", "my_module"),
    ("net: {model: 'package.module:build'}", "net.model=package.module:build", "package.module"),
    ("net: {prepare: 'my_module:two'}", "net.prepare=my_module:two", "my_module"),
    ("net: {pick: 'my_module:first'}", "net.pick=my_module:first", "my_module"),
    ("training: {optimizer: {type: torch.hub.load}}", "training.optimizer.type=torch.hub.load", "torch.hub"),
    ("x: [{a: {_target_: my_module.A}}]", "x.0.a._target_=my_module.A", "my_module"),
]


@pytest.mark.parametrize(("text", "typed", "module"), CODE)
def test_code_is_refused_unless_it_is_typed_or_trusted(text, typed, module):
    with pytest.raises(
        RequestError, match=r"runs code.*Type .* at the command line, or declare .*trusted_modules="
    ):
        checked(text)
    checked(text, typed)
    checked(f"{{{text[: text.index(':')]}{text[text.index(':') :]}, trusted_modules: [{module}]}}",
            f"trusted_modules=[{module}]")  # fmt: skip


@pytest.mark.parametrize(
    "typed",
    ["net.function=another:predict", "net.model=my_module:predict", "net=function", "name=my_module:predict",
     "net.function=not_my_module:predict", "net.function=my_module:predict_else"],
)  # fmt: skip
def test_something_else_that_is_typed_declares_nothing(typed):
    with pytest.raises(RequestError, match="net.function=my_module:predict runs code"):
        checked("net: {function: 'my_module:predict'}", typed)


def test_a_file_of_that_name_makes_a_function_no_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_module:predict").touch()
    for key in ("function", "prepare", "pick"):
        with pytest.raises(RequestError, match=f"net.{key}=my_module:predict runs code"):
            checked(f"net: {{{key}: 'my_module:predict'}}")
    checked("net: {model: 'my_module:predict'}")  # which is taken for that file


def test_a_dictionary_that_is_typed_declares_what_is_in_it():
    checked("net: {_target_: my_module.Net, a: 1}", "net={_target_: my_module.Net, a: 1}")
    checked("net: {extra: {_target_: my_module.Net}}", "+net.extra={_target_:my_module.Net}")


def test_a_module_of_almost_that_name_is_not_trusted():
    with pytest.raises(RequestError, match="trusted_modules=.my_module_2"):
        checked("{net: {_target_: my_module_2.Net}, trusted_modules: [my_module]}", "trusted_modules=[my_module]")
    checked("{net: {_target_: my_module.inner.Net}, trusted_modules: [my_module]}", "trusted_modules=[my_module]")


def test_a_file_cannot_trust_itself():
    with pytest.raises(RequestError, match=r"trusted_modules=\['evil'\] counts only at the command line"):
        checked("{net: {_target_: evil.Net}, trusted_modules: [evil]}")
    with pytest.raises(RequestError, match="trusted_modules must be a list of modules"):
        checked("{trusted_modules: evil}", "trusted_modules=evil")


def test_a_program_that_composes_by_itself_may_trust_what_it_likes():
    trust.check({"net": {"_target_": "mine.Net"}, "trusted_modules": ["mine"]}, None)
    with pytest.raises(RequestError, match="runs code"):
        trust.check({"net": {"_target_": "mine.Net"}, "trusted_modules": []}, None)


@pytest.mark.parametrize(
    "target",
    ["lavx.networks.python_path.load", "lavx.networks.checkpoints.read_checkpoint", "lavx.files.write_text",
     "lavx.datasets.folder.Path", "lavx.commands.guarded", "lavx.experiments.trust.Code", "lavxevil.Net",
     "lavx.methods.segmentation.cv2.VideoWriter", "lavx.datasets.kinetics400.csv.DictReader"],
)  # fmt: skip
def test_of_lavx_only_components_are_data(target):
    with pytest.raises(RequestError, match="runs code"):
        checked(f"method: {{_target_: {target}}}")


def test_positional_arguments_hide_what_they_are():
    with pytest.raises(RequestError, match="net._args_=.*runs code"):
        checked("net: {_target_: lavx.networks.function.network, _args_: ['my_module:predict', 8]}")


def test_pickles_are_loaded_only_where_that_is_typed():
    with pytest.raises(RequestError, match="net.trust_checkpoint=True runs code"):
        checked("net: {trust_checkpoint: true}")
    with pytest.raises(RequestError, match="net.trust_checkpoint=True runs code"):
        checked("net: {trust_checkpoint: true}", "net.trust_checkpoint=false")
    checked("net: {trust_checkpoint: true}", "net.trust_checkpoint=True")
    checked("net: {trust_checkpoint: false}")


def test_all_that_lavx_ships_is_data():
    with initialize_config_module("lavx.conf", version_base="1.3"):
        loader = hydra.core.global_hydra.GlobalHydra.instance().config_loader()
        for group in ("net", "dataset", "method"):
            for name in loader.get_group_options(group):
                given = {"net": "net.model=x", "dataset": "dataset.root=/x", "method": "seed=0"}[group]
                try:
                    config = compose("run", [f"{group}={name}", given])
                except hydra.errors.HydraException:  # has no such key
                    config = compose("run", [f"{group}={name}"])
                trust.check(OmegaConf.to_container(config, resolve=False), [])
        for command in ("run", "explain", "select", "evaluate", "train", "gallery", "data"):
            assert compose(command).trusted_modules == []


@pytest.fixture
def command_line(monkeypatch):
    """The settings of `lavx run` with the overrides of a command line."""

    def configure(*overrides, typed=None, params=None):
        with initialize_config_module("lavx.conf", version_base="1.3"):
            config = compose("run", overrides=list(overrides), return_hydra_config=True)
        with open_dict(config):
            config.hydra.overrides.task = list(overrides if typed is None else typed)
            config.hydra.sweeper.params = params
            monkeypatch.setattr(HydraConfig, "initialized", staticmethod(lambda: True))
            monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda hydra_part=config.hydra: hydra_part))
            del config["hydra"]
        return settings(config)

    return configure


def test_settings_are_checked_against_the_command_line(command_line):
    function = "net.function=my_module:predict"
    assert command_line("net=function", function).net.function == "my_module:predict"
    with pytest.raises(RequestError, match=f"{function} runs code"):
        command_line("net=function", function, typed=["net=function"])


def test_what_a_file_sweeps_over_was_not_typed(command_line):
    target = "net._target_=my_module.Net"
    assert command_line(target)
    with pytest.raises(RequestError, match="runs code"):
        command_line(target, params={"net._target_": "my_module.Net"})


PLAIN = ["a = 1", "a = dict(b=[1, -2.5, (3, None)], c={'d': 'e'}, f=dict())", "'doc'\na = {}",
         "model = dict(type='Recognizer3D', backbone=dict(type='ResNet3d', depth=50))"]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_a_config_of_literal_values_is_data(tmp_path, text):
    file = tmp_path / "config.py"
    file.write_text(text)
    assert is_plain(file)
    trust.check({"net": {"config": str(file)}}, [])


NOT_PLAIN = [
    "import os",
    "_base_ = ['other.py']",
    "custom_imports = dict(imports=['evil'])",
    "a = open('x')",
    "a = dict(**open('x'))",
    "a = dict([('b', 1)])",
    "a = [x for x in (1,)]",
    "a = 1 + 1",
    "a = 'x'.upper()",
    "a = dict(type='os.system', command='ls')",
    "a = {'type': 'os.system'}",
    "a = '{{$HOME:x}}'",
    "a: int = 1",
    "a = {print(): 1}",
    "a = f'{1}'",
    "a = dict(type=dict(b=1))",
    "a, b = 1, 2",
    "a = (",
    "def f(): pass",
]


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_any_other_config_is_code(tmp_path, text):
    file = tmp_path / "config.py"
    file.write_text(text)
    assert not is_plain(file)
    with pytest.raises(RequestError, match="net.config=.*runs code"):
        trust.check({"net": {"config": str(file)}}, [])
    trust.check({"net": {"config": str(file)}}, [f"net.config={file}"])
    for trusted in (str(file), str(tmp_path)):
        settings_of = {"net": {"config": str(file)}, "trusted_modules": [trusted]}
        trust.check(settings_of, [f"trusted_modules=[{trusted}]"])


def test_a_config_in_another_language_is_code(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("a: 1")
    assert not is_plain(file)


def test_the_override_for_what_a_command_composes_itself():
    with initialize_config_module("lavx.conf", version_base="1.3"):
        names = ["my_module", "/a folder/it's.py"]
        assert compose("run", [trust.override({"trusted_modules": names})]).trusted_modules == names


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name=null", "name must be that of one folder: .* got None.*"),
        ("outputs=null", "outputs must be the path of a folder, .* got None.*"),
        ("device=null", "device must be a text, got null"),
        ("net.name=null", "net.name must be a text, got null"),
        ("name='a\nb'", r"name must be that of one folder: .* got 'a.*"),
        ("name=[1]", r"name must be that of one folder: .* got \[1\].*"),
        ("check_noise=no", "check_noise must be true, false or null, got 'no'"),
    ],
)
def test_keys_are_checked_by_name(command_line, override, message):
    with pytest.raises(RequestError, match=f"^{message}$"):
        command_line(override)


def test_a_number_is_a_name(command_line):
    assert command_line("name=2024").name == "2024"
