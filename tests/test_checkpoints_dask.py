"""Dask as the one who does the work: the same bytes, a dead worker's task is done again, a bounded number of times."""

import concurrent.futures
import contextlib
import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from q35ref.checkpoints import CheckpointError, on_cluster, on_dask, quantize_file
from q35ref.checkpoints.on_dask import DaskUnavailable
from q35ref.cli import main
from tests.checkpoint_files import model, stored, weights
from tests.sharded_files import Dying, digests, save_shards, shard_name, sharded_model, wrapping

distributed_only = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="Dask's package distributed is an extra of its own: [dask]"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return a cluster of two processes that is there already."""
    distributed = importlib.import_module("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit=None
    ) as found:
        yield found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], list[Any]]:
    """Return what calls its argument when the tasks are sent, and returns the list that their futures will be in."""
    distributed = importlib.import_module("distributed")

    def watch(then: Callable[[], None]) -> list[Any]:
        futures, send = [], distributed.Client.map

        def sending(client: Any, *arguments: Any, **settings: Any) -> list[Any]:
            futures.extend(send(client, *arguments, **settings))
            then()
            return futures

        monkeypatch.setattr(distributed.Client, "map", sending)
        return futures

    return watch


@distributed_only
def test_a_cluster_at_an_address_gives_the_same_bytes(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With relative paths: the workers stand in another folder."""
    monkeypatch.chdir(tmp_path)
    source = sharded_model(Path("source"), "BF16")
    records = quantize_file(source, "serial", group_size=16)
    heard: list[tuple[str, int, int]] = []
    runner = on_cluster(cluster.scheduler_address)
    again = quantize_file(source, "dask", group_size=16, runner=runner, progress=lambda *words: heard.append(words))
    assert again == records
    assert digests(Path("dask")) == digests(Path("serial"))
    assert heard[-1] == ("", heard[-1][2], heard[-1][2])
    assert len(heard) == 9


@distributed_only
def test_an_error_of_a_task_is_the_same_as_in_this_process(tmp_path: Path, cluster: Any) -> None:
    bad = weights(2, 2)
    bad[1, 0] = float("nan")
    source = save_shards(tmp_path / "source", [{"a.weight": stored(weights(2, 2))}, {"b.weight": stored(bad)}])
    with pytest.raises(CheckpointError, match=rf"{shard_name(1, 2)}: tensor b\.weight: expected finite"):
        quantize_file(source, tmp_path / "target", runner=on_cluster(cluster.scheduler_address))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@distributed_only
def test_the_command_makes_a_local_cluster(tmp_path: Path) -> None:
    source = sharded_model(tmp_path / "source")
    quantize_file(source, tmp_path / "serial")
    arguments = ["quantize", str(source), str(tmp_path / "target"), "--dask", "local", "--workers", "2"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert digests(tmp_path / "target") == digests(tmp_path / "serial")


@distributed_only
def test_the_task_of_a_worker_that_dies_is_done_again(tmp_path: Path) -> None:
    source, marks = sharded_model(tmp_path / "source"), tmp_path / "marks"
    marks.mkdir()
    quantize_file(source, tmp_path / "serial")
    runner = wrapping(on_cluster("local", 2), Dying, marks, times=1, only="second.weight")
    quantize_file(source, tmp_path / "target", runner=runner)
    assert len(list(marks.iterdir())) == 1, "it died once, its result half written"
    assert digests(tmp_path / "target") == digests(tmp_path / "serial")


@distributed_only
def test_after_some_deaths_the_shard_and_the_tensor_are_named(tmp_path: Path) -> None:
    source, marks = sharded_model(tmp_path / "source"), tmp_path / "marks"
    marks.mkdir()
    runner = wrapping(on_cluster("local", 1, retries=1), Dying, marks, times=99, only="second.weight")
    with pytest.raises(CheckpointError) as caught:
        quantize_file(source, tmp_path / "target", runner=runner)
    assert str(caught.value).startswith(
        f"{source}/{shard_name(1, 3)}: tensor second.weight: the process that worked on it died 2 times"
    )
    assert len(list(marks.iterdir())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marks", "source"]


@distributed_only
def test_an_address_where_nobody_answers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_dask, "CONNECT_SECONDS", 1)
    model(tmp_path / "s")
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        result = CliRunner().invoke(main, ["quantize", str(tmp_path / "s"), str(tmp_path / "t"), "--dask", address])
        assert result.exit_code == 2
        assert result.stderr.startswith(f"Error: dask: expected a scheduler at {address!r}, found none")
        assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@distributed_only
def test_a_result_that_dies_with_its_worker_is_made_again(
    tmp_path: Path, sent: Callable[[Callable[[], None]], list[Any]]
) -> None:
    """The worker dies when its first result is known and not read: lost, says Dask, until it is there anew."""
    source, seen = sharded_model(tmp_path / "source"), set[str]()
    quantize_file(source, tmp_path / "serial")
    futures = sent(lambda: None)

    def end_of_the_worker(name: str, done: int, total: int) -> None:
        end = time.monotonic() + 60
        if "lost" not in seen:
            os.kill(single.workers[0].pid, signal.SIGKILL)
        while "lost" not in seen and time.monotonic() < end:
            seen.update(future.status for future in futures)

    with importlib.import_module("distributed").LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit=None
    ) as single:
        runner = on_cluster(single.scheduler_address)
        quantize_file(source, tmp_path / "target", runner=runner, progress=end_of_the_worker)
    assert "lost" in seen
    assert digests(tmp_path / "target") == digests(tmp_path / "serial")


