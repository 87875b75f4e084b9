"""Programs of kornia: colours, filters, geometry, enhancement, losses, morphology, features and augmentation."""

from collections.abc import Iterator
from typing import Any, Final

import torch
from kornia import augmentation, color, enhance, feature, filters, geometry, losses, metrics, morphology

from benchmarks.zoo.program import Build, calling, calling_new

COLORS: Final = (
    *("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb", "rgb_to_hls", "hls_to_rgb", "rgb_to_lab", "lab_to_rgb"),
    *("rgb_to_luv", "luv_to_rgb", "rgb_to_xyz", "xyz_to_rgb", "rgb_to_ycbcr", "ycbcr_to_rgb", "rgb_to_yuv"),
    *("yuv_to_rgb", "rgb_to_bgr", "rgb_to_linear_rgb", "linear_rgb_to_rgb", "sepia"),
)
FILTERS: Final[dict[str, tuple[Any, ...]]] = {
    "gaussian_blur2d": ((3, 3), (1.0, 1.0)),
    "box_blur": ((3, 3),),
    "median_blur": ((3, 3),),
    "sobel": (),
    "spatial_gradient": (),
    "laplacian": (3,),
    "canny": (),
    "bilateral_blur": ((3, 3), 0.1, (1.0, 1.0)),
    "unsharp_mask": ((3, 3), (1.0, 1.0)),
    "blur_pool2d": (3,),
    "max_blur_pool2d": (3,),
    "motion_blur": (3, 35.0, 0.5),
}
MORPHOLOGY: Final = ("dilation", "erosion", "opening", "closing", "gradient", "top_hat", "bottom_hat")
AUGMENTATIONS: Final = {
    "RandomHorizontalFlip": lambda: augmentation.RandomHorizontalFlip(p=1.0),
    "RandomAffine": lambda: augmentation.RandomAffine(30.0, p=1.0),
    "ColorJitter": lambda: augmentation.ColorJitter(0.1, 0.1, 0.1, 0.1, p=1.0),
    "RandomErasing": lambda: augmentation.RandomErasing(p=1.0),
    "RandomCrop": lambda: augmentation.RandomCrop((8, 8)),
    "RandomGrayscale": lambda: augmentation.RandomGrayscale(p=1.0),
    "RandomGaussianNoise": lambda: augmentation.RandomGaussianNoise(p=1.0),
    "CenterCrop": lambda: augmentation.CenterCrop(8),
    "Normalize": lambda: augmentation.Normalize(torch.tensor([0.5]), torch.tensor([0.5])),
    "AugmentationSequential": lambda: augmentation.AugmentationSequential(
        augmentation.RandomHorizontalFlip(p=1.0), augmentation.RandomVerticalFlip(p=1.0)
    ),
}


def programs() -> Iterator[tuple[str, Build]]:
    torch.manual_seed(0)
    image, gray = torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)
    for name in COLORS:
        yield name, calling(getattr(color, name), image)
    yield "rgb_to_rgba", calling(color.rgb_to_rgba, image, 0.5)
    for name, args in FILTERS.items():
        yield name, calling(getattr(filters, name), image, *args)
    for name in MORPHOLOGY:
        yield name, calling(getattr(morphology, name), image, torch.ones(3, 3))
    yield from _geometry(image)
    yield from _enhancements(image)
    yield from _losses(image, gray)
    yield from _features(gray)
    for name, constructor in AUGMENTATIONS.items():
        yield name, calling_new(constructor, image)


def _geometry(image: torch.Tensor) -> Iterator[tuple[str, Build]]:
    points, identity, quaternion = torch.rand(1, 5, 3), torch.eye(3)[None], torch.tensor([[1.0, 0.1, 0.2, 0.3]])
    yield "hflip", calling(geometry.hflip, image)
    yield "rotate", calling(geometry.rotate, image, torch.tensor([30.0]))
    yield "scale", calling(geometry.scale, image, torch.tensor([[1.5, 1.5]]))
    yield "translate", calling(geometry.translate, image, torch.tensor([[1.5, 1.5]]))
    yield "shear", calling(geometry.shear, image, torch.tensor([[0.5, 0.5]]))
    yield "resize", calling(geometry.resize, image, (8, 8))
    yield "warp_perspective", calling(geometry.warp_perspective, image, identity, (16, 16))
    yield "warp_affine", calling(geometry.warp_affine, image, identity[:, :2], (16, 16))
    yield "center_crop", calling(geometry.center_crop, image, (8, 8))
    yield "pyrdown", calling(geometry.pyrdown, image)
    yield "pyrup", calling(geometry.pyrup, image)
    yield "build_pyramid", calling(geometry.build_pyramid, image, 3)
    yield "axis_angle_to_rotation_matrix", calling(geometry.axis_angle_to_rotation_matrix, torch.rand(2, 3))
    yield "rotation_matrix_to_quaternion", calling(geometry.rotation_matrix_to_quaternion, identity)
    yield "quaternion_to_rotation_matrix", calling(geometry.quaternion_to_rotation_matrix, quaternion)
    yield "convert_points_to_homogeneous", calling(geometry.convert_points_to_homogeneous, points)
    yield "convert_points_from_homogeneous", calling(geometry.convert_points_from_homogeneous, points)
    yield "transform_points", calling(geometry.transform_points, identity, points[..., :2])
    square = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
    yield "get_perspective_transform", calling(geometry.get_perspective_transform, square, square * 2)
    yield "find_homography_dlt", calling(geometry.find_homography_dlt, torch.rand(1, 6, 2), torch.rand(1, 6, 2))
    matches = torch.rand(1, 8, 2), torch.rand(1, 8, 2), torch.ones(1, 8)
    yield "find_fundamental", calling(geometry.epipolar.find_fundamental, *matches)
    lens = torch.rand(1, 5, 2), identity, torch.rand(1, 4) * 0.1
    yield "undistort_points", calling(geometry.calibration.undistort_points, *lens)


