"""Language models over chips: what is calculated is what the simulator counts, added up as it says."""

from dataclasses import replace

import pytest

from q35ref.lpu import experiment
from q35ref.lpu.allgather import gathered_at
from q35ref.lpu.cluster import (
    CACHE_BYTES,
    SPLITS,
    USABLE,
    Deployment,
    cache_bytes,
    chips_needed,
    deploy,
    fastest,
    users_for,
    weight_bytes,
)  # fmt: skip
from q35ref.lpu.layer import STORAGES, LayerTime, attention_time, gather_cycles, layer_time, matmul_time, plan_of
from q35ref.lpu.machine import TSP_V1
from q35ref.lpu.models import MODELS
from q35ref.lpu.published import DRAFTS

LLAMA = MODELS["llama-2-70b"]
DENSE = STORAGES["dense"]


def test_models_have_the_sizes_in_their_names() -> None:
    billions = {name: round(model.weights / 1e9, 1) for name, model in MODELS.items()}
    assert billions == {"llama-2-7b": 6.6, "llama-2-13b": 12.9, "llama-2-70b": 68.7, "llama-3.1-405b": 403.7}


def test_weights_take_their_bits_and_a_scale_and_offset_a_column_or_group() -> None:
    plain = LLAMA.weights * 3.5 / 8
    columns = 80 * (8192 + 2 * 1024 + 8192 + 2 * 28672 + 8192) + 32000
    assert weight_bytes(LLAMA, DENSE) == plain + 8 * columns
    assert weight_bytes(LLAMA, DENSE, 128) == plain + 8 * LLAMA.weights / 128
    assert weight_bytes(LLAMA, STORAGES["fp16"], 128) == 2 * LLAMA.weights


def test_chips_hold_the_weights_and_every_users_keys_and_values() -> None:
    assert cache_bytes(LLAMA, 2048) == 2048 * 80 * 2 * 1024 * CACHE_BYTES
    alone = weight_bytes(LLAMA, DENSE) / (USABLE * TSP_V1.memory_bytes)
    assert alone <= chips_needed(LLAMA, DENSE) < alone + 1
    many = alone + 100 * cache_bytes(LLAMA, 2048) / (USABLE * TSP_V1.memory_bytes)
    assert many <= chips_needed(LLAMA, DENSE, users=100, context=2048) < many + 1
    found = [chips_needed(LLAMA, STORAGES[name]) for name in ("fp16", "int8", "int4", "byte", "dense")]
    assert found == sorted(found, reverse=True)
    assert found[2] == found[3]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["int8", "byte", "dense"])
@pytest.mark.parametrize("number", range(4))
def test_a_layers_share_takes_what_the_simulator_counts(storage: str, number: int) -> None:
    """Each matrix of a layer of Llama-2 70B over 64 chips, the share of one of them."""
    matrix = LLAMA.matrices[number]
    plan = plan_of(STORAGES[storage], TSP_V1, matrix, split=64)
    made = experiment.run(plan)
    assert made.faults == 0
    assert made.cycles == matmul_time(plan).total


@pytest.mark.parametrize("split", [2, 3, 8])
def test_a_gather_takes_what_the_simulator_counts(split: int) -> None:
    matrix = replace(LLAMA.matrices[1], k=640, n=split * 1280)
    plan = plan_of(DENSE, TSP_V1, matrix, split, batch=3)
    joined = replace(plan, machine=TSP_V1.joined(split), n=matrix.n)
    made = experiment.run(joined)
    assert made.faults == 0
    assert made.cycles == gathered_at(joined) == matmul_time(plan).total + gather_cycles(plan, split)


