"""The workspace's datastore, which is a container of the blob account."""

from typing import Any

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
