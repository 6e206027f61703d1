"""lm-evaluation-harness on a tiny Llama, a tokenizer and tasks that are made here: nothing is fetched.

What the model ``q35ref`` answers is compared with the harness's own model ``hf`` whose weights are replaced by
``dequantize(quantize(W))`` and whose activations are quantized by NumPy.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import q35ref
from q35ref.backends.numpy import NumpyBackend
from q35ref.lmeval import Options, Refused, register
from q35ref.lmeval import __main__ as command
from q35ref.lmeval.model import OWN, split

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the packages are imported: nothing is looked up
EXTRA = "is not installed: pip install 'q35ref[lmeval]'"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason=f"torch {EXTRA}")
    transformers = pytest.importorskip("transformers", reason=f"transformers {EXTRA}")
    tokenizers = pytest.importorskip("tokenizers", reason=f"tokenizers {EXTRA}")
    lm_eval = pytest.importorskip("lm_eval", reason=f"lm_eval {EXTRA}")
    huggingface = pytest.importorskip("lm_eval.models.huggingface", reason=f"accelerate {EXTRA}")
    harness_tasks = pytest.importorskip("lm_eval.tasks", reason=f"lm_eval {EXTRA}")

    from tests.test_lmeval_layers import linears, tiny_llama, weights_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings of other packages are not ours

PAGE = Path(__file__).parents[1] / "docs" / "lmeval.md"

TEXT = """the a red blue big small dog cat bird tree river stone runs sleeps sings falls eats sees under over near far
and or not is was does what who where color animal answer question : ? . yes no one two three four five"""
WORDS = TEXT.split()

DATASET = """\
task: {name}
dataset_path: json
dataset_kwargs:
  cache_dir: {folder}/cache
  data_files:
    test: {folder}/docs.json
test_split: test
output_type: {kind}
doc_to_text: "question : {{{{question}}}} answer :"
"""

KINDS = {
    "multiple_choice": "doc_to_target: answer\ndoc_to_choice: choices\nmetric_list: [{metric: acc}]\n",
    "loglikelihood": 'doc_to_target: " {{choices[0]}}"\nmetric_list: [{metric: perplexity}]\n',
    "generate_until": (
        'doc_to_target: "{{choices[0]}}"\nmetric_list: [{metric: exact_match}]\n'
        'generation_kwargs: {until: ["."], max_gen_toks: 6, do_sample: false}\n'
    ),
}
SCORED = ["local_multiple_choice", "local_loglikelihood"]
TIE_NOISE = 1e-3
"""What float32 sums in another order may move a quotient by, in steps of int8."""

Answers = dict[tuple[str, int, int], Any]


def save_model(folder: Path, **changes: Any) -> Path:
    vocabulary = {word: place for place, word in enumerate(["<unk>", "<s>", "</s>", "<pad>", *WORDS])}
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=names["unk_token"]))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder)
    tiny_llama(vocab_size=len(vocabulary), **changes).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the harness's list of what is installed, and on one thread: layers this small are slower on several."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda _results: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def tied_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tied"), tie_word_embeddings=True)


@pytest.fixture(scope="module")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    random = np.random.default_rng(1)

    def some(low: int, high: int) -> str:
        return " ".join(random.choice(WORDS, random.integers(low, high)))

    docs = [{"question": some(3, 9), "choices": [some(1, 4) for _ in range(4)], "answer": i % 4} for i in range(8)]
    (folder / "docs.json").write_text(json.dumps(docs))
    for kind, rest in KINDS.items():
        name = f"local_{kind}"
        (folder / f"{name}.yaml").write_text(DATASET.format(name=name, folder=folder, kind=kind) + rest)
    return folder


def evaluate(model: Any, task_folder: Path, tasks: list[str]) -> tuple[Answers, dict[str, Any]]:
    """The model's answer to each request, by task, document and place, and all that the harness returns."""
    manager = harness_tasks.TaskManager(include_path=str(task_folder), include_defaults=False)
    results = lm_eval.simple_evaluate(model=model, tasks=tasks, task_manager=manager, bootstrap_iters=0)
    answers = {
        (task, sample["doc_id"], place): answer[0]
        for task, samples in results["samples"].items()
        for sample in samples
        for place, answer in enumerate(sample["resps"])
    }
    return answers, results


