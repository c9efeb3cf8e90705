"""Documents: what a method trains on, as token ids.

A document is a tree: a stem and the branches that continue it. A preference pair is a prompt with two answers, and a
transcript is one branch without a stem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tarazu.align.tokens import TokenPair
from tarazu.study.schema import SFTArm, Training


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids of a stem and of the branches that continue it. `learned` says of each token of the branches whether it
    counts; without it, all do."""

    stem: Sequence[int]
    branches: Sequence[Sequence[int]]
    learned: Sequence[Sequence[bool]] | None = None

    @property
    def tokens(self) -> int:
        """Tokens in a packed row."""
        return len(self.stem) + sum(map(len, self.branches))

    @property
    def predicted(self) -> int:
        """Predicted tokens: those of the branches that count, except a first token without a stem before it."""
        return sum(map(sum, self.counted))

    @property
    def counted(self) -> list[list[bool]]:
        """For each token of each branch whether it is predicted."""
        learned = self.learned or [[True] * len(tokens) for tokens in self.branches]
        return [[one and bool(self.stem or place) for place, one in enumerate(branch)] for branch in learned]

    @property
    def deepest(self) -> int:
        """The number of tokens in the stem and its longest branch."""
        return len(self.stem) + max(map(len, self.branches), default=0)

    def beginning(self, tokens: int) -> Document:
        """A short version: the last `tokens` of the stem and the first `tokens` of each branch."""
        learned = self.learned and [branch[:tokens] for branch in self.learned]
        return Document(self.stem[-tokens:], [branch[:tokens] for branch in self.branches], learned)


def documents_of(pairs: Sequence[TokenPair], settings: Training) -> list[Document]:
    """The documents that a method trains on: conversations (or prompts with their chosen answers) for SFT, and prompts
    with both answers for other methods."""
    if isinstance(settings, SFTArm):
        return [_conversation(pair, settings.loss_on) for pair in pairs]
    return [Document(pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs]


def _conversation(pair: TokenPair, loss_on: str | None) -> Document:
    """A conversation with the tokens that its SFT counts; by default, what the model writes if the format says that."""
    if loss_on == "response":
        return Document(pair.prompt, [pair.chosen])
    tokens = pair.prompt + pair.chosen
    if loss_on == "transcript" or pair.written is None:
        return Document([], [tokens])
    return Document([], [tokens], [pair.written])
