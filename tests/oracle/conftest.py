"""What tests of several of the oracle's parts start: clients of the pipe protocol, in the shell's language."""

import shlex
from collections.abc import Callable, Iterator

import pytest

from q35ref.oracle.foreign.pipe import PipeClient

Start = Callable[..., PipeClient]


@pytest.fixture(name="start")
def starts() -> Iterator[Start]:
    """Yield a function that starts a client, which is ended with the test."""
    started: list[PipeClient] = []

    def run(script: str, timeout: float = 20) -> PipeClient:
        started.append(PipeClient(f"sh -c {shlex.quote(script)}", timeout))
        return started[-1]

    yield run
    for client in started:
        client.close()