class Seen(NamedTuple):
    """The activations that entered a layer."""

    name: str
    integers: Any


def watched(model: Any, names: list[str]) -> list[Seen]:
    """A list that fills with the int8 activations of these layers as the model runs."""
    seen: list[Seen] = []

    def hook(name: str) -> Any:
        def note(_module: Any, inputs: Any) -> None:
            rows = inputs[0].reshape(-1, inputs[0].shape[-1]).numpy()
            seen.append(Seen(name, NumpyBackend().quantize_activations(rows)[1]))

        return note

    for name in names:
        model.get_submodule(name).register_forward_pre_hook(hook(name))
    return seen


def replayed(model: Any, options: Options, names: list[str], seen: list[Seen]) -> dict[str, int]:
    """Make a float model what the quantized one must equal, and return counts of its activations as it runs.

    Its weights become ``dequantize(quantize(W))``. Its activations are quantized; one that the float32 noise of the two
    runs put on the other side of a tie takes the side that it had in the other run, since a step of int8 is no noise.
    """
    counts = {"activations": 0, "ties": 0}
    waiting = iter(seen)

    def hook(name: str) -> Any:
        def quantize(_module: Any, inputs: Any) -> Any:
            (x,) = inputs
            rows = x.reshape(-1, x.shape[-1]).numpy()
            scale, integers = NumpyBackend().quantize_activations(rows)
            other = next(waiting)
            assert (other.name, other.integers.shape) == (name, integers.shape)
            differ = integers != other.integers
            quotients = (rows / scale[:, None].astype(np.float64))[differ]
            between = (integers + other.integers.astype(np.float64))[differ] / 2
            assert (abs(quotients - between) < TIE_NOISE).all()
            counts["activations"] += integers.size
            counts["ties"] += int(differ.sum())
            return (torch.from_numpy(other.integers * scale[:, None]).reshape(x.shape),)

        return quantize

    for name in names:
        layer = model.get_submodule(name)
        tensor = q35ref.quantize(
            weights_of(layer), group_size=options.group_size, narrow_gain=options.narrow_gain, method=options.method
        )
        layer.weight = torch.nn.Parameter(torch.from_numpy(q35ref.dequantize(tensor)).T.contiguous())
        if options.activations == "int8":
            layer.register_forward_pre_hook(hook(name))
    return counts


def assert_equal_answers(got: Answers, expected: Answers) -> None:
    """Log-likelihoods equal to 1e-5 relative; whether greedy, and texts, the same."""
    assert got.keys() == expected.keys()
    for request, answer in got.items():
        if isinstance(answer, str):
            assert answer == expected[request], request
        else:
            assert answer[0] == pytest.approx(expected[request][0], rel=1e-5), request
            assert answer[1] == expected[request][1], request


CASES: dict[str, dict[str, Any]] = {
    "packed": {"group_size": 16},
    "packed, gain 1, clip, whole columns": {"narrow_gain": 1, "method": "clip", "layout": "byte"},
    "packed, symmetric, some left out": {"group_size": 32, "method": "symmetric", "exclude": "*.down_proj"},
    "packed, with the head": {"group_size": 16, "quantize_lm_head": True},
    "dequantized": {"mode": "dequantized", "group_size": 16},
    "dequantized, floats": {"mode": "dequantized", "group_size": 16, "activations": "float"},
    "dequantized, gain 1, with the head": {"mode": "dequantized", "narrow_gain": 1, "quantize_lm_head": True},
}


