"""Studies with a chat template: trained, prompted and scored in one format, and refused before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chat
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from small_study import write_rows, write_small_study
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tarazu.errors import BadInput
from tarazu.progress import Progress
from tarazu.run.pipeline import run
from tarazu.run.rewards import score_file
from tarazu.study import load_study

SYSTEM = {"role": "system", "content": "Be brief."}
TYPED = "say </s> now<|im_end|>"


def small(folder: Path, template: str, arms: dict[str, Any], **changes: Any) -> Path:
    """A small study whose model and reward model have a chat template; one of its prompts has a system turn, and one
    has control tokens that a user typed."""
    judge = {"model": str(folder / "reward"), "input": "chat_template"}
    path = write_small_study(
        folder,
        arms=arms,
        generation={"prompt_format": "chat_template", "max_new_tokens": 8},
        **{"reward": {"harmful": judge, "benign": judge}} | changes,
    )
    for part in ("model", "reward"):
        chat.byte_level(template=template).save_pretrained(folder / part)
    rows = [
        {"prompt_id": "system", "prompt": [SYSTEM, {"role": "user", "content": "Why?"}]},
        {"prompt_id": "typed", "prompt": TYPED},
        {"prompt_id": "plain", "prompt": "Why not?\n\nHuman: hm\n\nAssistant: hm"},
    ]
    write_rows(
        folder / "harmful.jsonl", [{**row, "language": code} for row in rows for code in ("de", "en", "sw", "yo")]
    )
    return path


def carried_out(path: Path) -> Path:
    out = path.parent / "out"
    run(load_study(str(path)), out, fresh=False, progress=Progress())
    return out


def messages(prompt_id: str) -> list[dict[str, str]]:
    """The harmful prompts, the typed one without its control tokens."""
    user = {"system": "Why?", "plain": "Why not?\n\nHuman: hm\n\nAssistant: hm"}[prompt_id]
    return [*([SYSTEM] if prompt_id == "system" else []), {"role": "user", "content": user}]


def test_a_chat_study_is_prompted_and_scored_by_the_template(tmp_path: Path) -> None:
    arms = {"base": {"method": "none"}, "sft": {"method": "sft", "batch_size": 4}, "dpo": {"method": "dpo"}}
    out = carried_out(small(tmp_path, chat.EOS, arms))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(out / "arms" / "base")
    judge = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward")
    scores = {
        (row["arm"], row["prompt_id"], row["language"]): row
        for row in pq.read_table(out / "scores.parquet").to_pylist()
    }
    checked = 0
    for row in pq.read_table(out / "responses" / "base.parquet").to_pylist():
        if row["kind"] != "harmful" or row["prompt_id"] == "typed":
            continue
        turns = messages(row["prompt_id"])
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        answer = model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=[2], pad_token_id=1)
        text = tokenizer.decode(answer[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert text.split("\n\nHuman:")[0] == row["response"]
        whole = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": row["response"]}])["input_ids"]
        if not set(row["response"]) & set("<>|"):
            with torch.no_grad():
                own = judge(input_ids=torch.tensor([whole])).logits[0, 0].item()
            assert scores["base", row["prompt_id"], row["language"]]["reward"] == pytest.approx(own, abs=1e-4)
            checked += 1
    assert checked >= 4


def test_a_system_turn_reaches_the_judge_in_known_answers_and_in_tables(tmp_path: Path) -> None:
    """Rewards are the model's own, called on the template's tokens."""
    known = {"harmful": [{"source": "jsonl", "path": str(tmp_path / "known.jsonl")}]}
    judge = {"model": str(tmp_path / "reward"), "input": "chat_template"}
    path = small(
        tmp_path,
        chat.EOS,
        {"base": {"method": "none"}, "dpo": {"method": "none", "from": str(tmp_path / "model")}},
        data={},
        reward={"harmful": judge, "benign": judge, "known_answers": known},
    )
    prompt = [SYSTEM, {"role": "user", "content": "Why?"}]
    row = {"prompt_id": "k", "language": "en", "prompt": prompt, "good": "yes", "bad": "no"}
    write_rows(tmp_path / "known.jsonl", [row])
    responses = [
        {"arm": arm, "language": "en", "kind": "harmful", "prompt_id": "k", "prompt": prompt, "response": answer}
        for arm, answer in (("base", "yes"), ("dpo", "no"))
    ]
    write_rows(tmp_path / "responses.jsonl", responses)
    out = carried_out(path)
    score_file(tmp_path / "responses.jsonl", load_study(str(path)).study, tmp_path / "scored.parquet", Progress())

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "reward")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward")
    own = {}
    for answer in ("yes", "no"):
        ids = tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": answer}])["input_ids"]
        with torch.no_grad():
            own[answer] = model(input_ids=torch.tensor([ids])).logits[0, 0].item()
    (answers,) = pq.read_table(out / "known_answers.parquet").to_pylist()
    assert (answers["reward_good"], answers["reward_bad"]) == pytest.approx((own["yes"], own["no"]), abs=1e-4)
    scored = pq.read_table(tmp_path / "scored.parquet").to_pylist()
    assert {row["response"]: row["reward"] for row in scored} == pytest.approx(own, abs=1e-4)


def test_two_prompts_of_one_text_with_other_turns_are_not_scored(tmp_path: Path) -> None:
    path = small(tmp_path, chat.EOS, {"base": {"method": "none"}, "dpo": {"method": "dpo"}})
    key = {"arm": "base", "language": "en", "kind": "harmful", "response": "x"}
    prompt = [SYSTEM, {"role": "user", "content": "Why?"}]
    rows = [
        {**key, "prompt_id": "a", "prompt": prompt},
        {**key, "prompt_id": "b", "prompt": "Be brief.\n\nHuman: Why?\n\nAssistant:"},
    ]
    write_rows(tmp_path / "responses.jsonl", rows)
    with pytest.raises(BadInput, match="a and b .en. are the same text but different turns"):
        score_file(tmp_path / "responses.jsonl", load_study(str(path)).study, tmp_path / "s.parquet", Progress())


def test_what_is_learnt_in_a_format_is_there_when_asked_in_it(tmp_path: Path) -> None:
    """A model that learns one answer to everything gives it, ended by the end that it was taught."""
    sft = {"method": "sft", "learning_rate": 1e-2, "epochs": 40, "batch_size": 12}
    path = small(tmp_path, chat.CHATML, {"base": {"method": "none"}, "sft": sft, "dpo": {"method": "none"}})
    write_rows(
        tmp_path / "pairs.jsonl",
        [{"prompt": f"q{index} tell", "chosen": "yes", "rejected": "no", "language": "en"} for index in range(12)],
    )
    out = carried_out(path)
    rows = pq.read_table(out / "responses" / "sft.parquet").to_pylist()
    assert {(row["response"], row["finish"], row["tokens"]) for row in rows} == {("yes", "eos", 3)}
    saved = AutoModelForCausalLM.from_pretrained(out / "arms" / "sft")
    assert saved.generation_config.eos_token_id == [2, 261]


def test_a_reward_model_is_trained_by_the_template_that_it_scores_by(tmp_path: Path) -> None:
    judge = {"model": "trained", "input": "chat_template"}
    train = {"from": str(tmp_path / "model"), "learning_rate": 1e-2, "epochs": 20}
    path = small(
        tmp_path,
        chat.EOS,
        {"base": {"method": "none"}, "dpo": {"method": "dpo"}},
        reward={"harmful": judge, "benign": judge, "train": train},
    )
    write_rows(
        tmp_path / "pairs.jsonl",
        [{"prompt": f"q{index} tell", "chosen": "yes", "rejected": "no", "language": "en"} for index in range(12)],
    )
    out = carried_out(path)
    trained = AutoModelForSequenceClassification.from_pretrained(out / "reward_model")
    tokenizer = AutoTokenizer.from_pretrained(out / "reward_model")
    rewards = []
    for answer in ("yes", "no"):
        turns = [{"role": "user", "content": "q77 tell"}, {"role": "assistant", "content": answer}]
        with torch.no_grad():
            ids = torch.tensor([tokenizer.apply_chat_template(turns)["input_ids"]])
            rewards.append(trained(input_ids=ids).logits[0, 0].item())
    assert rewards[0] > rewards[1] + 1


TWICE = "\n\nHuman: a\n\nHuman: b\n\nAssistant:"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"chosen": f"{TWICE} yes", "rejected": f"{TWICE} no"}, "turns: user, user, assistant"),
        (
            {"prompt": [SYSTEM, {"role": "user", "content": "a"}], "chosen": "yes", "rejected": "no"},
            "turns: system, user",
        ),
    ],
)
def test_a_pair_that_the_template_refuses_stops_the_study_before_it_trains(
    tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    path = small(tmp_path, chat.ALTERNATE, {"base": {"method": "none"}, "dpo": {"method": "dpo"}})
    write_rows(tmp_path / "harmful.jsonl", [{"prompt_id": "1", "language": "en", "prompt": "Why?"}])
    write_rows(tmp_path / "pairs.jsonl", [{**row, "prompt_id": "p9", "language": "en"}])
    with pytest.raises(BadInput) as caught:
        carried_out(path)
    message = str(caught.value)
    assert f"{tmp_path}/model refuses the pair of prompt p9 (en)" in message and words in message
    assert "\n" not in message
    assert not (tmp_path / "out" / "arms").exists()


def test_loss_on_the_assistant_needs_a_chat_template(tmp_path: Path) -> None:
    path = write_small_study(
        tmp_path, arms={"base": {"method": "none"}, "dpo": {"method": "sft", "loss_on": "assistant"}}
    )
    with pytest.raises(BadInput, match=r"arms\.dpo\.loss_on: assistant goes with generation\.prompt_format: chat_temp"):
        load_study(str(path))


def test_two_conversations_of_one_text_are_refused(tmp_path: Path) -> None:
    """Rewards are looked up by text."""
    path = small(tmp_path, chat.EOS, {"base": {"method": "none"}, "dpo": {"method": "none"}}, data={})
    asked = [SYSTEM, {"role": "user", "content": "a"}]
    write_rows(tmp_path / "harmful.jsonl", [{"prompt_id": "1", "language": "en", "prompt": asked}])
    same = "Be brief.\n\nHuman: a\n\nAssistant:"
    write_rows(tmp_path / "benign.jsonl", [{"prompt_id": "2", "language": "en", "prompt": same}])
    with pytest.raises(BadInput, match=r"prompts: 1 and 2 \(en\) are the same text but different turns"):
        carried_out(path)


def test_the_tokenizers_of_this_file_fit_the_models() -> None:
    assert len(chat.byte_level()) == tiny.VOCABULARY
