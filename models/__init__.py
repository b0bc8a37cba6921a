"""LightningModules that classify images."""

from models.cifar_net import CifarNet
from models.classifier import ImageClassifier, ModelError, metric_name
from models.resnet_transfer import ResNetTransfer

__all__ = ["CifarNet", "ImageClassifier", "ModelError", "ResNetTransfer", "metric_name"]
