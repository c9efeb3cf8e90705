"""Greedy decoding with llama.cpp's library: several sequences at once, and a waiting prompt takes the place of one that
ends, as in llama.cpp's server."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np

from tarazu.bench.generate import GenerationWork
from tarazu.errors import BadInput

Prompts = Sequence[Sequence[int]]

_BATCH = 2048
"""Tokens that are given to the library at a time: its default."""


@llama_cpp.llama_log_callback
def _quiet(level: int, text: bytes, data: ctypes.c_void_p) -> None:
    """llama.cpp reports its progress to stderr."""


@dataclass
class _Row:
    """A sequence that is being decoded: the place of its prompt, the position of its next token, and its tokens."""

    index: int
    position: int
    tokens: list[int]


@dataclass(frozen=True, kw_only=True)
class _Decoder:
    """Decodes up to `size` prompts at once."""

    context: Any
    batch: Any
    words: int
    size: int
    work: GenerationWork

    def run(self, prompts: Prompts) -> list[list[int]]:
        """The new tokens of each prompt, including the end token if there is one."""
        memory = llama_cpp.llama_get_memory(self.context)
        waiting, free = deque(enumerate(prompts)), list(range(self.size))
        active: dict[int, _Row] = {}
        generated: list[list[int]] = [[] for _ in prompts]
        while waiting or active:
            self.batch.n_tokens = 0
            outputs = []  # places in the batch whose logits are needed, and their sequences
            for sequence, row in active.items():
                outputs.append((self._add(row.tokens[-1:], row.position, sequence), sequence))
                row.position += 1
            while free and waiting and self.batch.n_tokens + len(waiting[0][1]) <= _BATCH:
                index, prompt = waiting.popleft()
                sequence = free.pop()
                active[sequence] = _Row(index, len(prompt), generated[index])
                outputs.append((self._add(prompt, 0, sequence), sequence))
            status = llama_cpp.llama_decode(self.context, self.batch)
            if status:
                raise RuntimeError(f"llama_decode returns {status}")
            for place, sequence in outputs:
                logits = llama_cpp.llama_get_logits_ith(self.context, place)
                tokens = active[sequence].tokens
                tokens.append(int(np.ctypeslib.as_array(logits, (self.words,)).argmax()))
                if len(tokens) == self.work.new_tokens or tokens[-1] in self.work.ends:
                    del active[sequence]
                    free.append(sequence)
                    llama_cpp.llama_memory_seq_rm(memory, sequence, -1, -1)
        return generated

    def _add(self, tokens: Sequence[int], position: int, sequence: int) -> int:
        """Add tokens of a sequence to the batch, with logits for the last. Returns its place."""
        place = self.batch.n_tokens
        for offset, token in enumerate(tokens):
            self.batch.token[place] = token
            self.batch.pos[place] = position + offset
            self.batch.n_seq_id[place] = 1
            self.batch.seq_id[place][0] = sequence
            self.batch.logits[place] = offset == len(tokens) - 1
            place += 1
        self.batch.n_tokens = place
        return place - 1


@contextmanager
def open_decoder(work: GenerationWork, longest: int, size: int) -> Iterator[Callable[[Prompts], list[list[int]]]]:
    """Decodes up to `size` prompts at once, each with a cache of `longest` tokens. Raises BadInput for a file that this
    version of llama.cpp cannot load."""
    import torch

    llama_cpp.llama_log_set(_quiet, ctypes.c_void_p())
    llama_cpp.llama_backend_init()
    with ExitStack() as stack:
        loading = llama_cpp.llama_model_default_params()
        loading.use_extra_bufts = work.repack
        model = llama_cpp.llama_model_load_from_file(work.file.encode(), loading)
        if not model:
            raise BadInput(f"{work.file}: llama.cpp cannot load it")
        stack.callback(llama_cpp.llama_model_free, model)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max, settings.n_batch = size * longest, size, _BATCH
        settings.kv_unified = True  # as in llama.cpp's server; in float32, one cache per sequence is slower
        settings.n_threads = settings.n_threads_batch = torch.get_num_threads()
        if work.float32:
            settings.type_k = settings.type_v = llama_cpp.GGML_TYPE_F32
        context = llama_cpp.llama_init_from_model(model, settings)
        if not context:
            raise BadInput(f"{work.file}: llama.cpp cannot decode {size} sequences of {longest} tokens at once")
        stack.callback(llama_cpp.llama_free, context)
        batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)
        stack.callback(llama_cpp.llama_batch_free, batch)
        words = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        yield _Decoder(context=context, batch=batch, words=words, size=size, work=work).run
