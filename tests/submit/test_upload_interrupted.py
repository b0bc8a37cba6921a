"""``python -m submit upload`` that is interrupted, or loses the service."""

import os
import re
import time
from pathlib import Path
from typing import cast

import pytest

from submit.emulator import Fault
from submit.emulator.workspace import DATASTORE_CONTAINER
from submit.errors import ServiceError, describe_error
from submit.upload.container import Container
from submit.upload.folder import LocalFile
from submit.upload.sending import BLOCK, send_file
from tests.support.projects import write_files
from tests.support.submitters import Submitter, until
from tests.support.uploads import below, counts, many, uploads

pytestmark = pytest.mark.slow


def test_an_interrupted_upload_goes_on(submitter: Submitter) -> None:
    files = many(60)
    write_files(submitter.folder / "data", files)
    submitter.service.inject(Fault.slow(0.3, path="/data/"))
    command = ("upload", "--src", "data", "--target", "data/birds")

    first = submitter.interrupt(submitter.start(*command), lambda: len(submitter.service.datastore) > 8)
    submitter.service.clear_faults()
    arrived = len(submitter.service.datastore)
    second = submitter.submit(*command)

    assert (first.status, first.out) == (130, "")
    assert first.err.splitlines()[-1] == ("interrupted; uploaded files stay there, and the same command continues")
    assert 8 < arrived < 60
    assert second.status == 0, second
    sent, skipped = counts(second)
    assert (sent + skipped, skipped >= arrived) == (60, True)
    assert submitter.service.datastore == below("data/birds", files)


def test_a_large_file_goes_on_within_itself(submitter: Submitter) -> None:
    content = os.urandom(4 * BLOCK + 1000)
    write_files(submitter.folder / "data", {"large.bin": content})
    submitter.service.inject(Fault.slow(0.3, path="/data/"))
    command = ("upload", "--src", "data", "--target", "data/birds")

    first = submitter.interrupt(submitter.start(*command), lambda: len(uploads(submitter.service)) == 2)
    there = submitter.service.datastore
    submitter.service.clear_faults()
    second = submitter.submit(*command)

    assert (first.status, there) == (130, {})
    assert second.status == 0, second
    assert 1 <= uploads(submitter.service)[2:].count(BLOCK) <= 2
    assert submitter.service.datastore == {"data/birds/large.bin": content}
    assert counts(submitter.submit(*command)) == (0, 1)


def test_lost_connections_are_passed_over(submitter: Submitter) -> None:
    files = many(30) | {"large.bin": os.urandom(BLOCK + 1)}
    write_files(submitter.folder / "data", files)
    submitter.service.inject(Fault.drop(f"/{DATASTORE_CONTAINER}", times=1))
    submitter.service.inject(Fault.drop("/data/", times=8, handled=None))
    submitter.service.inject(Fault.status(503, "/data/", times=3, retry_after=1))

    outcome = submitter.submit("upload", "--src", "data", "--target", "data/birds")

    assert outcome.status == 0, outcome
    assert counts(outcome) == (31, 0)
    assert submitter.service.datastore == below("data/birds", files)


def test_a_large_file_is_whole_though_the_answer_to_its_last_request_is_lost(submitter: Submitter) -> None:
    content = os.urandom(BLOCK + 1)
    write_files(submitter.folder / "data", {"large.bin": content})
    submitter.service.inject(Fault.drop("/large.bin", probability=0.5, seed=17, handled=True))  # fails the fourth

    outcome = submitter.submit("upload", "--src", "data", "--target", "data/birds")

    statuses = [request.status for request in submitter.service.requests if request.path.endswith("/large.bin")]
    assert outcome.status == 0, outcome
    assert statuses == [404, 201, 201, None, 201]
    assert submitter.service.datastore == {"data/birds/large.bin": content}


def test_a_service_that_comes_back_gets_the_rest(submitter: Submitter) -> None:
    files = many(60)
    write_files(submitter.folder / "data", files)
    submitter.service.inject(Fault.slow(0.1, path="/data/"))
    process = submitter.start("upload", "--src", "data", "--target", "data/birds")
    until(lambda: len(submitter.service.datastore) > 8)

    submitter.service.stop()
    time.sleep(1.5)
    submitter.service.start()
    outcome = submitter.finish(process)

    assert outcome.status == 0, outcome
    assert submitter.service.datastore == below("data/birds", files)


def test_a_service_that_is_gone_for_good_is_reported(submitter: Submitter) -> None:
    write_files(submitter.folder / "data", many(60))
    submitter.service.inject(Fault.slow(0.1, path="/data/"))
    impatient = (
        "import sys; from submit.upload import container; container.WAITS = (0.5, 1); "
        "from submit.main import main; sys.exit(main())"
    )
    process = submitter.start("upload", "--src", "data", "--target", "data/birds", program=("-c", impatient))
    until(lambda: len(submitter.service.datastore) > 8)

    submitter.service.stop()
    outcome = submitter.finish(process)

    assert (outcome.status, outcome.out) == (1, "")
    last = outcome.err.splitlines()[-1]
    assert re.fullmatch(
        r"error: 'train/\d+.bin' wasn't sent: no response from emulator.blob.core.windows.net; the same command "
        "continues later",
        last,
    )


def test_what_the_account_refuses_is_reported_at_once(submitter: Submitter) -> None:
    write_files(submitter.folder / "data", many(20))
    submitter.service.inject(Fault.status(403, path="/data/"))

    outcome = submitter.submit("upload", "--src", "data", "--target", "data/birds")

    assert (outcome.status, outcome.out) == (1, "")
    assert "wasn't sent: " in outcome.err.splitlines()[-1]
    assert "fault injection: status 403" in outcome.err.splitlines()[-1]
    assert submitter.service.datastore == {}


def test_a_file_that_changes_while_it_is_sent_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"grown")

    with pytest.raises(ServiceError, match="its size of 3 bytes has changed"):
        list(send_file(cast(Container, None), "data", LocalFile(tmp_path / "a", "a", 3)))


def test_reasons_are_one_line_without_signatures() -> None:
    lost = "HTTPSConnectionPool(host='a.blob.core.windows.net', port=443): Max retries exceeded with url: /c/b?sig=x"

    assert describe_error(OSError(lost)) == "no response from a.blob.core.windows.net"
    assert describe_error(OSError("can't get https://a/b?sv=1&sig=secret\nmore")) == "can't get https://a/b"
    assert describe_error(ValueError()) == "ValueError"


XML = "<?xml version='1.0' encoding='utf-8'?><Error>{}</Error>"


@pytest.mark.parametrize(
    "body",
    [
        XML.format("<Code>AccountIsDisabled</Code>"),
        XML.format(""),
        "",
        "<Error><Code>",
        "text",
        "<Error><Message/></Error>",
    ],
)
@pytest.mark.parametrize("path", ["blobstore", "/data/birds/"])
def test_an_error_without_a_message_is_one_line(submitter: Submitter, body: str, path: str) -> None:
    write_files(submitter.folder / "data", {"a": b"1"})
    submitter.service.inject(Fault.status(403, path, body=body))

    outcome = submitter.submit("upload", "--src", "data", "--target", "data/birds")

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1].startswith("error: ")
    assert "NoneType" not in outcome.err
