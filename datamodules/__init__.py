"""LightningDataModules that read images from a local or mounted folder."""

from datamodules.cifar10 import CIFAR10DataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.validation import DataError

__all__ = ["CIFAR10DataModule", "DataError", "ImageFolderDataModule"]
