"""Sentences that the project writes itself, from a seed: to measure embeddings with, and to calibrate with.

An event is a choice of agent, verb, object, setting and reason from one topic; a sentence is an event said in one of
several ways, with one of the synonyms of each part. Of the sentences to measure with several tell each event, so that
similarities range from paraphrases over one topic to unrelated ones; those to calibrate with tell one event each, so
that they vary the most. The two sets share neither topics nor templates.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from q35ref.evidence.vocabulary import CALIBRATION, MEASURED, Topic

MEASURED_SENTENCES: Final = 600
"""Sentences that similarities are measured over."""

CALIBRATION_SENTENCES: Final = 1024
"""Sentences to calibrate with, at most."""

TELLINGS: Final = 3
"""Sentences that tell one event, of those to measure with."""

MEASURED_TEMPLATES: Final = (
    "{agent} {past} {object} {setting}.",
    "{setting}, {agent} {past} {object}.",
    "{object}: {participle} by {agent} {setting}.",
    "{agent} {past} {object} because {reason}.",
    "since {reason}, {agent} {past} {object}.",
    "did {agent} really {base} {object} {setting}?",
    "it was {agent} who {past} {object}.",
    "we heard that {agent} {past} {object} {setting}, since {reason}.",
    "{agent} did not {base} {object}.",
    "{reason}, and so {agent} decided to {base} {object}.",
)
"""Ways to tell an event that is measured with."""

CALIBRATION_TEMPLATES: Final = (
    "{agent} will {base} {object} {setting}.",
    "why would {agent} {base} {object}?",
    "{reason}; therefore {agent} {past} {object} {setting}.",
    "having {participle} {object}, {agent} went home.",
    '"{reason}," said {agent}, who had {participle} {object} {setting}.',
    "{agent} could {base} {object}, but only {setting}.",
    "how to {base} {object} {setting}",
    "yesterday {agent} {past} {object}; today {reason}.",
    "if {agent} had not {participle} {object} {setting}, I would never have believed that {reason}.",
    "{object}",
    "please {base} {object} {setting}, as {reason}!",
    "there is no doubt that {agent} has {participle} {object}.",
    "{agent} {past} {object} {setting} although nobody had asked for it, and {reason}.",
)
"""Ways to tell an event that is calibrated with."""


class Sentence(NamedTuple):
    """A sentence and what it tells."""

    text: str
    topic: str
    event: int
    """Sentences of one event say much the same."""


def measured_sentences(count: int = MEASURED_SENTENCES, seed: int = 1) -> list[Sentence]:
    """Return different sentences to measure with; a smaller count gives the first of them. Errors: ValueError.

    >>> measured_sentences(2)[1].text
    'A baker dished up the grilled hen because visitors were expected.'
    """
    return _sentences(MEASURED, MEASURED_TEMPLATES, TELLINGS, count, seed)


def calibration_sentences(count: int = CALIBRATION_SENTENCES, seed: int = 2) -> list[Sentence]:
    """Return different sentences to calibrate with; a smaller count gives the first of them. Errors: ValueError."""
    return _sentences(CALIBRATION, CALIBRATION_TEMPLATES, 1, count, seed)


def _sentences(
    topics: Sequence[Topic], templates: Sequence[str], tellings: int, count: int, seed: int
) -> list[Sentence]:
    if not 1 <= count <= MOST:
        raise ValueError(f"count: expected 1 to {MOST}, got {count}")
    rng = np.random.default_rng(seed)
    made: dict[str, Sentence] = {}
    event = 0
    while len(made) < count:
        topic = topics[event % len(topics)]
        meanings = {part: _choose(getattr(topic, part), ";", rng) for part in PARTS}
        for template in rng.permutation(np.array(templates, object))[:tellings].tolist():
            text = _tell(template, {part: _choose(meaning, "|", rng) for part, meaning in meanings.items()})
            made.setdefault(text, Sentence(text, topic.name, event))
        event += 1
    return list(made.values())[:count]


PARTS: Final = ("agents", "verbs", "objects", "settings", "reasons")

MOST: Final = 4096
"""Sentences that may be asked for: far fewer than the grammar has."""


def _choose(choices: str, separator: str, rng: np.random.Generator) -> str:
    options = choices.split(separator)
    return options[int(rng.integers(len(options)))].strip()


def _tell(template: str, words: dict[str, str]) -> str:
    base, past, participle = words["verbs"].split("/")
    text = template.format(
        agent=words["agents"],
        base=base.strip(),
        past=past.strip(),
        participle=participle.strip(),
        object=words["objects"],
        setting=words["settings"],
        reason=words["reasons"],
    )
    return text[0].upper() + text[1:]