@distributed_only
def test_a_scheduler_that_is_killed_is_one_line(
    tmp_path: Path, sent: Callable[[Callable[[], None]], list[Any]]
) -> None:
    model(tmp_path / "s")
    address = tmp_path / "address.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as scheduler:
        while not address.exists() or not address.stat().st_size:
            assert scheduler.poll() is None
            time.sleep(0.05)
        sent(scheduler.kill)
        where = json.loads(address.read_text())["address"]
        result = CliRunner().invoke(main, ["quantize", str(tmp_path / "s"), str(tmp_path / "t"), "--dask", where])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: dask: the scheduler went away, or cancelled a task (")
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["address.json", "s"]


@pytest.mark.parametrize("error", [concurrent.futures.CancelledError, ConnectionResetError])
def test_a_cluster_that_goes_away_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """With a stand-in for the package: the tasks are cancelled, or the connection ends while a result is on its way."""

    def lose() -> None:
        raise error("two\nlines")

    class Client(contextlib.nullcontext[None]):
        loop = None

        def __init__(self, address: str, **settings: object) -> None:
            super().__init__()

        def map(self, task: object, jobs: list[object], key: list[str], **settings: object) -> list[SimpleNamespace]:
            return [SimpleNamespace(key=name, result=lose) for name in key]

    stand_in = SimpleNamespace(
        Client=Client,
        as_completed=lambda futures, loop: iter(futures),
        comm=SimpleNamespace(get_address_host_port=str),
        CancelledError=concurrent.futures.CancelledError,
        KilledWorker=MemoryError,
    )
    monkeypatch.setitem(sys.modules, "distributed", stand_in)
    model(tmp_path / "s")
    result = CliRunner().invoke(main, ["quantize", str(tmp_path / "s"), str(tmp_path / "t"), "--dask", "tcp://x:1"])
    assert result.exit_code == 2
    assert result.stderr == f"Error: dask: the scheduler went away, or cancelled a task ({error.__name__})\n"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DaskUnavailable, match=r"pip install 'q35ref\[dask\]'"):
        on_cluster()
    model(tmp_path / "s")
    result = CliRunner().invoke(main, ["quantize", str(tmp_path / "s"), str(tmp_path / "t"), "--dask", "local"])
    assert (result.exit_code, result.stdout) == (2, "")
    expected = "Error: dask: expected the package distributed, found none: pip install 'q35ref[dask]'\n"
    assert result.stderr == expected
    assert not (tmp_path / "t").exists()


@distributed_only
@pytest.mark.parametrize("seconds", [0.3, 3.0])
def test_ctrl_c_is_one_word_and_leaves_nothing(tmp_path: Path, seconds: float) -> None:
    """A terminal tells the workers too, while they begin as well as later."""
    source = tmp_path / "source.safetensors"
    save_file({f"{i}.weight": np.ones((2048, 2048), np.float32) for i in range(12)}, source)
    command = [sys.executable, "-m", "q35ref", "quantize", str(source), str(tmp_path / "made"), "--dask", "local"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True) as run:
        while len(list(tmp_path.iterdir())) < 2:  # until it writes: before that, it has no workers
            assert run.poll() is None
            time.sleep(0.05)
        time.sleep(seconds)
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (130, "Interrupted.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["source.safetensors"]


@distributed_only
def test_what_is_no_address_is_refused_at_once(tmp_path: Path) -> None:
    source = model(tmp_path / "source.safetensors")
    command = [sys.executable, "-m", "q35ref", "quantize", str(source), str(tmp_path / "made"), "--dask", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "expected a scheduler at 'nowhere'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
