"""Models of the transformers library, built from small configurations with random weights.

Nothing is downloaded. Each row names a model class, what its configuration says and what it is called
with; nothing here knows of captures.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import transformers
from torch import Tensor
from transformers.utils.output_capturing import maybe_install_capturing_hooks

VOCABULARY = 99
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
ENCODER_DECODER = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
}
GROUPED = {**SMALL, "num_key_value_heads": 2}
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
SPECIAL_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def tokens(length: int = 7, batch: int = 2) -> Tensor:
    """int64[batch, length] token ids, none of them special."""
    return torch.randint(3, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(1))


def images(size: int = 32, channels: int = 3, batch: int = 2) -> Tensor:
    """float32[batch, channels, size, size]."""
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(2))


def text() -> dict[str, Any]:
    return {"input_ids": tokens()}


def padded_text() -> dict[str, Any]:
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 5:] = 0
    return {"input_ids": tokens(), "attention_mask": mask}


def labelled_text() -> dict[str, Any]:
    return {"input_ids": tokens(), "labels": tokens()}


def source_and_target() -> dict[str, Any]:
    return {"input_ids": tokens(), "decoder_input_ids": tokens(5)}


def picture() -> dict[str, Any]:
    return {"pixel_values": images()}


def picture_and_text() -> dict[str, Any]:
    return {"input_ids": tokens(), "pixel_values": images(), "attention_mask": torch.ones(2, 7, dtype=torch.int64)}


def speech() -> dict[str, Any]:
    features = torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(3))
    return {"input_features": features, "decoder_input_ids": tokens(5)}


def waveform() -> dict[str, Any]:
    return {"input_values": torch.randn(2, 1000, generator=torch.Generator().manual_seed(4))}


@dataclass(frozen=True)
class Row:
    """One model: its class, its configuration's class and fields, and the keyword arguments of a call."""

    model: str
    configuration: str
    fields: dict[str, Any] = field(default_factory=dict)
    inputs: Callable[[], dict[str, Any]] = text


