"""Programs of torchmetrics: its functions on probabilities, targets, images and signals, and its metrics with state."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
import torchmetrics
from torchmetrics import functional
from torchmetrics.functional import audio, classification, image, regression, retrieval

from benchmarks.zoo.program import Build, calling, calling_new

CLASSIFICATION: Final = (
    *("accuracy", "auroc", "average_precision", "calibration_error", "cohen_kappa", "confusion_matrix", "f1_score"),
    *("hamming_distance", "hinge_loss", "jaccard_index", "matthews_corrcoef", "precision", "recall", "specificity"),
    *("stat_scores", "roc", "precision_recall_curve", "negative_predictive_value"),
)
REGRESSION: Final = (
    *("mean_absolute_error", "mean_squared_error", "mean_squared_log_error", "mean_absolute_percentage_error"),
    *("symmetric_mean_absolute_percentage_error", "weighted_mean_absolute_percentage_error", "explained_variance"),
    *("r2_score", "pearson_corrcoef", "spearman_corrcoef", "concordance_corrcoef", "kendall_rank_corrcoef"),
    *("log_cosh_error", "tweedie_deviance_score", "relative_squared_error"),
)
IMAGES: Final = (
    *("structural_similarity_index_measure", "universal_image_quality_index", "spectral_angle_mapper"),
    *("error_relative_global_dimensionless_synthesis", "relative_average_spectral_error"),
    *("root_mean_squared_error_using_sliding_window", "spatial_correlation_coefficient"),
)
SIGNALS: Final = (
    *("signal_noise_ratio", "scale_invariant_signal_noise_ratio", "scale_invariant_signal_distortion_ratio"),
    *("signal_distortion_ratio", "source_aggregated_signal_distortion_ratio"),
)
RETRIEVAL: Final = (
    *("average_precision", "fall_out", "hit_rate", "normalized_dcg", "precision", "recall", "reciprocal_rank"),
    "r_precision",
)


def programs() -> Iterator[tuple[str, Build]]:
    torch.manual_seed(0)
    likely, truth = torch.rand(16), torch.randint(0, 2, (16,))
    classes, labels = torch.randn(16, 4).softmax(-1), torch.randint(0, 4, (16,))
    several, marks = torch.rand(16, 3), torch.randint(0, 2, (16, 3))
    for name in CLASSIFICATION:
        for kind, args, kwargs in (
            ("binary", (likely, truth), {}),
            ("multiclass", (classes, labels), {"num_classes": 4}),
            ("multilabel", (several, marks), {"num_labels": 3}),
        ):
            if (function := getattr(classification, f"{kind}_{name}", None)) is not None:
                yield f"{kind}_{name}", calling(function, *args, **kwargs)
                if kind == "multiclass":
                    unchecked = kwargs | {"validate_args": False}
                    yield f"{kind}_{name}, unchecked", calling(function, *args, **unchecked)
    one, other = torch.rand(16), torch.rand(16)
    for name in REGRESSION:
        yield name, calling(getattr(functional, name, None) or getattr(regression, name), one, other)
    yield "minkowski_distance", calling(functional.minkowski_distance, one, other, p=3)
    for name in ("cosine_similarity", "kl_divergence"):
        yield name, calling(getattr(functional, name), classes, classes.flip(0))
    yield from _images_and_signals()
    for name in RETRIEVAL:
        yield f"retrieval_{name}", calling(getattr(retrieval, f"retrieval_{name}"), likely, truth)
    for name, (constructor, args) in _metrics(likely, truth, classes, labels, one, other).items():
        yield f"{name}: update, compute", calling_new(constructor, *args, use=_update_and_compute)
        yield f"{name}: forward", calling_new(constructor, *args)


def _images_and_signals() -> Iterator[tuple[str, Build]]:
    picture, target = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    for name in IMAGES:
        yield name, calling(getattr(image, name), picture, target)
    yield "peak_signal_noise_ratio", calling(image.peak_signal_noise_ratio, picture, target, data_range=1.0)
    for name in ("total_variation", "image_gradients"):
        yield name, calling(getattr(image, name), picture)
    for name in SIGNALS:
        yield name, calling(getattr(audio, name), torch.randn(2, 800), torch.randn(2, 800))


def _metrics(
    likely: torch.Tensor,
    truth: torch.Tensor,
    classes: torch.Tensor,
    labels: torch.Tensor,
    one: torch.Tensor,
    other: torch.Tensor,
) -> dict[str, tuple[Callable[[], Any], tuple[torch.Tensor, ...]]]:
    multiclass = {"task": "multiclass", "num_classes": 4}
    both = (torchmetrics.MeanSquaredError, torchmetrics.MeanAbsoluteError)
    return {
        "Accuracy": (lambda: torchmetrics.Accuracy(**multiclass), (classes, labels)),
        "ConfusionMatrix": (lambda: torchmetrics.ConfusionMatrix(**multiclass), (classes, labels)),
        "F1Score": (lambda: torchmetrics.F1Score(task="binary"), (likely, truth)),
        "AUROC": (lambda: torchmetrics.AUROC(task="binary"), (likely, truth)),
        "MeanSquaredError": (torchmetrics.MeanSquaredError, (one, other)),
        "R2Score": (torchmetrics.R2Score, (one, other)),
        "PearsonCorrCoef": (torchmetrics.PearsonCorrCoef, (one, other)),
        "MeanMetric": (torchmetrics.MeanMetric, (one,)),
        "MaxMetric": (torchmetrics.MaxMetric, (one,)),
        "CatMetric": (torchmetrics.CatMetric, (one,)),
        "MetricCollection": (lambda: torchmetrics.MetricCollection([each() for each in both]), (one, other)),
    }


def _update_and_compute(metric: Any, *args: Any) -> Any:
    metric.update(*args)
    return metric.compute()
