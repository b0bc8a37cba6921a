"""LightningModules that classify images."""

from models.cifar_net import CifarNet
from models.cifar_resnet import CifarResNet
from models.classifier import ImageClassifier, metric_name
from models.errors import ModelError
from models.resnet_transfer import ResNetTransfer

__all__ = ["CifarNet", "CifarResNet", "ImageClassifier", "ModelError", "ResNetTransfer", "metric_name"]
