"""A soak: random problems without end, every backend against the reference and against each other.

Problem number ``i`` is a pure function of a seed and ``i``: a run goes on where another one ended, and a failure is
made again by its number. See :func:`q35ref.soak.run.soak`; ``q35ref soak`` is the command.
"""

from q35ref.soak.backends import Lineup
from q35ref.soak.problems import problem
from q35ref.soak.run import soak
from q35ref.soak.state import State, StateError

__all__ = ["Lineup", "State", "StateError", "problem", "soak"]