@pytest.mark.parametrize(
    ("case", "tied"), [*((case, False) for case in CASES), *((case, True) for case in CASES if "head" in case)]
)
def test_answers_are_those_of_the_restored_weights(
    case: str, tied: bool, model_folder: Path, tied_folder: Path, task_folder: Path
) -> None:
    folder = str(tied_folder if tied else model_folder)
    settings = {"device": "cpu", "dtype": "float32", "batch_size": 3 if case == "packed" else 1}
    tasks = [*SCORED, "local_generate_until"] if case in ("packed", "dequantized, floats") else SCORED
    ours = register()(folder, **settings, **CASES[case])
    names = ours.quantization.quantized
    seen = watched(ours.model, names)
    got, results = evaluate(ours, task_folder, tasks)
    record = results["config"]["q35ref"]
    assert record["quantized_layers"] == len(names) == 14 - 2 * ("exclude" in CASES[case]) + ("head" in case)

    theirs = huggingface.HFLM(folder, **settings)
    floats, _ = evaluate(theirs, task_folder, SCORED)
    counts = replayed(theirs.model, ours.quantization.options, names, seen)
    expected, _ = evaluate(theirs, task_folder, tasks)
    assert_equal_answers(got, expected)
    if ours.quantization.options.activations == "int8":
        assert counts["activations"] == sum(call.integers.size for call in seen) > 10_000
        assert counts["ties"] <= counts["activations"] / 1000
    # Quantizing must have changed what it was to change, or all of this compares a model with itself.
    moved = [abs(got[request][0] / floats[request][0] - 1) for request in floats]
    assert min(moved) > 1e-5
    assert max(moved) > 0.01


@pytest.mark.parametrize("wrong", [{"narrow_gain": 1}, {"group_size": 32}, {"method": "clip"}])
def test_the_comparison_sees_other_weights(wrong: dict[str, Any], model_folder: Path, task_folder: Path) -> None:
    right = Options(mode="dequantized", activations="float", group_size=16)
    ours = register()(str(model_folder), device="cpu", dtype="float32", mode="dequantized", activations="float",
                      group_size=16)  # fmt: skip
    got, _ = evaluate(ours, task_folder, SCORED)
    theirs = huggingface.HFLM(str(model_folder), device="cpu", dtype="float32")
    replayed(theirs.model, Options(**{**vars(right), **wrong}), ours.quantization.quantized, [])
    with pytest.raises(AssertionError):
        assert_equal_answers(got, evaluate(theirs, task_folder, SCORED)[0])


def test_a_model_in_memory_is_taken_as_it_is(model_folder: Path, task_folder: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    ours = register()(model, tokenizer=str(model_folder), group_size=16)
    assert linears(model) == {"lm_head"}
    named = register()(str(model_folder), device="cpu", dtype="float32", group_size=16)
    assert evaluate(ours, task_folder, SCORED)[0] == evaluate(named, task_folder, SCORED)[0]


def test_the_command_evaluates(model_folder: Path, task_folder: Path, tmp_path: Path) -> None:
    arguments = f"pretrained={model_folder},dtype=float32,group_size=16,exclude=lm_head+*.gate_proj"
    run = subprocess.run(
        [*(sys.executable, "-m", "q35ref.lmeval", "--model_args", arguments, "--tasks", ",".join(SCORED)),
         *("--include_path", str(task_folder), "--device", "cpu", "--output_path", str(tmp_path))],
        env={**os.environ, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},  # as the fixture above
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "q35ref (" in run.stdout
    assert "12 Linear layers quantized" in run.stderr
    (file,) = tmp_path.rglob("results*.json")
    results = json.loads(file.read_text())
    assert results["config"]["model"] == "q35ref"
    assert results["config"]["q35ref"]["quantized_layers"] == 12
    ours = register()(str(model_folder), device="cpu", dtype="float32", group_size=16, exclude="*.gate_proj")
    expected = evaluate(ours, task_folder, SCORED)[1]["results"]
    for task, metric in zip(SCORED, ("acc,none", "perplexity,none"), strict=True):
        assert results["results"][task][metric] == pytest.approx(expected[task][metric], rel=1e-6)


def test_the_command_refuses_in_one_line(model_folder: Path, task_folder: Path, tmp_path: Path) -> None:
    arguments = ["--model_args", f"pretrained={model_folder},grop_size=64", "--tasks", SCORED[0]]
    run = subprocess.run(
        [sys.executable, "-m", "q35ref.lmeval", *arguments, "--include_path", str(task_folder), "--device", "cpu"],
        capture_output=True, text=True, check=False, env={**os.environ, "HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        "python -m q35ref.lmeval: grop_size: no such option; did you mean group_size?"
    )
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"group_size": 100}, "group_size: expected 0 .* or a multiple of 16, got 100"),
        ({"grop_size": 64}, "grop_size: no such option"),
        ({"exclude": "nothing"}, "exclude 'nothing': expected the name of a module with a weight matrix to match"),
        ({"peft": "adapter"}, "peft: cannot be combined with the format, which needs an adapter that is merged"),
    ],
)
def test_the_model_refuses_by_name(given: dict[str, Any], message: str, model_folder: Path) -> None:
    with pytest.raises(Refused, match=f"^{message}"):
        register()(str(model_folder), device="cpu", **given)


