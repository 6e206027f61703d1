"""The quantized layers in torch, and which layers of a model become one."""

import os
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import q35ref
from q35ref.backends.numpy import NumpyBackend
from q35ref.lmeval import Options, Refused, quantize_model
from q35ref.lmeval.linear import packed_linear, quantize_activations, simulated_linear

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: nothing is looked up
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'q35ref[lmeval]'")
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'q35ref[lmeval]'"
    )

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings of other packages are not ours

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
DTYPES = ("float32", "bfloat16", "float16", "float64")


def tiny_llama(**changes: Any) -> Any:
    """A Llama with random weights, large enough for its answers to differ; ``down_proj`` has an odd K."""
    torch.manual_seed(1)
    sizes = {"vocab_size": 61, "hidden_size": 64, "intermediate_size": 97, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": True}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    settings = {"max_position_embeddings": 64, "initializer_range": 0.25, "tie_word_embeddings": False}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**sizes, **heads, **ids, **settings, **changes}))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def random_layer(k: int, n: int, dtype: str, bias: bool = True) -> Any:
    torch.manual_seed(k + n)
    return torch.nn.Linear(k, n, bias=bias).requires_grad_(False).to(getattr(torch, dtype))


def weights_of(layer: Any) -> Any:
    """The weights ``[K, N]`` of a layer, as ``q35ref.quantize`` takes them."""
    weight = layer.weight.detach()
    return (weight if weight.dtype == torch.float64 else weight.float()).numpy().T


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=FLOAT32))
@example(np.array([[2.0**-149, 2.0**-149 * 63, 0], [0, 0, 0], [127, 0.5, 1.5], [254, 1, 3]], np.float32))
@example(np.array([[3.4028235e38, -3.4028235e38, 1.0], [2.0**-126, 2.0**-127, 2.0**-149]], np.float32))
@example((np.array([[190, -95, 1]]) * 2.0**-149).astype(np.float32))
def test_torch_quantizes_activations_as_the_reference(x: Any) -> None:
    scale, integers = quantize_activations(torch.from_numpy(x))
    expected_scale, expected = NumpyBackend().quantize_activations(x)
    assert scale.numpy().ravel().view(np.uint32).tolist() == expected_scale.view(np.uint32).tolist()
    assert integers.numpy().tolist() == expected.tolist()


def test_torch_decides_next_to_ties_as_the_reference() -> None:
    random = np.random.default_rng(1)
    scale = random.integers(2**23, 2**24, (500, 1)).astype(np.float32)
    ties = ((np.arange(127) + 0.5) * scale.astype(np.float64)).astype(np.float32)  # as near as float32 comes
    x = np.concatenate([127 * scale, ties, -np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(2e9))], 1)
    expected_scale, expected = NumpyBackend().quantize_activations(x)
    rounded_twice = np.rint(x / expected_scale[:, None])
    assert (rounded_twice != expected).sum() > 1000, "float32 quotients would do: these are no hard cases"
    assert np.array_equal(quantize_activations(torch.from_numpy(x))[1].numpy(), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_hidden(bad: float) -> None:
    layer = random_layer(16, 4, "float32")
    tensor = q35ref.quantize(weights_of(layer))
    x = torch.ones(2, 16)
    x[1, 3] = bad
    with pytest.raises(ValueError, match=r"^up_proj: .*finite.*\[1, 3\]"):
        packed_linear()("up_proj", tensor, layer.bias)(x)
    y = simulated_linear()(layer.weight, layer.bias)(x)
    assert y[0].isfinite().all()
    assert y[1].isnan().all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("k", "shape"), [(64, (3,)), (63, (2, 5)), (1, (1, 1, 2)), (17, ())])
def test_a_packed_layer_is_matmul_and_bias(dtype: str, bias: bool, k: int, shape: tuple[int, ...]) -> None:
    layer = random_layer(k, 6, dtype, bias)
    tensor = q35ref.quantize(weights_of(layer), group_size=16)
    x = torch.randn(*shape, k).to(getattr(torch, dtype))
    y = packed_linear()("layer", tensor, layer.bias)(x)
    expected = torch.from_numpy(q35ref.matmul(x.reshape(-1, k).float().numpy(), tensor))
    if bias:
        expected = expected + layer.bias.float()
    assert y.dtype == x.dtype
    assert torch.equal(y, expected.to(x.dtype).reshape(*shape, 6))


@pytest.mark.parametrize("mode", ["packed", "dequantized"])
def test_no_tokens_give_no_rows(mode: str) -> None:
    model = quantized_pair(random_layer(32, 8, "float32"), mode)
    assert model(torch.empty(0, 32)).shape == (0, 8)


