"""``python -m lightning_app export RUN``: writes the trained network as ONNX or torch.export, if that is exact."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder, run_of

_FORMATS = ("onnx", "torch_export")


def main(words: Sequence[str]) -> None:
    """Exports a network and prints where it is and how exact.

    Raises:
        UsageError: There is no network, it can't be exported, or the exported model differs from it.
    """
    given, flags = _parser().parse_known_args(words)
    _check_values(given)
    target = given.output or _default_target(given.run)
    from lightning_app.export.exporting import Wanted, export  # it loads torch and Lightning

    wanted = Wanted(given.format, given.opset, given.images, given.tolerance)
    agreement = export(given.run, target, wanted, flags)
    network, exported = (count / agreement.images for count in (agreement.network_correct, agreement.exported_correct))
    print(f"Exported:   {target}")
    print(
        f"Compared:   {agreement.images:,} {agreement.split} images: the same label for each; accuracy {network:.4f}, "
        f"exported {exported:.4f}"
    )
    print(
        f"Difference: {agreement.largest_difference:.2g} at most, where the largest logit is "
        f"{agreement.largest_logit:.3g}"
    )


def _default_target(run: Path) -> Path:
    """In the run's folder, or for a checkpoint of no run in the current one."""
    folder = run_of(run) if run.is_file() else RunFolder(run)
    return (folder or RunFolder(Path())).export


def _check_values(given: argparse.Namespace) -> None:
    if given.opset is not None and given.format != "onnx":
        raise UsageError(f"--opset {given.opset}: is for --format onnx; leave it out")
    if given.opset is not None and given.opset < 18:
        raise UsageError(f"--opset {given.opset}: expected 18 or more, which torch's exporter writes")
    if given.images is not None and given.images < 1:
        raise UsageError(f"--images {given.images}: expected a whole number of at least 1")
    if given.tolerance is not None and not 0 < given.tolerance < 1:
        raise UsageError(f"--tolerance {given.tolerance}: expected a number between 0 and 1")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"export: {message}; see python -m lightning_app export --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lightning_app export",
        description="Writes the network of a run as ONNX or torch.export, for any number of images. With the data of "
        "this project, uint8 images (N, 3, H, W) go in: the normalisation is inside. Nothing is written unless the "
        "exported model gives the network's label for each validation image, and the same logits within the "
        "tolerance.",
        epilog="Further flags are those of validate, such as --data_path.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, such as outputs, or a checkpoint")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the model (default: export in RUN)")
    parser.add_argument("--format", choices=_FORMATS, default="onnx", help="(default: onnx)")
    parser.add_argument(
        "--opset", type=int, metavar="N", help="version of ONNX's operators (default: that of torch's exporter)"
    )
    parser.add_argument(
        "--images", type=int, metavar="N", help="images to compare, spread over the data (default: all)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="X",
        help="largest difference of a logit, as a share of the largest logit (default: 0.0001)",
    )
    return parser
