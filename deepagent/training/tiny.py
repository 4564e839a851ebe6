"""A tiny model from nothing: small enough to be trained on two cores in minutes, and to be used by tests.

It knows no language beyond the texts that it is given, so it shows that training works, not how well.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CONTROL = ("<|pad|>", "<|im_start|>", "<|im_end|>")
_PHRASES = (
    '<tool_call>{"name": "',
    '", "arguments": {"',
    '": "',
    '"}}</tool_call>',
    "<tool_call_result>\n",
    "\n</tool_call_result>\n",
    "<answer>",
    "</answer>",
)
"""How calls, results and answers are spelled. As one token each, as models that are made for tools have them, they are
not what a tiny model spends its time on."""


def make_tiny(
    folder: Path,
    texts: Iterable[str],
    *,
    vocabulary: int = 1024,
    hidden: int = 128,
    layers: int = 4,
    context: int = 1024,
    seed: int = 0,
) -> None:
    """Write a Llama with random weights and a byte-level BPE tokenizer made from the texts, for transformers to read.

    Args:
        folder: where to; is created.
        texts: what the tokenizer is made from. Digits are kept apart, so that numbers can be copied.
        vocabulary: tokens, control tokens included; fewer where the texts hold fewer.
        hidden: width of the network; attention has heads of 32.
        layers: its depth.
        context: its window in tokens.
        seed: of the weights.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(_PHRASES),
        special_tokens=list(_CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in _PHRASES])
    padding, _, end = _CONTROL
    fast: Any = PreTrainedTokenizerFast
    wrapped = fast(tokenizer_object=tokenizer, pad_token=padding, eos_token=end, clean_up_tokenization_spaces=False)
    wrapped.chat_template = _CHATML
    config = LlamaConfig(
        vocab_size=len(wrapped),
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=hidden**-0.5,  # the usual 0.02 suits wide networks; here, attention would hear nothing
        pad_token_id=wrapped.pad_token_id,
        eos_token_id=wrapped.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
        _begin_with_copying(network)
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    wrapped.save_pretrained(folder)


def _begin_with_copying(network: Any) -> None:
    """Let attention begin with looking for what is alike, and with passing it on as it is.

    Tool use is copying: arguments from the task, answers from results. From weights that are random throughout, a
    small network is slow to find out how to copy at all (docs/training.md). After the mimetic initialisation of
    Trockman and Kolter (2023), with the opposite sign for value and output, and without its noise.
    """
    import torch

    size = 0.7
    with torch.no_grad():
        for layer in network.model.layers:
            attention = layer.self_attn
            seen = torch.nn.init.orthogonal_(attention.q_proj.weight)
            attention.k_proj.weight.copy_(seen.mul_(size))
            passed = torch.nn.init.orthogonal_(attention.v_proj.weight).mul_(size)
            attention.o_proj.weight.copy_(passed.T)