def quantized_pair(layer: Any, mode: str) -> Any:
    tensor = q35ref.quantize(weights_of(layer), group_size=16)
    if mode == "packed":
        return packed_linear()("layer", tensor, layer.bias)
    restored = torch.from_numpy(q35ref.dequantize(tensor)).T.to(layer.weight)
    return simulated_linear()(torch.nn.Parameter(restored, requires_grad=False), layer.bias)


# Relative to the largest output: float32 sums differ in their order; in 16 bits weights and sums are rounded as well.
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-6), ("float16", 4e-3), ("bfloat16", 3e-2)]
)
@pytest.mark.parametrize("k", [256, 97])
def test_the_simulated_layer_gives_what_the_packed_one_gives(dtype: str, tolerance: float, k: int) -> None:
    layer = random_layer(k, 32, dtype)
    x = torch.randn(40, k).to(getattr(torch, dtype))
    packed, simulated = (quantized_pair(layer, mode)(x) for mode in ("packed", "dequantized"))
    assert simulated.dtype == x.dtype
    assert (packed - simulated).abs().max() <= tolerance * packed.abs().max()


def test_sums_of_integers_do_not_overflow_float16() -> None:
    weight = torch.nn.Parameter(torch.full((1, 4096), 0.5, dtype=torch.float16), requires_grad=False)
    y = simulated_linear()(weight, None)(torch.ones(1, 4096, dtype=torch.float16))
    assert y.item() == pytest.approx(2048, rel=1e-3)


def linears(model: Any) -> set[str]:
    return {name for name, module in model.named_modules() if type(module) is torch.nn.Linear}


@pytest.mark.parametrize("activations", ["int8", "float"])
def test_weights_become_the_restored_ones(activations: str) -> None:
    model = tiny_llama()
    before = {name: weights_of(model.get_submodule(name)).copy() for name in linears(model)}
    options = Options(mode="dequantized", activations=activations, group_size=16, narrow_gain=1, method="clip")
    summary = quantize_model(model, options)
    assert set(summary.quantized) == set(before) - {"lm_head"}
    assert summary.left_out == ["lm_head"]
    for name in summary.quantized:
        tensor = q35ref.quantize(before[name], group_size=16, narrow_gain=1, method="clip")
        assert np.array_equal(weights_of(model.get_submodule(name)), q35ref.dequantize(tensor))
    assert np.array_equal(weights_of(model.lm_head), before["lm_head"])


@pytest.mark.parametrize("layout", ["dense", "byte"])
def test_the_summary_counts_what_is_stored(layout: Any) -> None:
    model = tiny_llama()
    parameters = sum(p.numel() for p in model.parameters())
    summary = quantize_model(model, Options(layout=layout, group_size=32))
    tensors = [model.get_submodule(name).tensor for name in summary.quantized]
    assert len(tensors) == 14
    assert {tensor.layout for tensor in tensors} == {layout}
    assert summary.weights == sum(tensor.k * tensor.n for tensor in tensors)
    assert summary.bits_per_weight == 8 * sum(tensor.nbytes for tensor in tensors) / summary.weights
    assert summary.parameters == parameters
    assert summary.record()["left_out"] == ["lm_head"]
    assert f"14 Linear layers quantized, {summary.weights} of" in str(summary)


@pytest.mark.parametrize("mode", ["packed", "dequantized"])
def test_a_tied_head_gets_weights_of_its_own(mode: str) -> None:
    model = tiny_llama(tie_word_embeddings=True)
    embedding = model.model.embed_tokens.weight.detach().clone()
    summary = quantize_model(model, Options(mode=mode, quantize_lm_head=True))
    assert summary.left_out == []
    model.tie_weights()  # the harness does so too
    assert torch.equal(model.model.embed_tokens.weight, embedding)
    hidden = torch.randn(3, 64)
    expected = torch.from_numpy(q35ref.matmul(hidden.numpy(), q35ref.quantize(embedding.numpy().T)))
    assert torch.allclose(model.lm_head(hidden), expected, rtol=1e-5, atol=1e-4)


def test_a_tied_head_stays_with_the_embedding_by_default() -> None:
    model = tiny_llama(tie_word_embeddings=True)
    quantize_model(model)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_globs_leave_layers_out() -> None:
    model = tiny_llama()
    kept = {name for name in linears(model) if name.endswith("down_proj") or "layers.1.self" in name} | {"lm_head"}
    summary = quantize_model(model, Options(exclude="*.down_proj+model.layers.1.self_attn.*"))
    assert linears(model) == kept == set(summary.left_out)


def test_a_layer_under_two_names_is_quantized_once() -> None:
    model = tiny_llama()
    model.model.layers[1].mlp = model.model.layers[0].mlp
    summary = quantize_model(model)
    assert model.model.layers[1].mlp.up_proj is model.model.layers[0].mlp.up_proj
    assert summary.weights == 2 * (2 * 64 * 64 + 2 * 64 * 32) + 3 * 64 * 97


