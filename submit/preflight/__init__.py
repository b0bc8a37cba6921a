"""What is checked of a job before anything is sent: no network, no torch.

    findings = check_snapshot(Snapshot.of(folder), training_arguments)

Each check is a function from what was given to findings; errors stop the submission, warnings are shown.
"""

from submit.preflight.checks import check_folder, check_snapshot
from submit.preflight.conda_file import check_conda_file
from submit.preflight.environment_variables import check_variables
from submit.preflight.findings import Finding
from submit.preflight.git_remote import check_addresses, clean_addresses, without_credentials
from submit.preflight.snapshot import Snapshot
from submit.preflight.values import check_compute_name, check_experiment_name, check_image, check_shm_size
from submit.preflight.vm_sizes import check_vm_size, successor

__all__ = [
    "Finding",
    "Snapshot",
    "check_addresses",
    "check_compute_name",
    "check_conda_file",
    "check_experiment_name",
    "check_folder",
    "check_image",
    "check_shm_size",
    "check_snapshot",
    "check_variables",
    "check_vm_size",
    "clean_addresses",
    "successor",
    "without_credentials",
]
