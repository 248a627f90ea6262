"""ValleyConfig: vision tower, language model, temporal pooling, projector, and every special token's id."""

from typing import Any, ClassVar, no_type_check

from transformers import AutoConfig
from transformers.configuration_utils import PreTrainedConfig

from .remote_code import CONFIG_AUTO_MAP, copy_code

PROJECTOR_TYPES = ("linear", "mlp2x_gelu")
PIXEL_DTYPES = (None, "float16", "bfloat16")


# transformers turns the class into a dataclass whose __init__ takes more than its signature says.
@no_type_check
class ValleyConfig(PreTrainedConfig):
    """What a Valley model is made of.

    A clip of T frames with P patches each takes ``<im_start>`` pooled patch tokens ``<im_end> <vi_start>``
    T frame tokens ``<vi_end>`` in the prompt; an image is a clip of one frame.

    Attributes:
        vision_config: config of any Hugging Face vision tower with `image_size` and `patch_size`.
        text_config: config of any Hugging Face causal language model.
        temporal_pooling: name in `temporal_pooling.TEMPORAL_POOLINGS`.
        temporal_pooling_config: options of that pooling, such as ``{"frames_per_chunk": 4}``.
        num_frames: how many frames of a clip are shown unless the caller says otherwise.
        projector_type: "linear" (as in 2023) or "mlp2x_gelu" (two layers with an activation between).
        projector_hidden_act: activation of the two-layer projector.
        projector_bias: whether the projector's layers have a bias.
        vision_feature_layer: index into the tower's hidden states (0 is the embedding, -1 the last layer).
        num_prefix_tokens: tokens before the patches in the tower's output; the first is the class token,
            which becomes the frame token, the others (registers) are dropped. 0: the frame token is the mean
            of the patches.
        lm_head_bias: whether the language model's head has a bias.
        im_start_token_id: opens the pooled patch tokens.
        im_patch_token_id: stands for one pooled patch token.
        im_end_token_id: closes them.
        vi_start_token_id: opens the frame tokens.
        vi_frame_token_id: stands for one frame token.
        vi_end_token_id: closes them.
        pixel_dtype: such as "float16": pixels are rounded to it before the tower, as in 2023; None: not so.
        legacy: reproduce the quirks of the published code, see docs/parity.md; only converted checkpoints.
    """

    model_type = "valley"
    sub_configs: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleMethodOverride]
        "vision_config": AutoConfig,
        "text_config": AutoConfig,
    }
    attribute_map: ClassVar[dict[str, str]] = {"image_token_id": "im_patch_token_id"}

    vision_config: Any = None  # a dict becomes the config it describes
    text_config: Any = None
    temporal_pooling: str = "mean"
    temporal_pooling_config: Any = None  # a dict; None is empty
    num_frames: int = 8
    projector_type: str = "linear"
    projector_hidden_act: str = "gelu"
    projector_bias: bool = True
    vision_feature_layer: int = -2
    num_prefix_tokens: int = 1
    lm_head_bias: bool = False
    im_start_token_id: int | None = None
    im_patch_token_id: int | None = None
    im_end_token_id: int | None = None
    vi_start_token_id: int | None = None
    vi_frame_token_id: int | None = None
    vi_end_token_id: int | None = None
    tie_word_embeddings: bool = False
    pixel_dtype: str | None = None
    legacy: bool = False

    def __post_init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Turn the parts' settings into config objects and refuse what does not fit.

        Raises:
            ValueError: an unknown projector, a sub-config without `model_type`, or fewer than one frame.
        """
        self.vision_config = _part(self.vision_config, name="vision_config", default="clip_vision_model")
        self.text_config = _part(self.text_config, name="text_config", default="llama")
        self.temporal_pooling_config = dict(self.temporal_pooling_config or {})
        # The head of a tied language model is tied here too, whatever the composite config was told.
        self.tie_word_embeddings = bool(self.tie_word_embeddings or self.text_config.tie_word_embeddings)
        if self.projector_type not in PROJECTOR_TYPES:
            raise ValueError(f"projector_type: want one of {PROJECTOR_TYPES}, got {self.projector_type!r}")
        if self.pixel_dtype not in PIXEL_DTYPES:
            raise ValueError(f"pixel_dtype: want one of {PIXEL_DTYPES}, got {self.pixel_dtype!r}")
        if self.num_frames < 1:
            raise ValueError(f"num_frames: want at least 1, got {self.num_frames}")
        super().__post_init__(**kwargs)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> None:  # noqa: ANN401, FBT001, FBT002
        """Save config.json, and beside it the code that it describes."""
        self.auto_map = dict(CONFIG_AUTO_MAP)
        super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)
        copy_code(save_directory, "modeling_valley")

    @property
    def num_patches(self) -> int:
        """Patches of one frame, from the tower's picture and patch size."""
        height_px, width_px = _pair(self.vision_config.image_size)
        patch_height_px, patch_width_px = _pair(self.vision_config.patch_size)
        return (height_px // patch_height_px) * (width_px // patch_width_px)

    @property
    def placeholder_token_ids(self) -> tuple[int, ...]:
        """The ids that stand for visual tokens; all others are words and markers."""
        return tuple(
            i for i in dict.fromkeys((self.im_patch_token_id, self.vi_frame_token_id)) if i is not None
        )


def _part(settings: Any, *, name: str, default: str) -> PreTrainedConfig:  # noqa: ANN401
    if isinstance(settings, PreTrainedConfig):
        return settings
    if settings is None:
        return AutoConfig.for_model(default)
    if "model_type" not in settings:
        raise ValueError(f"{name}: want a 'model_type' that says which model it describes, got {settings}")
    return AutoConfig.for_model(**settings)


def _pair(size: Any) -> tuple[int, int]:  # noqa: ANN401
    return (size, size) if isinstance(size, int) else (size[0], size[1])


__all__ = ["PROJECTOR_TYPES", "ValleyConfig"]
