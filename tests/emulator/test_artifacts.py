"""Artifacts of a run at the emulator."""

from tests.support.emulator_jobs import Job


def test_an_artifact_is_uploaded_once_only(job: Job) -> None:
    script = """
pathlib.Path("f.txt").write_text("first")
run.upload_file("outputs/last.ckpt", "f.txt")
pathlib.Path("f.txt").write_text("second")
try:
    run.upload_file("outputs/last.ckpt", "f.txt")
except Exception as error:
    print(error)
"""

    out = job.does(script)

    assert f"Resource Conflict: ArtifactId ExperimentRun/dcid.{job.run_id}/outputs/last.ckpt already exists." in out
    assert job.service.run(job.run_id).artifacts == {"outputs/last.ckpt": b"first"}


def test_many_artifacts_are_listed_in_pages(job: Job) -> None:
    names = [f"f{number:03}" for number in range(101)]
    job.ask("POST", job.artifact, {"paths": [{"path": name} for name in names]})

    out = job.does("print(*run.get_file_names())")

    assert out.split() == names


def test_the_path_of_an_artifact_has_a_limit(job: Job) -> None:
    paths = [{"path": "p" * length} for length in (5000, 5001)]

    status, answer = job.ask("POST", job.artifact, {"paths": paths})

    assert status == 200
    assert list(answer["artifacts"]) == ["p" * 5000]
    assert list(answer["errors"]) == ["p" * 5001]


def test_an_artifact_whose_name_needs_encoding_is_stored_and_read(job: Job) -> None:
    """azureml-core encodes the name twice."""
    script = """
for name in ["a b.txt", "50%.txt", "ü+.txt"]:
    pathlib.Path("f.txt").write_text(name)
    run.upload_file(name, "f.txt")
    run.download_file(name, "back.txt")
    assert pathlib.Path("back.txt").read_text() == name
"""

    job.does(script)

    stored = job.service.run(job.run_id).artifacts
    assert stored == {name: name.encode() for name in ["a b.txt", "50%.txt", "ü+.txt"]}


def test_a_large_file_goes_in_blocks_and_comes_back_in_ranges(job: Job) -> None:
    script = """
import os
size = 68 * 2**20
with open("large", "wb") as file:
    file.write(b"begin")
    file.truncate(size)
    file.seek(size - 3)
    file.write(b"end")
run.upload_file("large", "large")
run.download_file("large", "back")
back = pathlib.Path("back")
print(back.stat().st_size == size and back.read_bytes() == pathlib.Path("large").read_bytes())
"""

    assert job.does(script).split() == ["True"]
    assert job.statuses("/large")[-2:] == [206, 206]
    content = job.service.run(job.run_id).artifacts["large"]
    assert (content[:5], content[-3:], len(content)) == (b"begin", b"end", 68 * 2**20)
