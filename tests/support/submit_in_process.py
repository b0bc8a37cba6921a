"""Commands of submit in the process of the test: importing azure-ai-ml anew would take seconds each."""

import contextlib
import io
import logging
import os
import warnings
from pathlib import Path

from submit.emulator import AzureMLEmulator
from submit.main import main
from tests.support.commands import Outcome


class InProcess:
    """A user whose working folder has the workspace's ``config.json``."""

    def __init__(self, service: AzureMLEmulator, folder: Path) -> None:
        self.service, self.folder = service, folder
        self._variables = service.workspace_environment(folder / "home") | service.login_environment()
        service.write_workspace_config(folder)

    def submit(self, *arguments: str) -> Outcome:
        """Runs ``python -m submit ARGUMENTS`` in the folder; no output may show what the user logs in with."""
        out, err = io.StringIO(), io.StringIO()
        with (
            self._in_folder(),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            warnings.simplefilter("ignore")
            status = main(arguments)
        outcome = Outcome(status, out.getvalue(), err.getvalue())
        assert self._variables["AZUREML_ACCESS_TOKEN"] not in outcome.out + outcome.err
        assert "sig=" not in outcome.out + outcome.err
        return outcome

    @contextlib.contextmanager
    def _in_folder(self):  # type: ignore[no-untyped-def]
        earlier, variables = Path.cwd(), dict(os.environ)
        os.environ.update(self._variables)
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(earlier)
            os.environ.clear()
            os.environ.update(variables)
            logging.disable(logging.NOTSET)
