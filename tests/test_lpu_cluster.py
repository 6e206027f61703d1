"""Language models over chips: what is calculated is what the simulator counts, added up as it says."""

from dataclasses import replace

import pytest

from q35ref.lpu import experiment
from q35ref.lpu.allgather import gathered_at
from q35ref.lpu.cluster import (
    CACHE_BYTES,
    SPLITS,
    USABLE,
    TooLarge,
    cache_bytes,
    chips_as_laid_out,
    chips_by_bytes,
    deploy,
    fastest,
    smallest,
    users_for,
    weight_bytes,
)  # fmt: skip
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.layer import STORAGES, LayerTime, attention_time, gather_cycles, layer_time, matmul_time, plan_of
from q35ref.lpu.machine import TSP_V1
from q35ref.lpu.models import MODELS
from q35ref.lpu.plan import Plan
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


ROOM = USABLE * TSP_V1.memory_bytes


def test_chips_hold_the_weights() -> None:
    alone = weight_bytes(LLAMA, DENSE) / ROOM
    assert alone <= chips_by_bytes(LLAMA, DENSE) < alone + 1
    found = [chips_by_bytes(LLAMA, STORAGES[name]) for name in ("fp16", "int8", "int4", "byte", "dense")]
    assert found == sorted(found, reverse=True)
    assert found[2] == found[3]


