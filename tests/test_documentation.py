"""The documentation: its commands are understood, its programs run, and what it names exists."""

import functools
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from submit.commands import ABOUT
from submit.execution.launchers import ProcessRank, variables
from submit.main import parse_command
from tests.support.commands import ROOT, Command, Outcome, environment

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
README_WORDS = 1500
FOLDERS = "lightning_app|models|datamodules|submit|tests|benchmarks|docs"
SENDING = ("run", "rehearse", "sweep")  # these commands have --dry_run
# flags of other programs that the pages mention
FOREIGN_FLAGS = {"--data-folder", "--map-by"}
# parts of flags and settings of Lightning that stand for a group
FLAG_GROUPS = {"--model", "--data", "--trainer", "--model.NAME", "--help"}


@dataclass(frozen=True)
class Block:
    """A code block of a page: its language, its text, and its number on the page."""

    page: Path
    language: str
    text: str
    number: int

    @property
    def id(self) -> str:
        return f"{self.page.stem}-{self.number}"


def blocks_of(page: Path, text: str, language: str) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks = [Block(page, name, content, number) for number, (name, content) in enumerate(found)]
    return [block for block in blocks if block.language == language]


def commands_in(block: str) -> list[str]:
    """The commands of a block, each as one line without comment and redirection."""
    lines = block.replace("\\\n", " ").splitlines()
    commands = [" ".join(shlex.quote(word) for word in shlex.split(line, comments=True)) for line in lines]
    return [re.sub(r" ('>'|'&'|>) .*| '&'$", "", command) for command in commands if command]


ALL_BLOCKS = {
    language: [block for page in PAGES for block in blocks_of(page, page.read_text(), language)]
    for language in ("sh", "python")
}
COMMANDS = sorted({command for block in ALL_BLOCKS["sh"] for command in commands_in(block.text)})
TRAININGS = [c for c in COMMANDS if re.match(r"python -m lightning_app(\.fit| )", c)]
JOBS = [c for c in COMMANDS if re.match(rf"python -m submit ({'|'.join(SENDING)}) ", c)]
OTHER_SUBMIT = [c for c in COMMANDS if c.startswith("python -m submit ") and c not in JOBS]
OTHER_MODULES = [
    c for c in COMMANDS if c.startswith("python -m ") and c not in (*TRAININGS, *JOBS, *OTHER_SUBMIT) and "pip" not in c
]


def run_python(*arguments: str, folder: Path, **variables: str) -> Outcome:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=folder,
        env=environment() | variables,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@functools.cache
def help_of(*words: str) -> str:
    return run_python("-m", *words, "--help", folder=ROOT).out


def flags_in(text: str) -> set[str]:
    return {flag.rstrip(".") for flag in re.findall(r"(?<![\w-])--[A-Za-z][\w.-]*", text)}


def unknown_flags(command: str, help_text: str) -> set[str]:
    return flags_in(command) - flags_in(help_text)


def own_module(folder: Path) -> None:
    """Writes the example of the page about own modules, which some commands name."""
    (script,) = (block.text for block in ALL_BLOCKS["python"] if block.page.stem == "own-modules")
    (folder / "my_module.py").write_text(script)


