"""Rubric judges: a chat model labels responses by the study's rubric, in strict JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tarazu.conversation.formats import Conversation
from tarazu.data.rows import Turn
from tarazu.errors import BadInput
from tarazu.judge.chat import Answer, Chat
from tarazu.judge.judgement import Cache, Judgement, Row, key_of
from tarazu.progress import OnProgress
from tarazu.readers import parse_json
from tarazu.respond.reasoning import split_reasoning
from tarazu.study.rubric import INSTRUCTIONS, REPAIR, Rubric

CANNOT_TELL = "the judge cannot tell"
UNUSABLE = "the judge's answer is not the JSON object that was requested"

_LONGEST_REASON = 300  # characters


class RubricJudge:
    """Labels responses by a rubric. A text that was judged before is not judged again."""

    def __init__(self, chat: Chat, settings: Rubric, *, cache: Cache) -> None:
        self.chat, self.settings, self.cache = chat, settings, cache

    def judge(self, rows: Sequence[Row], progress: OnProgress) -> list[Judgement]:
        known = self.cache.known()
        missing = [row for row in rows if key_of(row) not in known]
        finished = len(rows) - len(missing)
        for start in range(0, len(missing), self.chat.batch):
            group = missing[start : start + self.chat.batch]
            judgements = self._judged(group)
            self.cache.write(group, judgements)
            known |= dict(zip(map(key_of, group), judgements, strict=True))
            finished += len(group)
            progress(finished, len(rows), "judgements")
        return [known[key_of(row)] for row in rows]

    def _judged(self, rows: Sequence[Row]) -> list[Judgement]:
        requests = [messages_of(row, self.settings) for row in rows]
        answers = self.chat.answers(requests)
        judgements = [_judgement(answer) for answer in answers]
        broken = [place for place, one in enumerate(judgements) if one is None]
        repairs = [
            [*requests[place], Turn("assistant", answers[place].text or ""), Turn("user", REPAIR)] for place in broken
        ]
        for place, answer in zip(broken, self.chat.answers(repairs) if repairs else [], strict=True):
            tokens = (answers[place].tokens[0] + answer.tokens[0], answers[place].tokens[1] + answer.tokens[1])
            both = Answer(text=answer.text, tokens=tokens, reason=answer.reason)
            judgements[place] = _judgement(both) or Judgement(reason=UNUSABLE, tokens=tokens)
        return [one for one in judgements if one is not None]


def messages_of(row: Row, settings: Rubric) -> list[Turn]:
    """The request for a row. Prompt and response are JSON texts, so that neither can end itself."""
    prompt = row[0].request if isinstance(row[0], Conversation) else row[0]
    texts = json.dumps({"prompt": prompt, "response": row[1]}, ensure_ascii=False, indent=2)
    return [Turn("system", INSTRUCTIONS + settings.rubric.strip()), Turn("user", texts)]


def _judgement(answer: Answer) -> Judgement | None:
    """What an answer says; None if it cannot be read."""
    if answer.text is None:
        return Judgement(reason=answer.reason, tokens=answer.tokens)
    try:
        content: Any = parse_json(split_reasoning(answer.text).answer, "the judge's answer")
    except BadInput:
        return None
    if not isinstance(content, dict) or "label" not in content or content.keys() - {"label", "reason"}:
        return None
    label, reason = content["label"], content.get("reason")
    if not (label is None or (type(label) is int and label in (0, 1))) or not isinstance(reason, str | None):
        return None
    words = " ".join((reason or "").split())[:_LONGEST_REASON] or None
    if label is None:
        words = f"{CANNOT_TELL}: {words}" if words else CANNOT_TELL
    return Judgement(label=label, reason=words, tokens=answer.tokens)
