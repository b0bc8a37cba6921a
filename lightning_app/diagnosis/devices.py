"""The GPUs of this machine."""

from dataclasses import dataclass

from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.diagnosis.place import Row


@dataclass(frozen=True)
class Gpus:
    """``names`` has a GPU each, with its memory; ``versions`` are those of CUDA and NCCL."""

    names: tuple[str, ...]
    versions: str

    @property
    def backend(self) -> str:
        return "nccl" if self.names else "gloo"


def read_gpus() -> Gpus:
    """As this process sees them (CUDA_VISIBLE_DEVICES)."""
    import torch  # takes a second or more, which a dump and --help don't need

    if not torch.cuda.is_available():
        return Gpus((), "")
    properties = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    names = tuple(f"{each.name}, {each.total_memory / 2**30:.0f} GiB" for each in properties)
    nccl = ".".join(str(part) for part in torch.cuda.nccl.version())  # type: ignore[no-untyped-call]
    return Gpus(names, f"CUDA {torch.version.cuda}, NCCL {nccl}")


def gpu_rows(gpus: Gpus) -> list[Row]:
    if not gpus.names:
        return [("GPUs", "no GPU: gloo on the CPU")]
    numbered = [(f"GPU {number}", name) for number, name in enumerate(gpus.names)]
    return [("GPUs", f"{len(gpus.names)}; {gpus.versions}"), *numbered]


def too_few(gpus: Gpus, wanted: int | None) -> Contradiction | None:
    """``wanted``: devices of the training on this node."""
    if not gpus.names or wanted is None or wanted <= len(gpus.names):
        return None
    what = f"training is to use {wanted} devices on each node, and this process sees {len(gpus.names)} GPUs"
    remedy = f"give --trainer.devices {len(gpus.names)}, or look at CUDA_VISIBLE_DEVICES"
    return Contradiction(what, remedy, fatal=True)