@pytest.fixture
def example_folder(tmp_path: Path) -> Path:
    own_module(tmp_path)
    (tmp_path / "photos").mkdir()
    return tmp_path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a job needs of this project, and the example module."""
    for name in ("lightning_app", "models", "datamodules"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", ".amlignore"):
        shutil.copy(ROOT / name, tmp_path)
    own_module(tmp_path)
    return tmp_path


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= README_WORDS


@pytest.mark.parametrize("command", [c for c in TRAININGS if "lightning_app.fit" in c])
def test_training_commands_are_understood(run: Command, example_folder: Path, command: str) -> None:
    outcome = run("fit", *shlex.split(command)[3:], "--print_config")

    assert (outcome.status, outcome.err) == (0, "")
    assert "class_path" in outcome.out


@pytest.mark.parametrize("command", [c for c in TRAININGS if "lightning_app.fit" not in c])
def test_evaluation_commands_have_known_flags(command: str) -> None:
    _, _, module, name, *_ = shlex.split(command)

    assert unknown_flags(command, help_of(module, name)) == set()


@pytest.mark.parametrize("command", JOBS)
def test_jobs_are_described(checkout: Path, command: str) -> None:
    outcome = run_python(*shlex.split(command)[1:], "--dry_run", folder=checkout)

    assert outcome.status == 0, outcome.err
    assert "python -m lightning_app.fit" in outcome.out


@pytest.mark.parametrize("command", OTHER_SUBMIT)
def test_other_submit_commands_are_understood(command: str) -> None:
    module, _, training = parse_command(shlex.split(command)[3:])

    assert module.TAKES_TRAINING_FLAGS or not training


@pytest.mark.parametrize("command", OTHER_MODULES)
def test_other_commands_have_known_flags(command: str) -> None:
    assert unknown_flags(command, help_of(shlex.split(command)[2])) == set()


def test_the_example_of_the_doctor_has_the_report_that_is_shown(tmp_path: Path) -> None:
    page = ROOT / "docs" / "launch-shapes.md"
    given, report = (block.text for block in blocks_of(page, page.read_text(), ""))
    (command,) = (c for c in COMMANDS if "lightning_app.doctor" in c)
    (tmp_path / "env.txt").write_text(given)

    outcome = run_python(*shlex.split(command)[1:], folder=tmp_path)

    assert outcome == Outcome(1, report, "")


def test_the_example_module_is_trained_and_evaluated(tmp_path: Path) -> None:
    own_module(tmp_path)
    (block,) = (block for block in ALL_BLOCKS["sh"] if block.page.stem == "own-modules" and "validate" in block.text)

    outcomes = [run_python(*shlex.split(command)[1:], folder=tmp_path) for command in commands_in(block.text)]

    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    assert "val_accuracy" in outcomes[-1].out
    assert (tmp_path / "outputs" / "checkpoints" / "best.ckpt").exists()


# the README's program runs in test_azureml_logger, here and as a job
@pytest.mark.parametrize(
    "block",
    [b for b in ALL_BLOCKS["python"] if b.page.stem not in ("README", "own-modules")],
    ids=lambda block: block.id,
)
def test_programs_run(tmp_path: Path, block: Block) -> None:
    (tmp_path / "program.py").write_text(block.text)
    launched = variables("pytorch", ProcessRank(0, 0, 2, 4), "127.0.0.2") if "num_nodes" in block.text else {}

    outcome = run_python("program.py", folder=tmp_path, **launched)

    assert outcome.status == 0, outcome.err


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        name for page in PAGES for name in re.findall(r"(?:^|`)make (?:\w+=\S+ )?([a-z-]+)", page.read_text(), re.M)
    }

    assert {name for name in named if f"\n{name}:" not in makefile} == set()
    assert {"fit", "test", "bench"} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_modules_and_files_exist(page: Path) -> None:
    assert missing_names(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_flags_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = flags_in(" ".join(re.findall(r"`([^`]+)`", text)))

    assert named - known_flags() - FOREIGN_FLAGS == set()


@pytest.mark.parametrize("command", ABOUT)
def test_all_flags_of_submit_are_described(command: str) -> None:
    text = (ROOT / "docs" / "submitting.md").read_text()

    assert flags_in(help_of("submit", command).partition("example:")[0]) - flags_in(text) <= {"--help", "--num_epochs"}


@pytest.mark.parametrize("module", ["lightning_app.deliver", "lightning_app.doctor", "submit.emulator", *ABOUT])
def test_help_fits_a_terminal_of_80_columns(module: str) -> None:
    page = help_of("submit", module) if module in ABOUT else help_of(module)

    assert [line for line in page.splitlines() if len(line) > 80] == []


def test_the_list_of_make_fits_a_terminal_of_80_columns() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)  # noqa: S607  # as people do

    assert "make fit" in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


def test_all_pages_are_listed() -> None:
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}

    for index in (ROOT / "README.md", ROOT / "docs" / "README.md"):
        assert pages - {Path(link).name for link in links(index.read_text())} == set(), index


def links(text: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def broken_links(page: Path, text: str) -> list[str]:
    broken = []
    for link in links(text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    return broken


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_names(text: str) -> list[str]:
    """Files, modules and their attributes that the text names and that don't exist."""
    modules = re.findall(r"(?<=python -m )[\w.]+\w", text)
    names = re.findall(rf"`((?:{FOLDERS})(?:\.\w+)+)`", text)
    paths = re.findall(rf"`((?:{FOLDERS})/[^`\s]*|\.ci/\w+)`", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    return missing + [name for name in (*modules, *names) if not exists(name)]


def exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@functools.cache
def known_flags() -> set[str]:
    programs = [("lightning_app", command) for command in ("fit", "validate", "test", "predict", "export", "serve")]
    programs += [("submit", command) for command in ABOUT]
    modules = ("lightning_app.doctor", "lightning_app.deliver", "submit.emulator", "benchmarks")
    pages = [help_of(*words) for words in (*programs, *((module,) for module in modules))]
    pages.append(run_python("-m", "lightning_app.fit", "--trainer.help", folder=ROOT).out)
    return {flag for page in pages for flag in flags_in(page)} | FLAG_GROUPS | flags_of_settings()


def flags_of_settings() -> set[str]:
    """The full names of settings, which the help lists without their prefix or not at all."""
    chosen = ("--model", "ResNetTransfer", "--optimizer", "AdamW", "--lr_scheduler", "ReduceLROnPlateau",
              "--lr_scheduler.monitor", "val_loss")  # fmt: skip
    content = run_python("-m", "lightning_app.fit", *chosen, "--print_config", folder=ROOT).out
    settings = yaml.safe_load(content)
    parts = ("model", "data", "optimizer", "lr_scheduler")
    names = [f"{part}.{name}" for part in parts for name in settings[part]["init_args"]]
    return {f"--{name}" for name in (*settings, *names)}


@pytest.mark.parametrize(
    "command",
    [
        "python -m submit upload --src data --target data/x --datastor x",
        "python -m submit list --num_epochs 3",
        "python -m submit statuses RUN",
    ],
)
def test_a_wrong_command_of_submit_would_be_found(command: str) -> None:
    with pytest.raises(Exception, match=r"datastor|num_epochs|statuses"):
        parse_command(shlex.split(command)[3:])


def test_a_wrong_job_would_be_found(checkout: Path) -> None:
    outcome = run_python("-m", "submit", "run", "--launcher", "slurm", "--dry_run", folder=checkout)

    assert outcome.status == 2


def test_a_wrong_training_command_would_be_found(run: Command) -> None:
    assert run("fit", "--learning_rat", "0.1", "--print_config").status == 2


def test_wrong_names_and_links_would_be_found() -> None:
    text = "`lightning_app.no_module`, `submit/nothing.py`, `python -m submit.nothing`, [a](docs/no.md), [b](#no)"

    assert missing_names(text) == ["submit/nothing.py", "submit.nothing", "lightning_app.no_module"]
    assert broken_links(ROOT / "README.md", text) == ["docs/no.md", "#no"]
    assert unknown_flags("python -m lightning_app.doctor --node 1", help_of("lightning_app.doctor")) == {"--node"}
    assert "--no_such_flag" not in known_flags()


def test_commands_are_found_in_blocks() -> None:
    lines = ("python -m submit run \\", "    --nodes 2  # a comment", "python -m submit.emulator > job.sh &  # another")

    assert commands_in("\n".join(lines)) == ["python -m submit run --nodes 2", "python -m submit.emulator"]
    assert TRAININGS
    assert JOBS
    assert OTHER_SUBMIT
    assert OTHER_MODULES
