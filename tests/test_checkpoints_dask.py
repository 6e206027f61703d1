"""Dask as the one who does the work: the same bytes, a dead worker's task is done again, a bounded number of times."""

import asyncio
import concurrent.futures
import contextlib
import importlib
import importlib.util
import json
import multiprocessing.spawn
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


@contextlib.contextmanager
def ended(process: "subprocess.Popen[Any]") -> Iterator["subprocess.Popen[Any]"]:
    """Yield a process that does not outlive the block."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is so, for a minute at most."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


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
def test_a_result_that_dies_with_its_worker_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies when its first result is known and not read: lost, says Dask, until it is there anew."""
    source, seen = sharded_model(tmp_path / "source"), set[str]()
    quantize_file(source, tmp_path / "serial")
    distributed = importlib.import_module("distributed")
    futures: list[Any] = []
    send = distributed.Client.map

    def sending(client: Any, *arguments: Any, **settings: Any) -> list[Any]:
        futures.extend(send(client, *arguments, **settings))
        return futures

    def end_of_the_worker(name: str, done: int, total: int) -> None:
        end = time.monotonic() + 60
        if "lost" not in seen:
            os.kill(single.workers[0].pid, signal.SIGKILL)
        while "lost" not in seen and time.monotonic() < end:
            seen.update(future.status for future in futures)

    monkeypatch.setattr(distributed.Client, "map", sending)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit=None
    ) as single:
        runner = on_cluster(single.scheduler_address)
        quantize_file(source, tmp_path / "target", runner=runner, progress=end_of_the_worker)
    assert "lost" in seen
    assert digests(tmp_path / "target") == digests(tmp_path / "serial")


@distributed_only
def test_a_scheduler_that_is_killed_is_one_line(tmp_path: Path) -> None:
    """Though Dask's client would write about it by itself."""
    source, address = model(tmp_path / "s"), tmp_path / "address.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *options]
    with ended(subprocess.Popen(command, stderr=subprocess.DEVNULL)) as scheduler:
        wait_until(lambda: address.exists() and address.stat().st_size > 0)
        where = json.loads(address.read_text())["address"]
        command = [sys.executable, "-m", "q35ref", "quantize", str(source), str(tmp_path / "t"), "--dask", where]
        with ended(subprocess.Popen(command, stderr=subprocess.PIPE, text=True)) as run:
            assert run.stderr is not None
            assert run.stderr.readline() == f"dask: the scheduler at {where!r} has no worker; waiting for one\n"
            scheduler.kill()
            _, error = run.communicate(timeout=60)
    assert run.returncode == 2
    assert error.count("\n") == 1
    assert error.startswith("Error: dask: no result for tensor ")
    assert "CancelledError: " in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["address.json", "s"]


@distributed_only
def test_a_cluster_without_workers_is_waited_for_as_long_as_it_says(tmp_path: Path) -> None:
    distributed = importlib.import_module("distributed")
    with (
        importlib.import_module("dask").config.set({"distributed.scheduler.no-workers-timeout": "1 s"}),
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(DaskUnavailable, match=r"^dask: no result for tensor \S+: NoWorkerError: .* without any"),
    ):
        quantize_file(model(tmp_path / "s"), tmp_path / "t", runner=on_cluster(empty.scheduler_address))
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@distributed_only
def test_workers_without_q35ref_are_refused_and_live_on(tmp_path: Path) -> None:
    """A task would end them: they could not read it."""
    distributed = importlib.import_module("distributed")
    message = r"^dask: expected q35ref installed for every worker, found none for tcp:"
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit=None
        ) as bare,
        distributed.Client(bare, set_as_default=False) as client,
    ):
        before = client.run(os.getpid)
        client.run(exec, "import sys; sys.modules['q35ref'] = None")  # as if it were not there
        with pytest.raises(DaskUnavailable, match=message):
            quantize_file(model(tmp_path / "s"), tmp_path / "t", runner=on_cluster(bare.scheduler_address))
        assert client.run(os.getpid) == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@distributed_only
def test_a_local_cluster_is_not_without_workers_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers are gone, and their nannies with them."""
    distributed = importlib.import_module("distributed")
    monkeypatch.setattr(on_dask, "LONELY_SECONDS", 1)
    start = distributed.LocalCluster

    def without(**settings: Any) -> Any:
        return start(**{**settings, "n_workers": 0})

    monkeypatch.setattr(distributed, "LocalCluster", without)
    with pytest.raises(DaskUnavailable, match="NoWorkerError"):
        quantize_file(model(tmp_path / "s"), tmp_path / "t", runner=on_cluster())
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@distributed_only
def test_a_local_cluster_that_does_not_end_does_not_hold_up_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dask's older versions may not, when a worker dies meanwhile."""
    distributed = importlib.import_module("distributed")
    source, asked = model(tmp_path / "s"), []
    quantize_file(source, tmp_path / "serial")

    close = distributed.LocalCluster._close

    async def endless(cluster: Any) -> None:
        asked.append(cluster)
        await asyncio.sleep(3600 if len(asked) == 1 else 0)
        await close(cluster)

    monkeypatch.setattr(distributed.LocalCluster, "_close", endless)
    monkeypatch.setattr(on_dask, "CLOSE_SECONDS", 0.5)
    quantize_file(source, tmp_path / "t", runner=on_cluster())
    assert (tmp_path / "t").read_bytes() == (tmp_path / "serial").read_bytes()
    (cluster,) = asked
    cluster.close(timeout=60)


@distributed_only
def test_a_local_cluster_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its worker is killed at once."""
    source = model(tmp_path / "s")
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    result = CliRunner().invoke(main, ["quantize", str(source), str(tmp_path / "t"), "--dask", "local"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: dask: the local cluster did not start: ")
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("error", [concurrent.futures.CancelledError, ConnectionResetError, ImportError])
def test_a_cluster_that_goes_away_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """With a stand-in for the package: tasks are cancelled, the connection ends, a worker has another q35ref."""

    def lose() -> None:
        raise error("two\nlines")

    class Client(contextlib.nullcontext[None]):
        loop = None

        def __init__(self, address: str, **settings: object) -> None:
            super().__init__()

        def run(self, *arguments: object, **settings: object) -> dict[str, object]:
            return {"a worker": "q35ref"}

        def map(self, task: object, jobs: list[object], key: list[str], **settings: object) -> list[SimpleNamespace]:
            return [SimpleNamespace(key=name, result=lose) for name in key]

    stand_in = SimpleNamespace(
        Client=Client,
        as_completed=lambda futures, loop: iter(futures),
        comm=SimpleNamespace(get_address_host_port=str),
        KilledWorker=MemoryError,
    )
    monkeypatch.setitem(sys.modules, "distributed", stand_in)
    model(tmp_path / "s")
    result = CliRunner().invoke(main, ["quantize", str(tmp_path / "s"), str(tmp_path / "t"), "--dask", "tcp://x:1"])
    assert result.exit_code == 2
    assert result.stderr == f"Error: dask: no result for tensor first.weight: {error.__name__}: two\n"
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