TABLE: dict[str, Row] = {
    # The ones that the project's issue names.
    "gpt2": Row(
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    ),
    "bert": Row("BertForMaskedLM", "BertConfig", SMALL, padded_text),
    "llama": Row("LlamaForCausalLM", "LlamaConfig", GROUPED),
    "qwen3": Row("Qwen3ForCausalLM", "Qwen3Config", {**GROUPED, "head_dim": 8}),
    "gemma3": Row("Gemma3ForCausalLM", "Gemma3TextConfig", {**GROUPED, "head_dim": 8, "sliding_window": 4}),
    "t5": Row(
        "T5ForConditionalGeneration",
        "T5Config",
        {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
        source_and_target,
    ),
    "vit": Row("ViTForImageClassification", "ViTConfig", VISION, picture),
    "whisper": Row(
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {
            **ENCODER_DECODER,
            **SPECIAL_TOKENS,
            "num_mel_bins": 16,
            "max_source_positions": 32,
            "max_target_positions": 32,
        }
        | {"decoder_start_token_id": 1, "suppress_tokens": None, "begin_suppress_tokens": None},
        speech,
    ),
    "clip": Row(
        "CLIPModel",
        "CLIPConfig",
        {"text_config": {**SMALL, **SPECIAL_TOKENS}, "vision_config": VISION, "projection_dim": 16},
        picture_and_text,
    ),
    # Decoders.
    "llama-padded": Row("LlamaForCausalLM", "LlamaConfig", GROUPED, padded_text),
    "llama-no-cache": Row("LlamaForCausalLM", "LlamaConfig", {**GROUPED, "use_cache": False}),
    "llama-eager-attention": Row("LlamaForCausalLM", "LlamaConfig", {**GROUPED, "attn_implementation": "eager"}),
    "gpt2-loss": Row(
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
        labelled_text,
    ),
    "mistral": Row("MistralForCausalLM", "MistralConfig", {**GROUPED, "sliding_window": 4}),
    "mixtral": Row("MixtralForCausalLM", "MixtralConfig", {**GROUPED, "num_local_experts": 4}),
    "qwen2": Row("Qwen2ForCausalLM", "Qwen2Config", GROUPED),
    "gemma": Row("GemmaForCausalLM", "GemmaConfig", {**GROUPED, "head_dim": 8}),
    "gemma2": Row("Gemma2ForCausalLM", "Gemma2Config", {**GROUPED, "head_dim": 8, "sliding_window": 4}),
    "phi": Row("PhiForCausalLM", "PhiConfig", SMALL),
    "phi3": Row("Phi3ForCausalLM", "Phi3Config", {**GROUPED, **SPECIAL_TOKENS}),
    "opt": Row(
        "OPTForCausalLM",
        "OPTConfig",
        {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32} | SPECIAL_TOKENS,
        padded_text,
    ),
    "gpt-neox": Row("GPTNeoXForCausalLM", "GPTNeoXConfig", SMALL),
    "gptj": Row(
        "GPTJForCausalLM",
        "GPTJConfig",
        {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4},
    ),
    "bloom": Row(
        "BloomForCausalLM",
        "BloomConfig",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4} | SPECIAL_TOKENS,
    ),
    "falcon": Row("FalconForCausalLM", "FalconConfig", {**SMALL, **SPECIAL_TOKENS, "num_kv_heads": 2}),
    "olmo2": Row("Olmo2ForCausalLM", "Olmo2Config", {**GROUPED, **SPECIAL_TOKENS}),
    "granite": Row("GraniteForCausalLM", "GraniteConfig", {**GROUPED, **SPECIAL_TOKENS}),
    "stablelm": Row("StableLmForCausalLM", "StableLmConfig", {**GROUPED, **SPECIAL_TOKENS}),
    "starcoder2": Row("Starcoder2ForCausalLM", "Starcoder2Config", {**GROUPED, **SPECIAL_TOKENS}),
    "cohere": Row("CohereForCausalLM", "CohereConfig", {**GROUPED, **SPECIAL_TOKENS}),
    # Encoders.
    "bert-classifier": Row("BertForSequenceClassification", "BertConfig", SMALL, text),
    "distilbert": Row(
        "DistilBertForMaskedLM",
        "DistilBertConfig",
        {"vocab_size": VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
        padded_text,
    ),
    "roberta": Row("RobertaForMaskedLM", "RobertaConfig", SMALL, padded_text),
    "electra": Row("ElectraForPreTraining", "ElectraConfig", {**SMALL, "embedding_size": 16}),
    "albert": Row("AlbertForMaskedLM", "AlbertConfig", {**SMALL, "embedding_size": 16}),
    "deberta-v2": Row("DebertaV2Model", "DebertaV2Config", {**SMALL, "relative_attention": True}),
    "mpnet": Row("MPNetModel", "MPNetConfig", SMALL),
    "modernbert": Row("ModernBertForMaskedLM", "ModernBertConfig", {**SMALL, **SPECIAL_TOKENS, "cls_token_id": 1}),
    # Encoder and decoder.
    "bart": Row("BartForConditionalGeneration", "BartConfig", ENCODER_DECODER, source_and_target),
    "pegasus": Row("PegasusForConditionalGeneration", "PegasusConfig", ENCODER_DECODER, source_and_target),
    "mbart": Row("MBartForConditionalGeneration", "MBartConfig", ENCODER_DECODER, source_and_target),
    # Pictures and sound.
    "deit": Row("DeiTForImageClassification", "DeiTConfig", VISION, picture),
    "swin": Row(
        "SwinForImageClassification",
        "SwinConfig",
        {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
        picture,
    ),
    "convnext": Row(
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2},
        picture,
    ),
    "dinov2": Row("Dinov2Model", "Dinov2Config", {**VISION, "mlp_ratio": 2}, picture),
    "segformer": Row(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 2]}
        | {"decoder_hidden_size": 16},
        picture,
    ),
    "resnet-hf": Row(
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
        picture,
    ),
    "regnet": Row(
        "RegNetForImageClassification",
        "RegNetConfig",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "groups_width": 8},
        picture,
    ),
    "mobilevit": Row(
        "MobileViTForImageClassification",
        "MobileViTConfig",
        {"image_size": 32, "hidden_sizes": [16, 16, 16], "neck_hidden_sizes": [8, 8, 8, 16, 16, 16, 32]},
        picture,
    ),
    "siglip": Row(
        "SiglipModel",
        "SiglipConfig",
        {"text_config": {**SMALL, **SPECIAL_TOKENS}, "vision_config": VISION},
        picture_and_text,
    ),
    "wav2vec2": Row(
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        {**SMALL, "conv_dim": (16, 16), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_feat_extract_layers": 2}
        | {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "mask_time_prob": 0.0},
        waveform,
    ),
}


HOOKED = ("segformer",)
"""Models that at their first call install hooks, behind a lock; here they are installed when it is built."""


def build(name: str) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
    """The model of this name in eval mode, with the arguments and keyword arguments of one call."""
    row = TABLE[name]
    configuration = getattr(transformers, row.configuration)(**row.fields)
    model = getattr(transformers, row.model)(configuration).eval()
    if name in HOOKED:
        maybe_install_capturing_hooks(model)
    return model, (), row.inputs()
