"""Models in plain torch: its layers one by one, its transformer and recurrent networks, a residual network.

Nothing here knows of captures, and every model is small enough to run in a few milliseconds.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Arguments = tuple[Any, ...]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, as in He et al., "Deep residual learning" (2015)."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if stride != 1 or channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.shortcut is None else self.shortcut(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += residual
        return self.relu(out)


class ResNet(nn.Module):
    """A residual network with the layout of ResNet-18 and an eighth of its channels."""

    def __init__(self, depths: tuple[int, ...] = (2, 2, 2, 2), channels: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.ModuleList()
        width = channels
        for index, depth in enumerate(depths):
            blocks: list[nn.Module] = []
            for position in range(depth):
                stride = 2 if position == 0 and index > 0 else 1
                blocks.append(ResidualBlock(width, channels * 2**index, stride))
                width = channels * 2**index
            self.stages.append(nn.Sequential(*blocks))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        x = F.adaptive_avg_pool2d(x, 1)
        return self.head(torch.flatten(x, 1))


class Mlp(nn.Module):
    """Two linear layers with an activation chosen by name, dropout between them."""

    def __init__(self, width: int = 16, hidden: int = 32, activation: str = "gelu") -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(0.1)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(self.dropout(getattr(F, self.activation)(self.fc1(x))))


class Tagger(nn.Module):
    """An embedding, a two-layer bidirectional LSTM and a classifier per token."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(ids))
        return F.log_softmax(self.head(states), dim=-1)


class Unrolled(nn.Module):
    """A GRU cell called in a Python loop over time, its states kept in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(8, 8)

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        state = sequence.new_zeros(sequence.shape[1], 8)
        states = []
        for step in sequence:
            state = self.cell(step, state)
            states.append(state)
        return torch.stack(states), state


class Routed(nn.Module):
    """Children in a ModuleDict, a ParameterList and a ParameterDict, chosen by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({"small": nn.Linear(8, 8), "large": Mlp(8, 16)})
        self.scales = nn.ParameterList([torch.full((8,), float(index)) for index in range(3)])
        self.shifts = nn.ParameterDict({"small": torch.zeros(8), "large": torch.ones(8)})
        self.register_buffer("mean", torch.arange(8.0))

    def forward(self, x: Tensor, *, branch: str = "small") -> dict[str, Tensor]:
        out = self.branches[branch](x - self.mean) + self.shifts[branch]
        for scale in self.scales:
            out = out * scale
        return {"out": out, "norm": out.norm(dim=-1, keepdim=True)}


def normal(*shape: int) -> Tensor:
    """float32 of this shape from the standard normal distribution."""
    return torch.randn(*shape)


def source_and_target() -> Arguments:
    return normal(2, 6, 16), normal(2, 5, 16)


def self_attention() -> Arguments:
    x = normal(2, 6, 16)
    return x, x, x


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Arguments]]] = {
    "resnet": (ResNet, lambda: (normal(2, 3, 32, 32),)),
    "mlp": (Mlp, lambda: (normal(4, 16),)),
    "lstm-tagger": (Tagger, lambda: (torch.randint(0, 50, (3, 7)),)),
    "gru-unrolled": (Unrolled, lambda: (normal(5, 2, 8),)),
    "routed": (Routed, lambda: (normal(3, 8),)),
    "torch-transformer": (
        lambda: nn.Transformer(16, 2, 2, 2, 32, batch_first=True),
        source_and_target,
    ),
    "torch-transformer-norm-first": (
        lambda: nn.Transformer(16, 2, 1, 1, 32, batch_first=True, norm_first=True, activation="gelu"),
        source_and_target,
    ),
    "transformer-encoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), 2, enable_nested_tensor=False),
        lambda: (normal(6, 2, 16),),
    ),
    "transformer-decoder-layer": (
        lambda: nn.TransformerDecoderLayer(16, 2, 32, batch_first=True),
        source_and_target,
    ),
    "multihead-attention": (lambda: nn.MultiheadAttention(16, 2, batch_first=True), self_attention),
    "lstm": (lambda: nn.LSTM(8, 4, num_layers=2), lambda: (normal(5, 2, 8),)),
    "gru": (lambda: nn.GRU(8, 4, bidirectional=True, batch_first=True), lambda: (normal(2, 5, 8),)),
    "rnn": (lambda: nn.RNN(8, 4, nonlinearity="relu"), lambda: (normal(5, 2, 8),)),
}

ACTIVATIONS = (
    "ELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 RReLU SELU CELU GELU "
    "Sigmoid SiLU Softplus Softshrink Softsign Tanh Tanhshrink Identity Dropout AlphaDropout FeatureAlphaDropout"
).split()

LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Arguments]]] = {
    **{name: (getattr(nn, name), lambda: (normal(4, 6),)) for name in ACTIVATIONS},
    "GLU": (nn.GLU, lambda: (normal(4, 6),)),
    "Threshold": (lambda: nn.Threshold(0.1, 20.0), lambda: (normal(4, 6),)),
    "Softmin": (lambda: nn.Softmin(dim=1), lambda: (normal(4, 6),)),
    "Softmax": (lambda: nn.Softmax(dim=-1), lambda: (normal(4, 6),)),
    "Softmax2d": (nn.Softmax2d, lambda: (normal(2, 3, 4, 4),)),
    "LogSoftmax": (lambda: nn.LogSoftmax(dim=1), lambda: (normal(4, 6),)),
    "Linear": (lambda: nn.Linear(6, 3), lambda: (normal(4, 6),)),
    "Bilinear": (lambda: nn.Bilinear(6, 5, 3), lambda: (normal(4, 6), normal(4, 5))),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1, groups=2), lambda: (normal(2, 4, 8),)),
    "Conv2d": (lambda: nn.Conv2d(3, 6, 3, stride=2, padding="valid"), lambda: (normal(2, 3, 9, 9),)),
    "Conv2d-reflect": (lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"), lambda: (normal(2, 3, 8, 8),)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2, dilation=1), lambda: (normal(1, 2, 4, 4, 4),)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 2, 3, stride=2), lambda: (normal(2, 4, 5),)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 2, 3, output_padding=0), lambda: (normal(2, 3, 5, 5),)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 2, 2), lambda: (normal(1, 2, 3, 3, 3),)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), lambda: (normal(2, 4, 8),)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, return_indices=True), lambda: (normal(2, 3, 8, 8),)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), lambda: (normal(1, 2, 4, 4, 4),)),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), lambda: (normal(2, 4, 8),)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, stride=1, padding=1), lambda: (normal(2, 3, 8, 8),)),
    "AvgPool3d": (lambda: nn.AvgPool3d(2), lambda: (normal(1, 2, 4, 4, 4),)),
    "LPPool1d": (lambda: nn.LPPool1d(2, 3), lambda: (normal(2, 4, 9),)),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), lambda: (normal(2, 3, 8, 8),)),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), lambda: (normal(2, 4, 8),)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, None)), lambda: (normal(2, 3, 8, 8),)),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(3), lambda: (normal(2, 4, 8),)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(2), lambda: (normal(2, 3, 8, 8),)),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(2), lambda: (normal(1, 2, 4, 4, 4),)),
    "FractionalMaxPool2d": (lambda: nn.FractionalMaxPool2d(2, output_size=3), lambda: (normal(2, 3, 8, 8),)),
    "ReflectionPad1d": (lambda: nn.ReflectionPad1d(2), lambda: (normal(2, 4, 8),)),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), lambda: (normal(2, 3, 4, 4),)),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d(1), lambda: (normal(2, 3, 4, 4),)),
    "ReplicationPad3d": (lambda: nn.ReplicationPad3d(1), lambda: (normal(1, 2, 3, 3, 3),)),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, 2, 0, 1)), lambda: (normal(2, 3, 4, 4),)),
    "ConstantPad1d": (lambda: nn.ConstantPad1d(1, 3.5), lambda: (normal(2, 4, 8),)),
    "CircularPad2d": (lambda: nn.CircularPad2d(1), lambda: (normal(2, 3, 4, 4),)),
    "MaxUnpool1d": (lambda: nn.MaxUnpool1d(2), lambda: (normal(1, 2, 3), torch.tensor([[[0, 2, 5], [1, 3, 4]]]))),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(2), lambda: (normal(1, 2, 3, 3, 3),)),
    "Dropout2d": (nn.Dropout2d, lambda: (normal(2, 3, 4, 4),)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), lambda: (normal(4, 6),)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, affine=False), lambda: (normal(2, 3, 4, 4),)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(2, track_running_stats=False), lambda: (normal(2, 2, 3, 3, 3),)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(4), lambda: (normal(2, 4, 8),)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3, affine=True), lambda: (normal(2, 3, 4, 4),)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), lambda: (normal(2, 4, 8),)),
    "LayerNorm": (lambda: nn.LayerNorm([4, 8]), lambda: (normal(2, 4, 8),)),
    "RMSNorm": (lambda: nn.RMSNorm(8), lambda: (normal(2, 4, 8),)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), lambda: (normal(2, 4, 5, 5),)),
    "CrossMapLRN2d": (lambda: nn.CrossMapLRN2d(2), lambda: (normal(2, 4, 5, 5),)),
    "Embedding": (lambda: nn.Embedding(9, 4, padding_idx=0), lambda: (torch.randint(0, 9, (2, 5)),)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(9, 4, mode="sum"), lambda: (torch.randint(0, 9, (2, 5)),)),
    "Flatten": (lambda: nn.Flatten(1, -1), lambda: (normal(2, 3, 4),)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), lambda: (normal(2, 6),)),
    "Fold": (lambda: nn.Fold((4, 4), 2, stride=2), lambda: (normal(1, 12, 4),)),
    "Unfold": (lambda: nn.Unfold(2, stride=2), lambda: (normal(1, 3, 4, 4),)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), lambda: (normal(1, 8, 3, 3),)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), lambda: (normal(1, 2, 4, 4),)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), lambda: (normal(1, 4, 3, 3),)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), lambda: (normal(1, 2, 4, 4),)),
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(size=(5, 7)), lambda: (normal(1, 2, 4, 4),)),
    "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), lambda: (normal(1, 2, 4, 4),)),
    "CosineSimilarity": (nn.CosineSimilarity, lambda: (normal(4, 6), normal(4, 6))),
    "PairwiseDistance": (nn.PairwiseDistance, lambda: (normal(4, 6), normal(4, 6))),
    "RNNCell": (lambda: nn.RNNCell(6, 3), lambda: (normal(4, 6),)),
    "LSTMCell": (lambda: nn.LSTMCell(6, 3), lambda: (normal(4, 6),)),
    "GRUCell": (lambda: nn.GRUCell(6, 3), lambda: (normal(4, 6), normal(4, 3))),
    "Sequential": (lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), lambda: (normal(4, 6),)),
    "L1Loss": (nn.L1Loss, lambda: (normal(4, 6), normal(4, 6))),
    "MSELoss": (lambda: nn.MSELoss(reduction="sum"), lambda: (normal(4, 6), normal(4, 6))),
    "SmoothL1Loss": (nn.SmoothL1Loss, lambda: (normal(4, 6), normal(4, 6))),
    "HuberLoss": (nn.HuberLoss, lambda: (normal(4, 6), normal(4, 6))),
    "CrossEntropyLoss": (
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda: (normal(4, 6), torch.randint(0, 6, (4,))),
    ),
    "NLLLoss": (nn.NLLLoss, lambda: (normal(4, 6).log_softmax(-1), torch.randint(0, 6, (4,)))),
    "BCELoss": (nn.BCELoss, lambda: (torch.rand(4, 6), torch.rand(4, 6))),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, lambda: (normal(4, 6), torch.rand(4, 6))),
    "KLDivLoss": (
        lambda: nn.KLDivLoss(reduction="batchmean"),
        lambda: (normal(4, 6).log_softmax(-1), torch.rand(4, 6)),
    ),
    "PoissonNLLLoss": (nn.PoissonNLLLoss, lambda: (normal(4, 6), torch.rand(4, 6))),
    "GaussianNLLLoss": (nn.GaussianNLLLoss, lambda: (normal(4, 6), normal(4, 6), torch.rand(4, 6))),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss, lambda: (normal(4, 6), torch.randint(0, 2, (4, 6)) * 2 - 1)),
    "SoftMarginLoss": (nn.SoftMarginLoss, lambda: (normal(4, 6), torch.randint(0, 2, (4, 6)) * 2 - 1)),
    "MarginRankingLoss": (nn.MarginRankingLoss, lambda: (normal(4), normal(4), torch.ones(4))),
    "MultiLabelMarginLoss": (nn.MultiLabelMarginLoss, lambda: (normal(2, 4), torch.tensor([[3, 0, -1, 1]] * 2))),
    "MultiLabelSoftMarginLoss": (nn.MultiLabelSoftMarginLoss, lambda: (normal(2, 4), torch.ones(2, 4))),
    "MultiMarginLoss": (nn.MultiMarginLoss, lambda: (normal(4, 6), torch.randint(0, 6, (4,)))),
    "CosineEmbeddingLoss": (nn.CosineEmbeddingLoss, lambda: (normal(4, 6), normal(4, 6), torch.ones(4))),
    "TripletMarginLoss": (nn.TripletMarginLoss, lambda: (normal(4, 6), normal(4, 6), normal(4, 6))),
    "TripletMarginWithDistanceLoss": (
        nn.TripletMarginWithDistanceLoss,
        lambda: (normal(4, 6), normal(4, 6), normal(4, 6)),
    ),
    "CTCLoss": (
        nn.CTCLoss,
        lambda: (normal(12, 2, 5).log_softmax(2), torch.randint(1, 5, (2, 4)), (12, 12), (4, 4)),
    ),
    "AdaptiveLogSoftmaxWithLoss": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[5, 10]),
        lambda: (normal(6, 8), torch.randint(0, 20, (6,))),
    ),
}

TABLE = MODELS | LAYERS


def build(name: str) -> tuple[nn.Module, Arguments, dict[str, Any]]:
    """The model of this name in eval mode, with the arguments and keyword arguments of one call."""
    make, arguments = TABLE[name]
    return make().eval(), arguments(), {}
