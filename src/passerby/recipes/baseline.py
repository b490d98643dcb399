"""The plain recipe: an ImageNet backbone fine-tuned as an identity classifier, with every option of the published baseline.

Source: layumi/Person_reID_baseline_pytorch (MIT); PCB: Sun et al. 2018; circle loss: Sun et al. 2020; BNNeck: Luo et al. 2019.

1. Every training identity is a class; the network is a backbone, a 512-d bottleneck (or BNNeck, or six stripes) and a classifier.
2. The loss is cross-entropy plus any of the pair and proxy losses, each with its weight, all in fp32.
3. The backbone learns at a tenth of the head's rate, because it starts from ImageNet.
4. At test the classifier is dropped; the features of an image and of its mirror image are summed and normalised.
5. The artefact is the last epoch (or its average): nothing is selected on test labels.

Differs from the paper: warm-up raises the learning rate, not the loss (`warmup="loss"` is the published form); pair losses are fed by a
sampler of P identities x K images, because a plain shuffle has a positive pair in few batches (`sampler="shuffle"` is the published form);
class weights of ArcFace, CosFace and SphereFace are trained; random choices follow the seed.

The data must have: identities with at least one image each; two or more images each for pair losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Config"]


@dataclass(frozen=True)
class Config:
    """Options of the baseline. Defaults are the published ones unless said otherwise."""

    # -- network
    backbone: str = "resnet50"
    """name of the backbone: resnet50, densenet121, osnet_x0_25, mobilenet_v2, swin..., or any timm name"""
    weights: str = "auto"
    """start weights of the backbone: a file (timm, torchvision, torchreid or layumi layout), `scratch`, or `auto`: those of an installed
    package where there are any, else an error that says how to get them"""
    last_stride: Literal[1, 2] = 2
    """stride of the backbone's last stage; 1 doubles the height and width of the feature map"""
    pool: Literal["avg", "max", "avg+max", "gem"] = "avg"
    """how the feature map becomes a vector"""
    middle: bool = False
    """ResNet: concatenate the third stage's pooled map to the last one's"""
    usam: bool = False
    """ResNet: spatial attention after the stem and after the first stage"""
    drop_path: float = 0.0
    """stochastic depth, 0 to 1 (published 0.2 for Swin and ConvNeXt)"""
    head: Literal["block", "bnneck", "pcb"] = "block"
    """block: linear, BN, dropout, classifier; bnneck: BN with a frozen bias, classifier without bias; pcb: six stripes"""
    linear_dim: int = 512
    """width of the bottleneck, 0 leaves it out (PCB: of each stripe, published 256, which is taken where this stays at 512)"""
    parts: int = 6
    """stripes of PCB"""
    leaky_relu: bool = False
    """block: LeakyReLU 0.1 after its BN"""
    dropout: float = 0.5
    """dropout before the classifier, 0 to 1"""
    classifier_std: float = 0.001
    """standard deviation of the classifier's start weights (0.0001 in the later published code)"""

    # -- images
    height: int = 256
    """input height in px (PCB 384)"""
    width: int = 128
    """input width in px (PCB 192)"""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """resize filter, in training and wherever the model is used"""
    flip: float = 0.5
    """probability of mirroring"""
    pad_px: int = 10
    """padding on each side before the random crop, in px at 256x128; 0: no crop (PCB)"""
    pad_mode: Literal["zeros", "edge"] = "zeros"
    """what the padding holds"""
    color_jitter: bool = False
    """brightness, contrast and saturation by up to 0.1"""
    random_erasing: float = 0.0
    """probability of erasing a rectangle (published 0.5 among the tricks)"""
    erasing_plus: float = 0.0
    """probability of going on to a further rectangle, up to five"""
    grayscale_patch: float = 0.0
    """probability of turning a rectangle grey"""
    auto_augment: Literal["off", "randaugment", "reid"] = "off"
    """off, torchvision's RandAugment, or the baseline's own list of pairs"""

    # -- batches
    train_all: bool = True
    """train on all training images; otherwise one image an identity is held out and its classification error logged"""
    sampler: Literal["auto", "shuffle", "identity"] = "auto"
    """auto: identity (P x K) where a loss needs pairs, else shuffle; presets of published rows say shuffle"""
    batch_size: int = 32
    """images a step, over all processes"""
    images_per_identity: int = 4
    """K of the P x K sampler; P is batch size / K"""

    # -- losses
    label_smoothing: float = 0.0
    """epsilon of the cross-entropy, 0 to 1"""
    losses: tuple[str, ...] = ()
    """further terms beside the cross-entropy, NAME or NAME:WEIGHT: circle triplet triplet-hard contrastive lifted instance instance-id
    arcface cosface sphere"""
    metric_before_dropout: bool = False
    """pair losses see the feature before the dropout (published: after it)"""
    instance_gamma: float = 32.0
    """scale of the instance losses"""
    adversarial: float = 0.0
    """weight of the cross-entropy on adversarial queries (ODFA), published 0.1"""
    adversarial_every: int = 10
    """steps between two adversarial terms"""
    generated: Path | None = None
    """folder of generated, unlabelled images (DG-Market)"""
    generated_weight: float = 0.0
    """weight of the agreement on generated images with the averaged model, published 0.1; from 80 % of the epochs on"""

    # -- optimizer
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """who updates the weights"""
    lr: float = 0.05
    """learning rate of the head, for `batch_size` images a step"""
    backbone_lr_factor: float = 0.1
    """the backbone's rate as a fraction of `lr`; 1 for a start from scratch"""
    momentum: float = 0.9
    """momentum of SGD"""
    nesterov: bool = True
    """Nesterov's form of it"""
    weight_decay: float = 5e-4
    """L2 decay of all parameters"""
    epochs: int = 60
    """passes over the training images"""
    schedule: Literal["step", "cosine", "constant"] = "step"
    """step: x0.1 after two thirds; cosine: down to 1 %"""
    warmup_epochs: float = 0.0
    """length of the warm-up in epochs (published 5 among the tricks)"""
    warmup: Literal["lr", "loss"] = "lr"
    """what is warmed up from 10 %: the learning rate, or the loss as published"""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the forward pass; losses are always in fp32"""
    max_grad_norm: float = 0.0
    """clip the norm of the gradients to this; 0: no clipping"""
    average: Literal["off", "swa", "ema"] = "off"
    """off; swa: average of the epochs from 80 % on, decay 0.996 an epoch as published, BN refreshed; ema: of every step"""
    ema_decay: float = 0.999
    """decay a step of `average="ema"`"""
    sync_bn: bool = False
    """several processes: BN statistics over all of them"""

    # -- run
    seed: int = 0
    """of the start weights, the order of the images and the augmentation"""
    evaluate_every: int = 0
    """epochs between two evaluations on query and gallery, for the log only; 0: at the end only"""
