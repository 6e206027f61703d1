"""Options, the command line and missing packages: what needs neither torch nor the harness."""

import subprocess
import sys
from typing import Any

import pytest

from q35ref.lmeval import LmEvalUnavailable, Options, Refused, quantize_model
from q35ref.lmeval import __main__ as command
from q35ref.lmeval.model import UNSUPPORTED, split

KNOWN = {"pretrained", "dtype", "device", "batch_size", "peft", "autogptq"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mode": "fast"}, "mode: expected one of packed, dequantized, got 'fast'"),
        ({"activations": "int4"}, "activations: expected one of int8, float, got 'int4'"),
        ({"activations": "float"}, "activations: expected int8, .* mode=dequantized"),
        ({"layout": "sparse"}, "layout: expected one of byte, dense, got 'sparse'"),
        ({"method": "gptq"}, "method: expected one of .*clip, got 'gptq'"),
        ({"narrow_gain": 3}, "narrow_gain: expected 1 or 2, got 3"),
        ({"narrow_gain": True}, "narrow_gain: expected an integer, got True"),
        ({"group_size": 100}, "group_size: expected 0 .*multiple of 16.*100"),
        ({"group_size": -16}, "group_size: expected .*-16"),
        ({"group_size": 128.0}, "group_size: expected an integer, got 128.0"),
        ({"group_size": "128x"}, "group_size: expected an integer, got '128x'"),
        ({"quantize_lm_head": "yes"}, "quantize_lm_head: expected true or false, got 'yes'"),
        ({"quantize_lm_head": 1}, "quantize_lm_head: expected true or false, got 1"),
        ({"exclude": [3]}, "exclude: expected names or globs"),
    ],
)
def test_a_wrong_option_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=f"^{message}"):
        Options(**given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", ()), ("lm_head", ("lm_head",)), ("a.*+b+", ("a.*", "b")), (["a", "b"], ("a", "b")), ((), ())],
)
def test_globs_are_a_string_or_a_sequence(given: Any, expected: tuple[str, ...]) -> None:
    assert Options(exclude=given).exclude == expected


def test_options_are_told_from_the_harness_arguments() -> None:
    options, rest = split({"mode": "dequantized", "activations": "float", "dtype": "auto", "peft": None}, KNOWN)
    assert options == Options(mode="dequantized", activations="float")
    assert rest == {"dtype": "auto", "peft": None}


@pytest.mark.parametrize("name", ["grop_size", "groupsize", "group-size"])
def test_a_misspelt_argument_is_refused_with_the_right_one(name: str) -> None:
    with pytest.raises(Refused, match=f"^{name}: no such option; did you mean group_size?"):
        split({name: 128}, KNOWN)


def test_an_argument_like_no_other_is_refused_with_all_names() -> None:
    with pytest.raises(Refused, match=r"^zzz: no such option; expected one of .*exclude.*mode"):
        split({"zzz": 1}, KNOWN)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_combined_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=f"^{name}: cannot be combined"):
        split({name: "something"}, KNOWN)


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["--tasks", "mmlu"], True),
        (["run", "--tasks", "mmlu", "--model_args", "pretrained=x", "mode=packed"], True),
        (["--model", "hf", "--tasks", "mmlu"], False),
        (["--model=hf"], False),
        (["-M", "hf"], False),
        (["-Mhf"], False),
        (["--config", "run.yaml"], False),
        (["ls", "tasks"], False),
        (["run", "--help"], False),
        ([], False),
    ],
)
def test_a_run_without_a_model_gets_ours(given: list[str], added: bool) -> None:
    assert command.with_model(given) == given + ["--model", "q35ref"] * added


def test_without_the_extra_the_command_says_what_to_install() -> None:
    hide = "import sys; sys.modules['lm_eval'] = None; sys.argv = ['x', '--tasks', 'mmlu']"
    code = f"{hide}; from q35ref.lmeval.__main__ import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "python -m q35ref.lmeval: evaluation needs lm_eval: pip install 'q35ref[lmeval]'\n"


def test_without_torch_no_model_is_quantized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(LmEvalUnavailable, match=r"^evaluation needs torch: pip install"):
        quantize_model(None)


def test_importing_loads_no_optional_package() -> None:
    code = "import sys, q35ref.lmeval.__main__; print([m for m in ('torch', 'lm_eval', 'tqdm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
