"""The workspace's datastore, and the list of what is in its container."""

from typing import Any
from xml.sax.saxutils import escape

from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.state import State
from submit.rehearsal.workspace import BLOB_HOST, DATASTORE, DATASTORE_CONTAINER

_ACCOUNT, _, _ENDPOINT = BLOB_HOST.split(".", 2)
_SIGNATURE = "?sv=2019-07-07&sr=c&sig=rehearsal&se=2099-01-01T00%3A00%3A00Z&sp=rwl"


def get(state: State, call: Call, parameters: Parameters) -> Answer:
    """The default one is the only one."""
    if parameters.get("datastore", DATASTORE) != DATASTORE:
        raise RefusalError(404, "UserError", f"Could not find datastore {parameters['datastore']}")
    return json_answer(_datastore())


def list_all(state: State, call: Call, parameters: Parameters) -> Answer:
    return json_answer({"value": [_datastore()], "continuationToken": None})


def list_blobs(state: State, call: Call, parameters: Parameters) -> Answer:
    """Those whose paths begin so, all on one page."""
    prefix = call.query.get("prefix", "")
    files = state.datastore.artifacts
    blobs = "".join(_blob(path, len(files[path])) for path in sorted(files) if path.startswith(prefix))
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://{BLOB_HOST}/" '
        f'ContainerName="{DATASTORE_CONTAINER}"><Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>'
    )
    return Answer(200, body.encode(), {"Content-Type": "application/xml"})


def _datastore() -> dict[str, Any]:
    return {
        "name": DATASTORE,
        "dataStoreType": "AzureBlob",
        "hasBeenValidated": True,
        "tags": {},
        "azureStorageSection": {
            "accountName": _ACCOUNT,
            "containerName": DATASTORE_CONTAINER,
            "endpoint": _ENDPOINT,
            "protocol": "https",
            "credentialType": "Sas",
            "credential": _SIGNATURE,
            "sasToken": _SIGNATURE,
            "isSas": True,
        },
    }


def _blob(path: str, size: int) -> str:
    properties = f"<Content-Length>{size}</Content-Length><BlobType>BlockBlob</BlobType>"
    return f"<Blob><Name>{escape(path)}</Name><Properties>{properties}</Properties></Blob>"