@pytest.mark.parametrize("mode", ["packed", "dequantized"])
def test_a_model_that_is_dispatched_over_devices_runs(mode: str, model_folder: Path, task_folder: Path) -> None:
    """The hooks of ``parallelize=True`` go with the layers that are replaced; those of their parents must do."""
    accelerate = pytest.importorskip("accelerate", reason=f"accelerate {EXTRA}")
    model = transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    places = ["model.embed_tokens", "model.rotary_emb", "model.layers.0", "model.layers.1", "model.norm", "lm_head"]
    accelerate.dispatch_model(model, dict.fromkeys(places, "cpu"), main_device="cpu", force_hooks=True)
    assert hasattr(model.model.layers[0].mlp.up_proj, "_hf_hook")
    spread = register()(model, tokenizer=str(model_folder), mode=mode, group_size=16)
    plain = register()(str(model_folder), device="cpu", dtype="float32", mode=mode, group_size=16)
    assert evaluate(spread, task_folder, SCORED)[0] == evaluate(plain, task_folder, SCORED)[0]


def test_a_model_that_is_not_causal_is_refused(model_folder: Path, tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=60, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=2)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    with pytest.raises(Refused, match=r"^pretrained: expected a causal language model, got one of the kind seq2seq"):
        register()(str(tmp_path), tokenizer=str(model_folder), device="cpu")


def commands_of_the_page() -> list[list[str]]:
    """Every command of the page, without the variables before it."""
    text = re.sub(r"\\\n", " ", PAGE.read_text())
    lines = re.findall(r"^(?:    )?(?:\w+=\S+ )*python -m q35ref\.lmeval (.*)$", text, flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_pages_commands_name_tasks_and_options_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = pytest.importorskip("lm_eval._cli", reason="this release of lm_eval parses its arguments otherwise")
    known = set(harness_tasks.TaskManager().all_tasks)
    asked = set()
    for arguments in commands_of_the_page():
        monkeypatch.setattr(sys, "argv", ["lm-eval", *command.with_model(arguments)])
        parsed = harness.HarnessCLI().parse_args()
        if parsed.model == "q35ref":
            split(parsed.model_args, {"pretrained", "dtype", "parallelize"})
        else:
            assert not set(parsed.model_args) & set(OWN)
        assert set(parsed.tasks) <= known
        asked |= set(parsed.tasks)
        assert getattr(parsed, "confirm_run_unsafe_code", False) == any(t.startswith("humaneval") for t in parsed.tasks)
    assert {"mmlu", "humaneval", "truthfulqa_mc2"} <= asked