def _enhancements(image: torch.Tensor) -> Iterator[tuple[str, Build]]:
    for name in ("adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue", "adjust_gamma"):
        yield name, calling(getattr(enhance, name), image, 0.2)
    mean, deviation = torch.full((3,), 0.5), torch.full((3,), 0.2)
    yield "normalize", calling(enhance.normalize, image, mean, deviation)
    for name in ("equalize", "invert", "normalize_min_max"):
        yield name, calling(getattr(enhance, name), image)
    yield "equalize_clahe", calling(enhance.equalize_clahe, image, grid_size=(2, 2))
    yield "solarize", calling(enhance.solarize, image, 0.5)
    yield "posterize", calling(enhance.posterize, image, 3)
    yield "sharpness", calling(enhance.sharpness, image, 0.5)
    bins = image.flatten()[None], torch.linspace(0, 1, 5), torch.tensor(0.1)
    yield "histogram", calling(enhance.histogram, *bins)
    yield "zca_mean", calling(enhance.zca_mean, torch.rand(6, 4))
    yield "jpeg_codec_differentiable", calling(enhance.jpeg_codec_differentiable, image, torch.tensor([50.0]))


def _losses(image: torch.Tensor, gray: torch.Tensor) -> Iterator[tuple[str, Build]]:
    labels, flipped = torch.randint(0, 3, (1, 16, 16)), image.flip(-1)
    yield "ssim_loss", calling(losses.ssim_loss, image, flipped, 5)
    yield "psnr_loss", calling(losses.psnr_loss, image, flipped, 1.0)
    yield "dice_loss", calling(losses.dice_loss, image, labels)
    yield "focal_loss", calling(losses.focal_loss, image, labels, 0.5, reduction="mean")
    yield "tversky_loss", calling(losses.tversky_loss, image, labels, 0.5, 0.5)
    yield "total_variation", calling(losses.total_variation, image)
    yield "lovasz_softmax_loss", calling(losses.lovasz_softmax_loss, image, labels)
    yield "charbonnier_loss", calling(losses.charbonnier_loss, image, flipped)
    yield "cauchy_loss", calling(losses.cauchy_loss, image, flipped)
    yield "HausdorffERLoss", calling_new(losses.HausdorffERLoss, image, labels[None])
    yield "MS_SSIMLoss", calling_new(losses.MS_SSIMLoss, image, flipped)
    yield "inverse_depth_smoothness_loss", calling(losses.inverse_depth_smoothness_loss, gray, image)
    heat = [each.flatten(2).softmax(-1).view(1, 3, 16, 16) for each in (image, flipped)]
    yield "js_div_loss_2d", calling(losses.js_div_loss_2d, *heat)
    yield "mean_iou", calling(metrics.mean_iou, labels, labels.flip(-1), 3)
    yield "confusion_matrix", calling(metrics.confusion_matrix, labels, labels.flip(-1), 3)
    yield "accuracy", calling(metrics.accuracy, torch.rand(4, 3), torch.randint(0, 3, (4,)))


def _features(gray: torch.Tensor) -> Iterator[tuple[str, Build]]:
    for name in ("harris_response", "gftt_response", "hessian_response"):
        yield name, calling(getattr(feature, name), gray)
    for name, further in {"match_nn": (), "match_mnn": (), "match_snn": (0.9,)}.items():
        yield name, calling(getattr(feature, name), torch.rand(5, 4), torch.rand(6, 4), *further)
    yield "SIFTDescriptor", calling_new(lambda: feature.SIFTDescriptor(16), gray)
    for name in ("HardNet", "TFeat"):
        constructor = getattr(feature, name)
        yield name, calling_new(lambda constructor=constructor: constructor(False).eval(), torch.rand(2, 1, 32, 32))
