"""What a job costs is said before it is sent, in one line, from a table that a file replaces."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from submit.cost import describe_cost, describe_deployment_cost
from submit.deployment.deployment import Deployment, RegisteredModel
from submit.errors import SubmitError
from submit.interface import Nodes
from submit.job import CuratedEnvironment
from submit.prices import Prices, read_prices
from submit.submission import cost_without_workspace
from tests.submit.test_command_line import job_of

A100 = Nodes("Standard_NC24ads_A100_v4", "eastus", low_priority=False)


def prices_in(tmp_path: Path, text: str) -> Prices:
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    return read_prices(file)


def test_the_cost_is_nodes_times_price_times_duration_and_says_where_the_price_is_from() -> None:
    job = job_of("--nodes 2 --max_duration 12h")

    line = describe_cost(job, A100, read_prices())

    assert line == (
        "cost: at most 88.15 USD (2 Standard_NC24ads_A100_v4 x 3.673 USD an hour x 12 h); with low priority 17.63 USD "
        "at best; prices: eastus, 2025, Azure Retail Prices API by SkyPilot's catalog"
    )


def test_a_sweep_costs_as_much_as_all_its_runs() -> None:
    one, all_runs = (describe_cost(job_of("--max_duration 10h"), A100, read_prices(), runs) for runs in (1, 20))

    assert one.startswith("cost: at most 36.73 USD (1 Standard_NC24ads_A100_v4 x ")
    assert all_runs.startswith("cost: at most 734.60 USD (20 runs x 1 Standard_NC24ads_A100_v4 x ")


def test_without_a_duration_the_cost_is_that_of_thirty_days() -> None:
    line = describe_cost(job_of(""), A100, read_prices())

    assert line.startswith("cost: at most 2,644.56 USD (1 Standard_NC24ads_A100_v4 x 3.673 USD an hour x 720 h, as ")


def test_the_price_of_another_region_is_named_as_such() -> None:
    line = describe_cost(job_of(""), replace(A100, region="West Europe"), read_prices())

    assert line.endswith(", not those of westeurope")


@pytest.mark.parametrize(
    ("size", "nodes", "expected"),
    [
        (
            "{price: 2, low_priority: 0.5}",
            A100,
            "at most 20.00 EUR (1 S x 2.000 EUR an hour x 10 h); with low priority 5.00 EUR",
        ),
        (
            "{price: 2, low_priority: 0.5}",
            replace(A100, low_priority=True),
            "at most 5.00 EUR (1 S x 0.500 EUR an hour x 10 h); with dedicated nodes 20.00 EUR",
        ),
        ("2", replace(A100, low_priority=True), "at most 20.00 EUR (1 S x 2.000 EUR an hour x 10 h)"),
    ],
)
def test_the_prices_of_a_file_replace_the_table(tmp_path: Path, size: str, nodes: Nodes, expected: str) -> None:
    prices = prices_in(tmp_path, f"currency: EUR\nsizes:\n  standard_nc24ads_a100_v4: {size}\n")

    line = describe_cost(job_of("--max_duration 10h"), nodes, prices)

    assert line == f"cost: {expected}".replace("1 S x", f"1 {A100.vm_size} x")


@pytest.mark.parametrize(
    ("nodes", "flags", "expected"),
    [
        (
            Nodes("Standard_X1", None, False),
            "",
            r"cost: not known: the price list \(eastus, 2025, .*\) has no Standard_X1; ",
        ),
        (None, "", "cost: not known: the VM size of 'gpu-cluster' isn't known here; the workspace is asked before "),
        (None, "--compute serverless", "cost: not known: Azure ML chooses the machine; give --vm_size"),
    ],
)
def test_a_cost_that_is_not_known_is_one_line_that_says_why(nodes: Nodes | None, flags: str, expected: str) -> None:
    line = describe_cost(job_of(flags), nodes, read_prices())

    assert re.match(expected, line)
    assert "\n" not in line


def test_the_flags_are_enough_for_serverless_nodes() -> None:
    job = job_of("--compute serverless --vm_size Standard_NC4as_T4_v3 --low_priority --max_duration 10h")

    line = cost_without_workspace(job, read_prices())

    assert line.startswith(
        "cost: at most 5.26 USD (1 Standard_NC4as_T4_v3 x 0.526 USD an hour x 10 h); its low priority 1.05 "
    )


def deployment_on(vm_size: str, count: int) -> Deployment:
    model, environment = RegisteredModel("net", "1"), CuratedEnvironment("serving", "1")
    return Deployment("pictures", "blue", model, environment, vm_size, count)


def test_a_deployment_costs_its_machines_until_it_is_deleted(tmp_path: Path) -> None:
    wanted = deployment_on("Standard_F4s_v2", 3)
    prices = prices_in(tmp_path, "currency: EUR\nregion: westeurope\nsizes: {Standard_F4s_v2: 0.25}\n")

    line = describe_deployment_cost(wanted, "West Europe", prices)

    assert line == (
        "cost: 18.00 EUR a day, 547.50 EUR a month of 730 h, until it is deleted (3 Standard_F4s_v2 x 0.250 EUR an "
        "hour); prices: westeurope"
    )


def test_a_deployment_on_a_size_without_a_price_is_a_line_with_what_to_do() -> None:
    line = describe_deployment_cost(deployment_on("Standard_F4s_v2", 1), None, read_prices())

    assert re.fullmatch(
        r"cost: not known: the price list \(eastus, .*\) has no Standard_F4s_v2; give --prices FILE", line
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sizes: [", "can't be read"),
        ("a: 1", "has no sizes; expected YAML with 'sizes'"),
        ("sizes: {}", "has no sizes"),
        (
            "sizes: {S: 1}\nregions: [a]",
            "has 'regions'; expected date, region, currency, source, low_priority_discount",
        ),
        ("sizes: {S: free}", "S has 'free'; expected the price of one node for an hour, such as 0.55"),
        ("sizes: {S: -1}", "S has -1; expected the price"),
        ("sizes: {S: {low_priority: 1}}", "S has {'low_priority': 1}; expected the price"),
        ("sizes: {S: 1}\nlow_priority_discount: 80", "low_priority_discount is 80; expected a share from 0 to 1"),
    ],
)
def test_a_file_that_is_no_table_of_prices_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SubmitError) as error:
        prices_in(tmp_path, text)

    assert str(error.value).startswith(f"--prices '{tmp_path / 'prices.yaml'}': {message}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(SubmitError, match=r"^--prices 'no.yaml': can't be read \(.*No such file"):
        read_prices(Path("no.yaml"))
