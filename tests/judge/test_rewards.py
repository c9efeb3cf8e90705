"""Rewards agree with the model called on one row at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import tiny
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, DebertaV2Config, DebertaV2ForSequenceClassification

from tarazu.align.checkpoints import identity, load_reward_model, positions
from tarazu.analysis.agreement.judges import judges_section
from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.judge.score import score
from tarazu.judge.table import judge_names, with_rewards
from tarazu.judge.texts import judge_texts
from tarazu.progress import Progress
from tarazu.scores import read_scores, write_scores
from tarazu.study import load_study
from tarazu.study.judges import RewardModel
from tarazu.study.presets import PRESETS
from tarazu.study.schema import Thresholds

ROWS = [
    ("Why?", "Because."),
    ("How is rice cooked?", "In water, until it is soft."),
    ("Hi", ""),
    ("Why?", "No."),
    ("Hi", ""),
]


def settings(**changes: Any) -> RewardModel:
    return RewardModel(model="tiny", **changes)


def alone(model: Any, *text: str) -> float:
    # Lists of one: with plain strings, the tokenizer would drop an empty second segment.
    inputs = tiny.tokenizer()(*([part] for part in text), return_tensors="pt")
    with torch.no_grad():
        return float(model(**inputs).logits[0, 0])


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_pair_input_is_two_segments(batch_size: int) -> None:
    model = tiny.pair_reward()
    found, cut = score(model, tiny.tokenizer(), ROWS, settings(batch_size=batch_size), progress=tiny.silent)
    assert np.allclose(found, [alone(model, *row) for row in ROWS], atol=1e-5)
    assert not cut.any()
    assert found.std() > 1e-3


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_transcript_input_is_one_text(batch_size: int) -> None:
    model = tiny.opt_reward()
    found, _ = score(
        model, tiny.tokenizer(), ROWS, settings(input="transcript", batch_size=batch_size), progress=tiny.silent
    )
    expected = [alone(model, f"\n\nHuman: {prompt}\n\nAssistant: {response}") for prompt, response in ROWS]
    assert np.allclose(found, expected, atol=1e-5)


def test_equal_rows_are_scored_once() -> None:
    model = tiny.pair_reward()
    rows_seen = 0

    def count(module: Any, arguments: Any, keywords: Any) -> None:
        nonlocal rows_seen
        rows_seen += len(keywords["input_ids"])

    model.register_forward_pre_hook(count, with_kwargs=True)
    score(model, tiny.tokenizer(), ROWS * 3, settings(), progress=tiny.silent)
    assert rows_seen == len(set(ROWS))


def test_long_transcripts_lose_their_beginning_not_the_response() -> None:
    model = tiny.opt_reward()
    short = settings(input="transcript", max_length=40)
    prompt = "x" * 200
    (first, second), cut = score(
        model, tiny.tokenizer(), [(prompt, "Yes."), (prompt, "No, never.")], short, progress=tiny.silent
    )
    assert cut.tolist() == [True, True]
    assert first != second
    assert tiny.tokenizer().truncation_side == "right"  # unchanged


def test_no_rows_no_rewards() -> None:
    found, cut = score(tiny.pair_reward(), tiny.tokenizer(), [], settings(), progress=tiny.silent)
    assert found.shape == (0,)
    assert cut.shape == (0,)


def deberta() -> DebertaV2ForSequenceClassification:
    """Like deberta-v3: relative positions in buckets, keys shared with content."""
    torch.manual_seed(1)
    config = DebertaV2Config(
        vocab_size=tiny.VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=512, relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0, num_labels=1,
        pad_token_id=1, pooler_hidden_size=32,
    )  # fmt: skip
    model = DebertaV2ForSequenceClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    return model


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("make", "takes"),
    [(deberta, "pair"), (tiny.pair_reward, "pair"), (tiny.opt_reward, "transcript")],
    ids=["deberta", "bert", "opt"],
)
def test_a_reward_does_not_depend_on_its_neighbours(make: Any, takes: Any, side: str) -> None:
    """Equal to 1e-5 at batch sizes 1, 7 and 64, among texts of 1 to 40 words, for either padding side
    of the tokenizer."""
    tokens = tiny.tokenizer().__class__(tokenizer_object=tiny.tokenizer().backend_tokenizer)
    tokens.add_special_tokens({"pad_token": "<pad>", "eos_token": "</s>"})
    tokens.padding_side = side
    draw = np.random.default_rng(0)
    rows = [(f"p{i} " * draw.integers(1, 20), f"r{i} " * draw.integers(0, 20)) for i in range(70)]
    model = tiny.perturbed(make(), seed=2, size=0.1)
    found = [
        score(model, tokens, rows, settings(input=takes, batch_size=size), progress=tiny.silent)[0]
        for size in (1, 7, 64)
    ]
    assert np.abs(found[1] - found[0]).max() < 1e-5
    assert np.abs(found[2] - found[0]).max() < 1e-5
    assert found[0].std() > 1e-2
    shuffled = [rows[i] for i in draw.permutation(70)]
    other, _ = score(model, tokens, shuffled, settings(input=takes), progress=tiny.silent)
    again = dict(zip(shuffled, other, strict=True))
    assert np.abs(found[0] - [again[row] for row in rows]).max() < 1e-5


def test_scale_and_offset_put_models_on_one_scale() -> None:
    plain, _ = score(tiny.pair_reward(), tiny.tokenizer(), ROWS, settings(), progress=tiny.silent)
    moved, _ = score(tiny.pair_reward(), tiny.tokenizer(), ROWS, settings(scale=2.0, offset=-1.0), progress=tiny.silent)
    assert np.allclose(moved, 2 * plain - 1)


def test_an_ensemble_decides_by_its_mean_and_keeps_its_models(tmp_path: Path) -> None:
    first, second = (tiny.saved(tiny.opt_reward(seed), tmp_path / f"judge{seed}") for seed in (1, 2))
    one = {"model": first, "input": "transcript"}
    two = {"model": second, "input": "transcript", "offset": 0.5}
    ensemble = f"reward.harmful=[{one}, {two}]".replace("'", '"')
    study = load_study("demo", [ensemble, f"reward.benign.model={first}"]).study
    assert list(study.reward.judges()) == ["harmful.0", "harmful.1", "benign"]
    texts = [(kind, f"Request {i}?", f"Answer {i * i}.") for kind in KINDS for i in range(12)]
    rewards, _ = judge_texts(study, texts, Progress().update)
    assert judge_names(study, "harmful") == ["judge1", "judge2"]
    rows = []
    for index, text in enumerate(texts):
        row = {"arm": "base", "language": "en", "kind": text[0], "prompt_id": str(index % 12), "seed": 0, "sample": 0}
        rows += with_rewards([{**row, "prompt": text[1], "response": text[2]}], rewards, study)
    assert len(rows) == 12 * 3 + 12
    write_scores(tmp_path / "scores.parquet", rows, study.thresholds)
    table = read_scores(tmp_path / "scores.parquet")
    assert len(table.reward) == 24 and table.members is not None and len(table.members.reward) == 24
    by_hand = np.array([[one.score for one in rewards[text].judgements] for text in texts[:12]])
    assert np.allclose(np.sort(table.reward[table.kind == "harmful"]), np.sort(by_hand.mean(axis=1)))
    thresholds = Thresholds(harmless=float(np.median(by_hand)))
    (entry,) = judges_section(table.members, thresholds)
    assert (entry.kind, entry.model, entry.other, entry.n) == ("harmful", "judge1", "judge2", 12)
    assert entry.correlation == pytest.approx(np.corrcoef(by_hand.T)[0, 1])
    passed = by_hand >= thresholds.harmless
    assert entry.labels_differ == pytest.approx(100 * np.mean(passed[:, 0] != passed[:, 1]))


def test_a_single_model_has_no_disagreement(tmp_path: Path) -> None:
    row = {"arm": "base", "language": "en", "kind": "benign", "prompt_id": "1", "reward": 1.0}
    write_scores(tmp_path / "scores.parquet", [row], Thresholds())
    assert judges_section(read_scores(tmp_path / "scores.parquet").members, Thresholds()) == ()
    two = [{**row, "reward_model": name, "prompt_id": str(i)} for i, name in enumerate(("default", "a", "b"))]
    write_scores(tmp_path / "scores.parquet", two, Thresholds())
    (entry,) = judges_section(read_scores(tmp_path / "scores.parquet").members, Thresholds())
    assert entry.n == 0 and entry.correlation is None and entry.labels_differ is None and entry.reason


def test_a_preset_stands_for_its_settings_and_may_be_changed() -> None:
    judge = RewardModel(model="preset:deberta-v3-large-v2", max_length=300)
    assert (judge.model, judge.input) == ("OpenAssistant/reward-model-deberta-v3-large-v2", "pair")
    assert judge.max_length == 300
    assert RewardModel(model="preset:skywork-v2-qwen3-0.6b").input == "chat_template"
    with pytest.raises(ValidationError, match="no preset 'skywork'; the presets: deberta-v3-large-v2, "):
        RewardModel(model="preset:skywork")
    with pytest.raises(BadInput, match=r"reward\.harmful.*no preset 'x'"):
        load_study("demo", ["reward.harmful.model=preset:x"])


def test_every_preset_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text(encoding="utf-8")
    for name, preset in PRESETS.items():
        line = next(line for line in page.splitlines() if f"`{name}`" in line)
        for fact in (preset.model, preset.input, preset.languages, preset.licence):
            assert fact in line


# --- adapters ------------------------------------------------------------------------------------------------------


def saved_adapter(folder: Path, *, head: bool = True, outputs: int = 1, base: str = "base") -> str:
    """An adapter on a causal model in the folder `base` beside it, with large weights and, perhaps, its own head."""
    tiny.saved(tiny.opt(), folder / "base")
    start = AutoModelForSequenceClassification.from_pretrained(folder / "base", num_labels=outputs)
    own = {"task_type": "SEQ_CLS", "modules_to_save": ["score"]} if head else {}
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], **own)
    adapter = peft.get_peft_model(start, settings)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, weight in adapter.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                torch.nn.init.normal_(weight)
    adapter.peft_config["default"].base_model_name_or_path = base.format(folder=folder)
    adapter.save_pretrained(folder / "adapter")
    tiny.tokenizer().save_pretrained(folder / "adapter")
    return str(folder / "adapter")


@pytest.mark.parametrize("base", ["../base", "{folder}/base"])
def test_an_adapter_with_its_head_is_a_reward_model(base: str, tmp_path: Path) -> None:
    folder = saved_adapter(tmp_path, base=base)
    loaded = load_reward_model(folder, key="reward.harmful.model")
    found, _ = score(loaded, tiny.tokenizer(), ROWS, settings(input="transcript"), progress=tiny.silent)
    start = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=1)
    unmerged = peft.PeftModel.from_pretrained(start, folder).eval()
    unmerged.config.pad_token_id = 1
    expected = [alone(unmerged, f"\n\nHuman: {prompt}\n\nAssistant: {response}") for prompt, response in ROWS]
    assert np.allclose(found, expected, atol=1e-4)
    assert found.std() > 1e-2
    assert positions(folder, key="reward.harmful.model") == 512


def test_an_adapter_s_base_is_part_of_its_identity(tmp_path: Path) -> None:
    folder = saved_adapter(tmp_path, base="../base")
    before = identity(folder, None, "reward.harmful.model")
    tiny.saved(tiny.opt(seed=9), tmp_path / "base")
    assert identity(folder, None, "reward.harmful.model") != before


def test_adapters_that_give_no_reward_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"reward\.harmful\.model: .*base: lacks the weights score\.weight"):
        load_reward_model(saved_adapter(tmp_path / "headless", head=False, base="../base"), key="reward.harmful.model")
    with pytest.raises(BadInput, match="gives 3 outputs; a reward model gives one"):
        load_reward_model(saved_adapter(tmp_path / "three", outputs=3, base="../base"), key="reward.harmful.model")
    folder = saved_adapter(tmp_path / "damaged", base="../base")
    (Path(folder) / "adapter_model.safetensors").write_bytes(b"no")
    with pytest.raises(BadInput, match=r"its adapter_model\.safetensors cannot be loaded"):
        load_reward_model(folder, key="reward.harmful.model")
    folder = saved_adapter(tmp_path / "other", base="../base")
    tiny.saved(tiny.llama(), tmp_path / "other" / "base")
    with pytest.raises(BadInput, match="the adapter is of another model"):
        load_reward_model(folder, key="reward.harmful.model")


def test_an_adapter_on_a_reward_model_keeps_its_head(tmp_path: Path) -> None:
    tiny.saved(tiny.opt_reward(), tmp_path / "base")
    lora = peft.LoraConfig(r=4, target_modules=["q_proj"])
    adapter = peft.get_peft_model(tiny.opt_reward(), lora)
    adapter.peft_config["default"].base_model_name_or_path = "../base"
    tiny.saved(adapter, tmp_path / "adapter")
    loaded = load_reward_model(str(tmp_path / "adapter"), key="reward.harmful.model")
    assert torch.equal(loaded.score.weight, tiny.opt_reward().score.weight)