# A dtype's rounding moves activations across int8 ties, so that no tolerance can be tight; test_lmeval.py is exact.
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 0.01), ("float64", 0.01), ("float16", 0.1), ("bfloat16", 0.1)]
)
@pytest.mark.parametrize("mode", ["packed", "dequantized"])
def test_every_float_dtype_runs(dtype: str, tolerance: float, mode: str) -> None:
    tokens = torch.tensor([[5, 9, 30, 2]])
    model = tiny_llama().to(getattr(torch, dtype))
    wide = tiny_llama().to(getattr(torch, dtype)).float()  # weights widen exactly
    quantize_model(wide, Options(group_size=16))
    quantize_model(model, Options(mode=mode, group_size=16))
    with torch.no_grad():
        logits, expected = model(tokens).logits, wide(tokens).logits
    assert logits.dtype == getattr(torch, dtype)
    assert (logits.float() - expected).norm() < tolerance * expected.norm()


class OddLinear(torch.nn.Linear):  # type: ignore[misc, name-defined]  # of an optional package
    """A layer that may do more than a product."""


def with_subclass(model: Any) -> None:
    model.model.layers[0].mlp.up_proj = OddLinear(64, 97)


def with_int8(model: Any) -> None:
    layer = model.model.layers[0].mlp.up_proj
    layer.weight = torch.nn.Parameter(torch.zeros(97, 64, dtype=torch.int8), requires_grad=False)


def with_nan(model: Any) -> None:
    model.model.layers[0].mlp.up_proj.weight.data[2, 3] = float("nan")


def with_offloaded(model: Any) -> None:
    model.model.layers[0].mlp.up_proj.to("meta")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_subclass, r"model: 1 modules .* no torch.nn.Linear.*layers\.0\.mlp\.up_proj \(OddLinear\); name them in"),
        (with_int8, r"model\.layers\.0\.mlp\.up_proj: expected weights of float16, .*, got int8"),
        (with_nan, r"model\.layers\.0\.mlp\.up_proj: w: expected finite numbers, got nan at \[3, 2\]"),
        (with_offloaded, r"model\.layers\.0\.mlp\.up_proj: expected weights in memory"),
    ],
)
def test_a_layer_that_cannot_be_quantized_is_refused_by_name(change: Any, message: str) -> None:
    model = tiny_llama()
    change(model)
    with pytest.raises(Refused, match=f"^{message}"):
        quantize_model(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(exclude="*.dense"), r"exclude '\*\.dense': expected the name of a module .* to match, none does"),
        (Options(exclude="*_proj"), "model: expected at least one torch.nn.Linear that is not left out, found none"),
    ],
)
def test_globs_that_leave_nothing_to_do_are_refused(options: Options, message: str) -> None:
    model = tiny_llama()
    names = linears(model)
    with pytest.raises(Refused, match=f"^{message}"):
        quantize_model(model, options)
    assert linears(model) == names


def test_a_device_without_float64_is_refused_for_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("q35ref.lmeval.convert.WITHOUT_FLOAT64", ("cpu",))
    with pytest.raises(Refused, match=r"^activations: int8 is simulated in float64, which cpu lacks"):
        quantize_model(tiny_llama(), Options(mode="dequantized"))
    quantize_model(tiny_llama(), Options(mode="dequantized", activations="float"))
    quantize_model(tiny_llama())


def test_a_model_without_linear_layers_is_refused() -> None:
    config = transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    with pytest.raises(Refused, match=r"^model: 4 modules .*c_attn \(Conv1D\)"):
        quantize_model(transformers.GPT2LMHeadModel(config))


def test_fused_experts_are_named_and_can_be_left_out() -> None:
    sizes = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    config = transformers.MixtralConfig(
        **sizes, num_attention_heads=2, num_key_value_heads=2, num_local_experts=2, max_position_embeddings=32
    )
    torch.manual_seed(1)
    model = transformers.MixtralForCausalLM(config).eval()
    stray = [name for name, module in model.named_modules() if type(module).__name__ == "MixtralExperts"]
    if not stray:
        # Older releases have a Linear for each expert, which is quantized: then there is nothing to refuse.
        pytest.skip("this release of transformers has no fused experts in Mixtral")
    with pytest.raises(Refused, match=r"^model: \d modules .*MixtralExperts"):
        quantize_model(model)
    summary = quantize_model(model, Options(exclude="*.mlp.experts+*.mlp.gate"))
    assert len(summary.quantized) == 4
    assert model(torch.tensor([[1, 5, 7]])).logits.isfinite().all()
