"""LightningDataModules that read images from a local or mounted folder."""

from datamodules.cifar10 import CIFAR10DataModule
from datamodules.errors import DataError
from datamodules.image_folder import ImageFolderDataModule

__all__ = ["CIFAR10DataModule", "DataError", "ImageFolderDataModule"]
