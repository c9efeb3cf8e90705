"""Training on conversations against TRL's trainers: the same tokens count, with the same loss and gradients."""

from __future__ import annotations

import copy
from typing import Any

import chat
import pytest
import tiny
import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from tarazu.align.forward import branch_log_probs
from tarazu.align.objectives import objective_of
from tarazu.align.rows.documents import documents_of
from tarazu.align.rows.packing import pack, pad
from tarazu.align.tokens import TokenPair, tokenize_pairs
from tarazu.conversation.formats import Format
from tarazu.study.schema import DPOArm, SFTArm

TOLERANCE = 1e-5
TEMPLATES = {
    "end token": chat.EOS,
    "end token, marked": chat.EOS_MARKED,
    "ChatML": chat.CHATML,
    "ChatML, marked": chat.CHATML_MARKED,
}
SETTINGS: dict[str, Any] = {
    "per_device_train_batch_size": 8,
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "max_length": 512,
}


def model(seed: int = 0) -> Any:
    made = tiny.llama(seed)
    made.resize_token_embeddings(272, mean_resizing=False)
    return tiny.perturbed(made, seed=7)


def tokens(tokenizer: Any) -> list[TokenPair]:
    return tokenize_pairs(chat.pairs(), Format(tokenizer, "chat_template"), max_length=512, by_turns=True)[0]


def same_gradients(mine: Any, theirs: Any) -> None:
    one, other = tiny.gradients(mine), tiny.gradients(theirs)
    assert one.keys() == other.keys()
    for name in one:
        assert (one[name] - other[name]).abs().max() < TOLERANCE, name


def log_probs(policy: Any, documents: Any, packed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    from tarazu.align.attention import use_tree_attention

    if not packed:
        return branch_log_probs(policy, pad(documents, 1))
    with use_tree_attention(policy):
        return branch_log_probs(policy, pack(documents))


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_dpo_on_conversations_is_trls(template: str, packed: bool, tmp_path: Any) -> None:
    tokenizer = chat.byte_level(template=template)
    reference = model()
    policy = tiny.perturbed(model(), seed=5)
    theirs = copy.deepcopy(policy)
    trainer = DPOTrainer(
        model=theirs,
        ref_model=copy.deepcopy(reference),
        args=DPOConfig(**(SETTINGS | {"output_dir": str(tmp_path), "disable_dropout": True, "loss_type": "sigmoid"})),
        train_dataset=Dataset.from_list(chat.rows(chat.pairs())),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(trainer.train_dataset))])
    theirs.zero_grad()
    their_loss = trainer.compute_loss(trainer.model, batch)
    their_loss.backward()

    arm = DPOArm(method="dpo")
    documents = documents_of(tokens(tokenizer), arm)
    ours = pad(documents, 1)
    order = [*range(0, 2 * len(documents), 2), *range(1, 2 * len(documents), 2)]
    assert torch.equal(ours["input_ids"][order] * ours["attention_mask"][order],
                       batch["input_ids"] * batch["attention_mask"])  # fmt: skip
    assert torch.equal(ours["labels"][order] != -100, batch["completion_mask"].bool())
    with torch.no_grad():
        before = log_probs(reference, documents, packed)[0].view(-1, 2)
    policy.zero_grad()
    loss = objective_of(arm)(*log_probs(policy, documents, packed), before)[0] / len(documents)
    loss.backward()
    assert loss.item() == pytest.approx(their_loss.item(), abs=TOLERANCE)
    same_gradients(policy, theirs)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_sft_counts_what_trl_counts(template: str, packed: bool, tmp_path: Any) -> None:
    """With marks: the assistant's tokens of all turns. Without, TRL counts only a completion: the last answer."""
    tokenizer = chat.byte_level(template=template)
    marked = "generation %}" in template
    found = chat.rows(chat.pairs())
    if marked:
        data = [{"messages": row["prompt"] + row["chosen"]} for row in found]
    else:
        data = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in found]
    policy = model()
    theirs = copy.deepcopy(policy)
    settings = SETTINGS | {"output_dir": str(tmp_path), "assistant_only_loss": marked, "loss_type": "nll"}
    trainer = SFTTrainer(
        model=theirs, args=SFTConfig(**settings), train_dataset=Dataset.from_list(data), processing_class=tokenizer
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(trainer.train_dataset))])
    theirs.zero_grad()
    their_loss = trainer.compute_loss(trainer.model, batch)
    their_loss.backward()

    documents = documents_of(tokens(tokenizer), SFTArm(method="sft", loss_on=None if marked else "response"))
    ours = pad(documents, 1)
    assert torch.equal(ours["labels"][:, 1:], batch["labels"][:, 1:])
    policy.zero_grad()
    sums, counts = log_probs(policy, documents, packed)
    loss = -sums.sum() / counts.sum()
    loss.backward()
    assert loss.item() == pytest.approx(their_loss.item(), abs=TOLERANCE)
    same_gradients(policy, theirs)


@pytest.mark.parametrize(("plain", "marked"), [(chat.EOS, chat.EOS_MARKED), (chat.CHATML, None)])
def test_without_marks_all_answers_count_as_with_them(plain: str, marked: str | None) -> None:
    """Without marks, an answer is what the template adds for it: of ChatML, the line break behind it too."""
    marked = marked or chat.CHATML_MARKED.replace("{% endgeneration %}{{ '\n' }}", "\n{% endgeneration %}")
    one, other = (tokens(chat.byte_level(template=template)) for template in (plain, marked))
    assert [pair.written for pair in one] == [pair.written for pair in other]
    assert [pair.chosen for pair in one] == [pair.chosen for pair in other]
    earlier = [pair for pair in one if any((pair.written or [])[: len(pair.prompt)])]
    assert len(earlier) == 4