def test_a_stage_holds_whole_layers_with_every_users_keys_and_values() -> None:
    assert cache_bytes(LLAMA, 2048) == 2048 * 2 * 1024 * CACHE_BYTES
    layer = (weight_bytes(LLAMA, DENSE) - weight_bytes(replace(LLAMA, layers=0), DENSE)) / 80
    for users in (1, 40, 200):
        made = deploy(LLAMA, DENSE, split=8, users=users)
        whole = layer + users * cache_bytes(LLAMA, 2048)
        assert made.layers_a_stage == int(8 * ROOM // whole)
        assert made.chips == 8 * made.stages
        assert (made.stages - 1) * made.layers_a_stage < LLAMA.layers <= made.stages * made.layers_a_stage


def test_the_head_gets_a_stage_where_the_last_has_no_room() -> None:
    head = weight_bytes(replace(LLAMA, layers=0), DENSE)
    model = replace(LLAMA, layers=4)
    assert deploy(model, DENSE, split=8).layers_a_stage == 4
    left = 8 * ROOM - (weight_bytes(model, DENSE) - head) - 4 * cache_bytes(model, 2048)
    assert deploy(model, DENSE, split=8).stages == (1 if left >= head else 2)
    assert deploy(replace(model, vocabulary=128), DENSE, split=8).stages == 1
    assert deploy(replace(model, vocabulary=128_000), DENSE, split=8).stages == 2


def test_a_layer_that_does_not_fit_is_refused_with_the_chips_that_it_takes() -> None:
    with pytest.raises(TooLarge, match="split: a layer takes the memory of 9 chips, got 8"):
        deploy(LLAMA, STORAGES["fp16"], split=8)
    assert smallest(LLAMA, STORAGES["fp16"], TSP_V1, 8).split == 16
    with pytest.raises(TooLarge, match="split: the head takes the memory of"):
        deploy(replace(LLAMA, vocabulary=10_000_000), DENSE, split=8)
    with pytest.raises(TooLarge, match="no layer fits on up to 64 chips"):
        smallest(replace(LLAMA, ffn=10_000_000), DENSE, TSP_V1, 8)


def test_as_laid_out_dense_and_byte_take_as_many_chips() -> None:
    """Each byte of a block has a quad of its own: seven of them take as many addresses as eight."""
    found = {name: chips_as_laid_out(LLAMA, STORAGES[name], TSP_V1, 8) for name in ("dense", "byte", "int4", "int8")}
    assert found["dense"] == found["byte"] == found["int4"] < found["int8"]
    assert found["dense"] > 2 * chips_by_bytes(LLAMA, DENSE)
    with pytest.raises(TooLarge, match="as laid out, a layer takes"):
        chips_as_laid_out(LLAMA, STORAGES["fp16"], TSP_V1, 8)


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
    assert (made.unpack, made.epilogue) == (whole.unpack, whole.epilogue)
    assert made.attention == attention_time(LLAMA, TSP_V1, 8, 1, 2048)
    assert made.links == sum(gather_cycles(plan_of(DENSE, TSP_V1, m, 8), 8) for m in LLAMA.matrices) > 4 * TSP_V1.hop
    assert made.total == sum(made.parts.values())


def test_what_binds_is_named() -> None:
    """One row: unpacking the dense layout, installing the others. Many rows: streaming them."""
    matrix = LLAMA.matrices[0]
    for storage, batch, expected in (("dense", 1, "unpack"), ("byte", 1, "install"), ("dense", 512, "stream")):
        parts = matmul_time(plan_of(STORAGES[storage], TSP_V1, matrix, 8, batch)).parts
        assert parts[expected] == max(parts.values())


def test_attention_installs_keys_and_values_by_turns() -> None:
    """64 heads share 8 keys, one on each of 8 chips: 2 blocks of 7 tiles of keys, 32 blocks of one tile of values."""
    latencies = sum(
        plan.total - plan.jobs * plan.period
        for plan in (
            Plan(TSP_V1, FORMATS["int8"], 8, 128, 2048, 0, 1),
            Plan(TSP_V1, FORMATS["int8"], 8, 2048, 128, 0, 1),
        )
    )
    assert attention_time(LLAMA, TSP_V1, 8, 1, 2048) == 4 * max(2 * 4, 8) + 1 * max(32 * 4, 4 * 8) + latencies
    assert attention_time(LLAMA, TSP_V1, 8, 6, 2048) == 21 * 8 + 3 * 128 + latencies


def test_fp16_weights_cost_the_install_of_two_bytes() -> None:
    fp16, int8 = (matmul_time(plan_of(STORAGES[name], TSP_V1, LLAMA.matrices[0], 8)) for name in ("fp16", "int8"))
    assert fp16.install == 2 * int8.install


def test_a_far_gather_hangs_on_bandwidth_too() -> None:
    plan = replace(plan_of(DENSE, TSP_V1, LLAMA.matrices[1], 64), m=100)
    assert gather_cycles(plan, 64) == 2 * TSP_V1.hop + -(-100 * 63 // 16) * TSP_V1.link_cycles


def test_attention_grows_with_users_and_context() -> None:
    assert attention_time(LLAMA, TSP_V1, 8, 1, 2048) < attention_time(LLAMA, TSP_V1, 8, 2, 2048)
    assert attention_time(LLAMA, TSP_V1, 8, 1, 2048) < attention_time(LLAMA, TSP_V1, 8, 1, 8192)


def test_a_deployment_adds_up() -> None:
    made = deploy(LLAMA, DENSE, split=8)
    assert sum(made.parts.values()) == 80 * made.layer.total + made.head.total + made.moves
    words = -(-8192 // (8 * 320))
    assert made.moves == (made.stages - 1) * (TSP_V1.hop + words * TSP_V1.link_cycles)
    more = deploy(LLAMA, DENSE, split=8, batch=4)
    assert more.moves == (more.stages - 1) * (TSP_V1.hop + 4 * words * TSP_V1.link_cycles)
    assert made.latency == sum(made.parts.values()) / 900e6
    assert made.tokens_a_user == 1 / made.latency == made.throughput
    assert made.joules == pytest.approx(made.chips * 185 * made.latency)
    assert made.bottleneck == "unpack"


def test_the_slowest_stage_sets_the_pace() -> None:
    made = deploy(LLAMA, DENSE, split=8)
    last = 80 - (made.stages - 1) * made.layers_a_stage
    assert last == made.layers_a_stage  # so that the last one has the head besides
    assert made.interval == (last * made.layer.total + made.head.total) / 900e6
    fewer = deploy(replace(LLAMA, layers=78), DENSE, split=8)
    assert fewer.interval == fewer.layers_a_stage * fewer.layer.total / 900e6


def test_users_wait_where_there_are_more_than_the_stages_can_take() -> None:
    alone = deploy(LLAMA, DENSE, split=8)
    some = deploy(LLAMA, DENSE, split=8, users=4)
    assert some.tokens_a_user == pytest.approx(alone.tokens_a_user, rel=0.03)  # more stages, for their caches
    full = deploy(LLAMA, DENSE, split=8, users=300)
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
    assert best.tokens_a_user == max(deploy(LLAMA, DENSE, split=split).tokens_a_user for split in SPLITS if split > 1)


def test_what_a_claim_would_take_is_found() -> None:
    made = users_for(deploy(LLAMA, DENSE, split=8), DRAFTS.tokens)
    assert made.throughput >= DRAFTS.tokens
    fewer = deploy(LLAMA, DENSE, split=8, batch=made.batch, users=made.users - made.batch)
    assert fewer.throughput < DRAFTS.tokens
    with pytest.raises(ValueError, match="tokens: expected what 1024 users a step can reach"):
        users_for(deploy(LLAMA, DENSE, split=8, context=1), 1e9)


@pytest.mark.parametrize(
    ("options", "named"), [({"split": 0}, "split"), ({"batch": 0}, "batch"), ({"context": 0}, "context"),
                           ({"batch": 4, "users": 3}, "users")],
)  # fmt: skip
def test_no_deployment_is_refused(options: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: expected at least"):
        deploy(LLAMA, DENSE, TSP_V1, **({"split": 8} | options))


def test_every_model_is_deployed_in_every_format() -> None:
    for model in MODELS.values():
        made = {name: smallest(model, storage, TSP_V1, 8) for name, storage in STORAGES.items()}
        assert all(each.tokens_a_user > 1 for each in made.values())
        assert made["dense"].chips <= made["byte"].chips < made["int8"].chips < made["fp16"].chips
        assert made["dense"].layer.total > made["byte"].layer.total
