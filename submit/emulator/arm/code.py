"""Code: snapshots of folders, uploaded to a container of their own, and known by the hash of their content."""

import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

from submit.emulator import limits
from submit.emulator.arm import versions
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import AssetVersion, Folder, State
from submit.emulator.workspace import BLOB_HOST, SCOPE, blob_address

PENDING_UPLOAD = "TemporaryBlobReference"


class Codes:
    plural, singular = "codes", "code"

    def names(self, state: State) -> Sequence[str]:
        return list(state.codes)

    def versions(self, state: State, name: str) -> Sequence[AssetVersion]:
        return state.codes.get(name, [])

    def add(self, state: State, version: AssetVersion) -> None:
        files(state, version)  # raises if nothing was uploaded there
        others = [other for other in self.versions(state, version.name) if other.version != version.version]
        state.codes[version.name] = [*others, version]


CODES = Codes()


def start_upload(state: State, request: Request, parameters: Parameters) -> Response:
    """A new container for the files, with an address that allows writing."""
    kind = request.json().get("pendingUploadType")
    if kind != PENDING_UPLOAD:
        raise ApiError(400, "UserError", f"pendingUploadType {kind!r} isn't emulated; expected {PENDING_UPLOAD!r}")
    container = str(uuid.uuid4())
    state.uploads[container] = Folder("", container, free=True)
    credential = {"credentialType": "SAS", "sasUri": blob_address("", container)}
    reference = {"blobUri": f"https://{BLOB_HOST}/{container}", "credential": credential}
    upload = {"blobReferenceForConsumption": reference, "pendingUploadId": container, "pendingUploadType": kind}
    return json_response(upload)


def files(state: State, version: AssetVersion) -> dict[str, bytes]:
    """The uploaded files of a version, content by path.

    Raises:
        ApiError: Nothing was uploaded to its address, or a path leads out of the folder.
    """
    address = urlsplit(str(version.properties.get("codeUri")))
    container, _, prefix = address.path.strip("/").partition("/")
    folder = state.uploads.get(container) if address.netloc == BLOB_HOST else None
    prefix = f"{prefix}/" if prefix else ""
    found = {
        path.removeprefix(prefix): content
        for path, content in (folder.artifacts.items() if folder else ())
        if path.startswith(prefix)
    }
    if not found:
        raise ApiError(400, "UserError", f"codeUri {version.properties.get('codeUri')!r}: nothing was uploaded there")
    for path in found:
        limits.check_path(path)
    return found


ROUTES = (
    Route("POST", f"{SCOPE}/codes/{{name}}/versions/{{version}}/startPendingUpload", for_user(start_upload)),
    *versions.routes(CODES),
)
