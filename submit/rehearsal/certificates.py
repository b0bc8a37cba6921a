"""The throw-away authority whose certificates the hosts of Azure show."""

import ssl
from pathlib import Path

import trustme


class Authority:
    """Lives as long as the service; only jobs with this environment trust it."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def write_certificate(self, path: Path) -> None:
        self._authority.cert_pem.write_to_path(str(path))

    def context(self, host: str) -> ssl.SSLContext:
        """For the server side of TLS as this host."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            self._contexts[host] = context
        return self._contexts[host]
