"""Listing images: links, names and permissions; what is left out is left out everywhere."""

import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from datamodules import CIFAR10DataModule, DataError, ImageFolderDataModule
from datamodules.image_listing import class_folders, images_in
from tests.support.commands import environment, without_privileges
from tests.support.images import make_image_folder

COMPOSED = "D\u00e4mmerung"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


def listed(folder: Path, *, skip_broken: bool = False) -> list[str]:
    return [str(path.relative_to(folder)) for path in images_in(folder, skip_broken=skip_broken).images]


def test_files_of_file_managers_are_ignored(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (tmp_path / name).write_text("x")

    assert listed(tmp_path) == ["a.png"]


def test_extensions_in_capitals_count(tmp_path: Path) -> None:
    for name in ("A.JPG", "b.Png", "c.GIF"):
        image(tmp_path / name)

    assert listed(tmp_path) == ["A.JPG", "b.Png", "c.GIF"]


def test_a_broken_file_is_an_error_and_is_left_out_on_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    caplog.set_level("INFO", "datamodules")

    with pytest.raises(DataError, match=r"b\.png' is not a readable image \(its image format is not recognised"):
        listed(tmp_path)
    assert listed(tmp_path, skip_broken=True) == ["a.png"]
    assert caplog.messages == [
        f"Left out: 1 file, such as {str(tmp_path / 'b.png')!r} (its image format is not recognised)."
    ]


def test_linked_files_and_folders_are_followed(tmp_path: Path) -> None:
    image(tmp_path / "elsewhere" / "deep" / "a.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "file.png").symlink_to(tmp_path / "elsewhere" / "deep" / "a.png")
    (tmp_path / "photos" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "twice").symlink_to(tmp_path / "elsewhere")

    assert listed(tmp_path / "photos") == ["file.png", "folder/deep/a.png", "twice/deep/a.png"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere.png", "a link to 'nowhere.png', which doesn't exist"),
        ("link.png", "Too many levels of symbolic links"),
        (".", "a link to '.', a folder around it"),
        ("..", "a link to '..', a folder around it"),
        ("/", "a link to '/', a folder around it"),
    ],
)
def test_a_link_that_leads_nowhere_or_in_a_circle_is_named(tmp_path: Path, target: str, reason: str) -> None:
    folder = image(tmp_path / "photos" / "a.png").parent
    (folder / "link.png").symlink_to(target)

    with pytest.raises(DataError) as error:
        listed(folder)

    assert f"{str(folder / 'link.png')!r} is not a readable image ({reason})" in str(error.value)
    assert listed(folder, skip_broken=True) == ["a.png"]


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        image(tmp_path / one / "0.png")
        (tmp_path / one / "other").symlink_to(tmp_path / other)

    assert listed(tmp_path, skip_broken=True) == ["a/0.png", "a/other/0.png", "b/0.png", "b/other/0.png"]


def test_a_pipe_gets_a_message_and_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")

    with pytest.raises(DataError, match="it is no regular file"):
        listed(tmp_path)


@pytest.mark.parametrize("target", ["nowhere", "../train", ".."])
def test_a_class_that_is_a_useless_link_is_named(image_folder: Path, target: str) -> None:
    (image_folder / "train" / "linked").symlink_to(target)

    with pytest.raises(DataError, match=rf"train/linked' can't be used \(a link to '{target}'"):
        _ = ImageFolderDataModule(str(image_folder)).classes


def test_a_class_may_be_a_link(image_folder: Path, tmp_path: Path) -> None:
    shutil.move(image_folder / "train" / "dark", tmp_path / "moved")
    (image_folder / "train" / "dark").symlink_to(tmp_path / "moved")
    data = ImageFolderDataModule(str(image_folder))

    data.setup("fit")

    assert data.classes == ["dark", "light"]
    assert len(data.train_dataloader().dataset) == 12  # type: ignore[arg-type]  # an ImageFiles has a length


def test_names_in_either_normalisation_are_one_class(tmp_path: Path) -> None:
    image(tmp_path / "train" / COMPOSED / "0.png")
    image(tmp_path / "train" / DECOMPOSED / "1.png")
    image(tmp_path / "train" / "light" / "2.png")
    image(tmp_path / "val" / DECOMPOSED / "0.png")
    image(tmp_path / "val" / "light" / "1.png")
    data = ImageFolderDataModule(str(tmp_path), image_size=8, batch_size=9, num_workers=0)

    data.setup("fit")

    assert data.classes == [COMPOSED, "light"]
    assert sorted(next(iter(data.train_dataloader()))[1].tolist()) == [0, 0, 1]
    assert sorted(next(iter(data.val_dataloader()))[1].tolist()) == [0, 1]


def test_the_order_of_files_is_that_of_composed_names(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        for name in ("\u00e4.png", "b.png", "z.png", "\u00f6.png"):
            image(tmp_path / form / unicodedata.normalize(form, name))

    orders = [[unicodedata.normalize("NFC", name) for name in listed(tmp_path / form)] for form in ("NFC", "NFD")]

    assert orders[0] == orders[1] == ["b.png", "z.png", "\u00e4.png", "\u00f6.png"]


def test_a_class_name_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()

    with pytest.raises(DataError, match="its name isn't valid UTF-8"):
        class_folders(tmp_path)


def damage(path: Path, place: str) -> None:
    content = bytearray(path.read_bytes())
    if place == "end":
        content = content[:-60]
    elif place == "middle":
        at = content.index(b"IDAT") + 400
        content[at : at + 100] = bytes(100)
    elif place == "size":
        content[16:24] = b"\x00\x00\xff\xff" * 2
    elif place == "all":
        content = bytearray()
    path.write_bytes(content)


@pytest.mark.parametrize("place", ["end", "middle", "size", "all"])
def test_what_is_left_out_is_left_out_in_every_stage(tmp_path: Path, place: str) -> None:
    make_image_folder(tmp_path, ("train", "val", "test"))
    for split in ("train", "val", "test"):
        broken = tmp_path / split / "dark" / "bad.png"
        Image.effect_noise((64, 64), 90).save(broken)
        damage(broken, place)
        with pytest.raises(DataError, match=r"bad\.png' is not a readable image"):
            ImageFolderDataModule(str(tmp_path)).setup(
                "fit" if split == "train" else {"val": "validate"}.get(split, split)
            )
    data = ImageFolderDataModule(str(tmp_path), image_size=8, num_workers=0, skip_broken=True)

    data.setup("fit")
    data.setup("test")

    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert sum(len(labels) for _, labels in loader) == 12
    for module in (data, CIFAR10DataModule(str(tmp_path), skip_broken=True)):
        module.data_path = tmp_path / "val"
        module.setup("predict")
        assert len(module.predicted_paths) == 12
        assert sum(len(indices) for _, indices in module.predict_dataloader()) == 12


def test_a_class_without_a_readable_image_is_refused(image_folder: Path) -> None:
    for path in (image_folder / "val" / "dark").iterdir():
        path.write_text("no image")

    with pytest.raises(DataError, match=r"val/dark' holds no image; each class needs one"):
        ImageFolderDataModule(str(image_folder), skip_broken=True).setup("fit")


@pytest.mark.filterwarnings("error")
def test_large_images_count_each_time(tmp_path: Path) -> None:
    """Also where warnings are errors, which is decided for all threads of a process together."""
    Image.new("1", (9_500, 9_500)).save(tmp_path / "0.png")
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    for number in range(2, 40):
        image(tmp_path / f"{number}.png")

    assert len(images_in(tmp_path, skip_broken=True).images) == 40


LIST = """
import sys
from pathlib import Path
from datamodules.image_listing import images_in
for folder in sys.argv[1:]:
    try:
        images_in(Path(folder), skip_broken=False)
    except ValueError as error:
        print(error)
"""


def test_unreadable_files_and_folders_are_named(tmp_path: Path) -> None:
    image(tmp_path / "one" / "a.png").chmod(0)
    image(tmp_path / "two" / "locked" / "a.png").parent.chmod(0)
    command = [*without_privileges(), sys.executable, "-c", LIST, str(tmp_path / "one"), str(tmp_path / "two")]

    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)

    (tmp_path / "two" / "locked").chmod(0o755)
    file, folder = done.stdout.splitlines()
    assert "one/a.png' is not a readable image (Permission denied)" in file
    assert "two/locked' is not a readable image (Permission denied)" in folder