def test_a_gather_takes_longer_among_more_chips() -> None:
    plan = plan_of(DENSE, TSP_V1, LLAMA.matrices[1])
    found = [gather_cycles(replace(plan, n=-(-plan.n // split)), split) for split in (1, 2, 16, 128)]
    assert found[0] == 0
    assert found[1] >= TSP_V1.hop
    assert found[2] >= 2 * TSP_V1.hop
    assert found[3] >= 3 * TSP_V1.hop


def test_times_add_up() -> None:
    one, two = LayerTime(1, 2, 3, 4, 5, 6), LayerTime(unpack=10, links=20)
    assert one + two == LayerTime(11, 2, 3, 4, 5, 26)
    assert (one + two).total == 51
    made = layer_time(LLAMA, DENSE, TSP_V1, 8, 1, 2048, 0)
    whole = sum((matmul_time(plan_of(DENSE, TSP_V1, m, 8)) for m in LLAMA.matrices), LayerTime())
    assert made.unpack == whole.unpack
    assert made.attention == attention_time(LLAMA, TSP_V1, 8, 1, 2048)
    assert made.total == sum(made.parts.values())


def test_what_binds_is_named() -> None:
    """One row: unpacking the dense layout, installing the others. Many rows: streaming them."""
    matrix = LLAMA.matrices[0]
    for storage, batch, expected in (("dense", 1, "unpack"), ("byte", 1, "install"), ("dense", 512, "stream")):
        parts = matmul_time(plan_of(STORAGES[storage], TSP_V1, matrix, 8, batch)).parts
        assert parts[expected] == max(parts.values())


def test_attention_grows_with_users_and_context() -> None:
    assert attention_time(LLAMA, TSP_V1, 8, 1, 2048) < attention_time(LLAMA, TSP_V1, 8, 2, 2048)
    assert attention_time(LLAMA, TSP_V1, 8, 1, 2048) < attention_time(LLAMA, TSP_V1, 8, 1, 8192)


def test_a_deployment_adds_up() -> None:
    made = deploy(LLAMA, DENSE, split=8)
    assert made.chips % 8 == 0
    assert made.chips - 8 < chips_needed(LLAMA, DENSE, users=1, context=2048) <= made.chips
    assert sum(made.parts.values()) == 80 * made.layer.total + made.head.total + made.moves
    assert made.latency == sum(made.parts.values()) / 900e6
    assert made.tokens_a_user == 1 / made.latency == made.throughput
    assert made.joules == pytest.approx(made.chips * 185 * made.latency)
    assert made.bottleneck == "unpack"


def test_a_pipeline_serves_as_many_users_as_it_has_stages_at_full_speed() -> None:
    alone = deploy(LLAMA, DENSE, split=8)
    some = deploy(LLAMA, DENSE, split=8, users=4)
    assert some.tokens_a_user == pytest.approx(alone.tokens_a_user, rel=0.03)  # more chips for their caches
    full = deploy(LLAMA, DENSE, split=8, users=400)
    assert full.throughput == pytest.approx(1 / full.interval)
    assert full.tokens_a_user < alone.tokens_a_user / 2


def test_a_batch_shares_the_unpacking() -> None:
    alone = deploy(LLAMA, DENSE, split=8)
    batch = deploy(LLAMA, DENSE, split=8, batch=8)
    assert batch.layer.unpack == alone.layer.unpack
    assert batch.throughput > 3 * alone.throughput
    assert batch.joules < alone.joules / 3


def test_the_fastest_split_is_found() -> None:
    best = fastest(LLAMA, DENSE)
    assert best.tokens_a_user == max(deploy(LLAMA, DENSE, split=split).tokens_a_user for split in SPLITS)


def test_what_a_claim_would_take_is_found() -> None:
    made = users_for(deploy(LLAMA, DENSE, split=8), DRAFTS.tokens)
    assert made.throughput >= DRAFTS.tokens
    fewer = deploy(LLAMA, DENSE, split=8, batch=made.batch, users=made.users - made.batch)
    assert fewer.throughput < DRAFTS.tokens
    with pytest.raises(ValueError, match="tokens: expected what 1024 users a step can reach"):
        users_for(made, 1e9)


@pytest.mark.parametrize(
    ("options", "named"), [({"split": 0}, "split"), ({"batch": 0}, "batch"), ({"context": 0}, "context"),
                           ({"batch": 4, "users": 3}, "users")],
)  # fmt: skip
def test_no_deployment_is_refused(options: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: expected at least"):
        deploy(LLAMA, DENSE, TSP_V1, **({"split": 8} | options))


def test_every_model_is_deployed_in_every_format() -> None:
    for model in MODELS.values():
        made: list[Deployment] = [deploy(model, storage, split=8) for storage in STORAGES.values()]
        assert all(each.tokens_a_user > 1 for each in made)
        by_name = {each.storage.name: each for each in made}
        assert by_name["dense"].chips <= by_name["byte"].chips < by_name["int8"].chips < by_name["fp16"].chips
        assert by_name["dense"].layer.total > by_name["byte"].layer.total
