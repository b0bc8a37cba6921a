"""The service: it gives the labels of ``predict``, and no request harms another one."""

import base64
import csv
import http.client
import io
import json
import re
import signal
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.commands import command_line, environment
from tests.support.in_process import run_in_process
from tests.support.trained_runs import cifar_run

MAX_BYTES = 2_000_000
PICTURES = {"a.jpg": (40, 60), "b.png": (32, 32), "c.webp": (300, 200)}


class Service:
    """A service in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process, line = process, process.stdout.readline()
        found = re.search(r"http://127.0.0.1:(\d+)/score", line)
        assert found, line
        self.port = int(found[1])

    def ask(
        self, body: bytes = b"", kind: str = "image/jpeg", path: str = "/score", method: str = "POST", **headers: str
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": kind} | headers)
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content.startswith(b"{") else content
        finally:
            connection.close()

    @property
    def memory(self) -> int:
        """Resident bytes of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = cifar_run(tmp_path_factory.mktemp("run"))
    exported = run_in_process("export", str(run))
    assert exported.status == 0, exported.err
    return run


@pytest.fixture(scope="module")
def service(run: Path) -> Iterator[Service]:
    words = command_line("serve", str(run / "export"), "--port", "0", "--max_bytes", str(MAX_BYTES), "--threads", "1")
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Service(process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, (width, height) in PICTURES.items():
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / name)
    return {name: (folder / name).read_bytes() for name in PICTURES}


def test_pictures_get_the_labels_and_the_probabilities_of_predict(
    service: Service, run: Path, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for name, content in pictures.items():
        (tmp_path / "photos" / name).write_bytes(content)
    table = tmp_path / "table.csv"
    ran = run_in_process(
        "predict", "--output_dir", str(run), "--data_path", str(tmp_path / "photos"), "--csv", str(table),
        "--top_k", "3", "--num_workers", "0",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    with table.open() as file:
        rows = list(csv.DictReader(file))

    together = {"images": [base64.b64encode(content).decode() for content in pictures.values()], "top_k": 3}
    status, answer = service.ask(json.dumps(together).encode(), "application/json")
    alone = [service.ask(content, path="/score?top_k=3") for content in pictures.values()]

    assert status == 200
    assert [row["file"] for row in rows] == list(pictures)
    for row, prediction, (one_status, one) in zip(rows, answer["predictions"], alone, strict=True):
        assert [each["label"] for each in prediction] == [row["label"], row["label_2"], row["label_3"]]
        assert prediction[0]["probability"] == pytest.approx(float(row["probability"]), abs=1e-4)
        assert one_status == 200
        assert [each["label"] for each in one["predictions"][0]] == [each["label"] for each in prediction]


def test_it_says_that_it_works_and_what_it_does_not_have(service: Service) -> None:
    assert service.ask(method="GET", path="/health") == (
        200,
        {"status": "ok", "model": "CifarNet (onnx)", "classes": 10},
    )
    assert service.ask(method="GET")[0] == 405
    assert service.ask(path="/other")[0] == 404


def png(width: int, height: int) -> bytes:
    """A PNG file with a header of this size, and few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + checksum

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bad_requests(good: bytes) -> list[tuple[bytes, str, int]]:
    """Body, content type and the status that is expected; none of them is a picture that can be answered."""
    truncated = [(good[: 30 + 37 * number], "image/jpeg", 400) for number in range(40)]
    bombs = [(png(20_000 + number, 20_000), "image/png", 413) for number in range(40)]
    noise = [(np.random.default_rng(n).bytes(1000), "application/octet-stream", 415) for n in range(40)]
    long = [(bytes(MAX_BYTES + 1), "image/jpeg", 413)] * 20
    text = [(b"<html>" + bytes(number), "image/jpeg", 415) for number in range(20)]
    bodies = (
        b"",
        b"{",
        b"[]",
        b'{"images": 1}',
        b'{"images": []}',
        b'{"images": ["%%"]}',
        b'{"images": [""]}',
        b"null",
    )
    json_bodies = [(body, "application/json", 400) for body in bodies] * 3
    many = [(json.dumps({"images": ["eA=="] * 65}).encode(), "application/json", 413)] * 6
    other_kinds = [(good, kind, 415) for kind in ("text/plain", "multipart/form-data; boundary=x", "video/mp4")] * 3
    return [*truncated, *bombs, *noise, *long, *text, *json_bodies, *many, *other_kinds, (b"", "image/jpeg", 400)]


def test_200_bad_requests_are_refused_use_no_memory_and_the_next_one_is_answered(
    service: Service, pictures: dict[str, bytes]
) -> None:
    good = Image.open(io.BytesIO(pictures["a.jpg"]))
    buffer = io.BytesIO()
    good.resize((400, 400)).save(buffer, "JPEG", quality=95)
    requests = bad_requests(buffer.getvalue())
    assert len(requests) >= 200

    def send_all() -> list[tuple[int, int, Any]]:
        return [(expected, *service.ask(body, kind)) for body, kind, expected in requests]

    first = send_all()
    before = service.memory
    second = send_all()
    grown = service.memory - before

    assert [entry for entry in (*first, *second) if entry[0] != entry[1]] == []
    assert all(set(answer) == {"error"} and "\n" not in answer["error"] for _, _, answer in first)
    assert grown < 30_000_000
    assert service.ask(pictures["a.jpg"])[0] == 200


def test_a_body_of_100_mb_is_refused_without_being_read(service: Service, pictures: dict[str, bytes]) -> None:
    before = service.memory
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Type", "image/jpeg")
    connection.putheader("Content-Length", "100000000")
    connection.endheaders()
    response = connection.getresponse()  # before any byte of the body is sent
    connection.close()

    assert response.status == 413
    assert service.memory - before < 30_000_000
    assert service.ask(pictures["b.png"])[0] == 200


def test_requests_at_a_time_get_their_own_answers_beside_bad_ones(service: Service, pictures: dict[str, bytes]) -> None:
    expected = {name: service.ask(content) for name, content in pictures.items()}
    found: list[tuple[str, Any]] = []

    def client(number: int) -> None:
        for name, content in pictures.items():
            service.ask(content[: len(content) // 2])
            found.append((name, service.ask(content)))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 48
    for name, (status, answer) in found:
        assert status == 200
        labels = [[each["label"] for each in one["predictions"][0]] for one in (answer, expected[name][1])]
        assert labels[0] == labels[1]


def test_at_sigterm_it_ends_with_status_0(run: Path, pictures: dict[str, bytes]) -> None:
    words = command_line("serve", str(run), "--port", "0")  # the checkpoint
    with subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        service = Service(process)
        status, _ = service.ask(pictures["a.jpg"])
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)

    assert (status, process.returncode, err) == (200, 0, "")
