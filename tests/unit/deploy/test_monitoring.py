"""deploy/'s rules, scrapes and dashboard: promtool takes them, alerts fire when they should, and what they name exists."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.observability import metrics
from tests.stack import program

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RULES, SCRAPES, DASHBOARD = DEPLOY / "prometheus-rules.yaml", DEPLOY / "prometheus.yml", DEPLOY / "grafana-dashboard.json"

#: Labels that a scrape gives each series.
SCRAPED = {"job", "instance"}
#: Of Prometheus itself and of MinIO, as a node answers at /minio/v2/metrics/cluster and /minio/v2/metrics/node. The scrape
#: adds `node` and `scope`.
OTHERS = {
    "up": SCRAPED,
    "ALERTS": {"alertname", "alertstate"},
    "minio_cluster_capacity_usable_free_bytes": {"node", "scope"},
    "minio_cluster_capacity_usable_total_bytes": {"node", "scope"},
    "minio_node_drive_errors_ioerror": {"node", "scope", "drive"},
    "minio_node_drive_errors_timeout": {"node", "scope", "drive"},
    "minio_node_drive_latency_us": {"node", "scope", "drive", "api"},
    "minio_s3_requests_errors_total": {"node", "scope", "api"},
    "minio_s3_requests_total": {"node", "scope", "api"},
    "minio_s3_traffic_received_bytes": {"node", "scope"},
    "minio_s3_traffic_sent_bytes": {"node", "scope"},
}
#: PromQL's own words, as far as they are used.
WORDS = {
    *("sum", "min", "max", "count", "by", "rate", "increase", "histogram_quantile", "vector"),
    *("on", "or", "and", "unless", "group_left", "group_right"),
}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@functools.cache
def promtool_path() -> str:
    return program("promtool")


def promtool(*args: str | Path) -> None:
    done = subprocess.run([promtool_path(), *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def panels() -> list[dict[str, Any]]:
    """All but the headings."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


# promtool


def test_rules_are_taken() -> None:
    promtool("check", "rules", RULES)


def test_scrapes_are_taken() -> None:
    promtool("check", "config", SCRAPES)


def test_queries_of_the_dashboard_are_taken(tmp_path: Path) -> None:
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    named = [{"record": f"query{n}", "expr": filled(query)} for n, query in enumerate(queries)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": named}]}))
    promtool("check", "rules", file)


def filled(query: str) -> str:
    """As Grafana sends it."""
    return query.replace("$__rate_interval", "5m")


# Alerts: what fires them, and what just does not. A minute a step.


@dataclass
class Case:
    alert: str
    series: dict[str, str]
    #: Those of the alert that fires; none means that no alert does.
    labels: dict[str, str] | None = None
    #: The alert's value, as its text shows it.
    value: str = ""
    at: str = "30m"
    name: str = ""


J, I1, I2, I3 = 'job="openim-direct"', 'instance="i1"', 'instance="i2"', 'instance="i3"'
ON_I1 = {"job": "openim-direct", "instance": "i1"}
ON_M1 = {"job": "openim-direct", "node": "m1"}


def up(instance: str) -> str:
    return f"up{{{J}, {instance}}}"


def info(instance: str) -> str:
    return f'openim_direct_info{{{J}, {instance}, instance_id="x", node="m1", version="1"}}'


def requests(instance: str, code: str = "0", pin: str = "hash", route: str = "view") -> str:
    return f'openim_direct_requests_total{{{J}, {instance}, route="{route}", err_code="{code}", pin="{pin}"}}'


def of(name: str, **labels: str) -> str:
    """A series of i1."""
    listed = ", ".join([J, I1, *(f'{label}="{value}"' for label, value in labels.items())])
    return f"openim_direct_{name}{{{listed}}}"


def free(share: int) -> dict[str, str]:
    """Percent of m1."""
    labels = '{job="minio", node="m1", instance="a:9000", scope="cluster"}'
    return {
        f"minio_cluster_capacity_usable_free_bytes{labels}": f"{share}x60",
        f"minio_cluster_capacity_usable_total_bytes{labels}": "100x60",
    }


def storage(seconds: str, a_minute: int) -> dict[str, str]:
    """All calls of m1 take under 10 s, and over `seconds`."""
    return {
        of("storage_seconds_bucket", node="m1", le=seconds): "0x60",
        of("storage_seconds_bucket", node="m1", le="10"): f"0+{a_minute}x60",
        of("storage_seconds_bucket", node="m1", le="+Inf"): f"0+{a_minute}x60",
        of("storage_seconds_count", node="m1"): f"0+{a_minute}x60",
    }


def probes(milliseconds: int) -> dict[str, str]:
    """One a second."""
    return {
        of("node_probe_seconds_sum", node="m1"): f"0+{milliseconds * 60 / 1000}x60",
        of("node_probe_seconds_count", node="m1"): "0+60x60",
    }


FIRING = [
    Case("OpenIMDirectInstanceDown", {up(I1): "1x9 0x60", up(I2): "1x60"}, ON_I1, at="12m"),
    Case(
        "OpenIMDirectNodeDown",
        {of("node_up", node="m1"): "1x9 0x60", of("node_up", node="m2"): "1x60", of("node_up", node="m3"): "1x60"},
        ON_M1,
        "1",
        at="11m",
    ),
    Case("OpenIMDirectNodeDown", {**probes(900), of("node_up", node="m1"): "0x60"}, ON_M1, "1", name="and not called slow"),
    Case("OpenIMDirectNodeSlow", {**probes(300), of("node_up", node="m1"): "1x60"}, ON_M1, "300ms"),
    Case("OpenIMDirectStorageSlow", storage("5", 30), ON_M1, "9.75s"),
    # Over twice the mean of the others, which is what two can show.
    Case("OpenIMDirectImbalance", {requests(I1): "0+90x60", requests(I2): "0+30x60"}, ON_I1, "3", name="of two"),
    Case(
        "OpenIMDirectImbalance",
        {requests(I1): "0+150x60", requests(I2): "0+60x60", requests(I3): "0+60x60"},
        ON_I1,
        "2.5",
        name="of three",
    ),
    Case(
        "OpenIMDirectImbalance",
        {requests(I1): "0+90x60", info(I1): "1x60", info(I2): "1x60"},
        ON_I1,
        "+Inf",
        name="one is never asked",
    ),
    Case(
        "OpenIMDirectForwards",
        {requests(I1): "0+100x60", of("forwards_total", node="m2", result="answered"): "0+6x60"},
        ON_I1,
        "6%",
    ),
    Case("OpenIMDirectErrors", {requests(I1): "0+98x60", requests(I1, "90002"): "0+2x60"}, ON_I1, "2%", name="database"),
    Case(
        "OpenIMDirectErrors",
        {requests(I1): "0+94x60", requests(I1, "90004", "forwarded"): "0+6x60"},
        ON_I1,
        "6%",
        name="network",
    ),
    Case(
        "OpenIMDirectErrors",
        {requests(I1): "0+98x60", requests(I1, "500"): "0+2x60", of("crashes_total"): "0+2x60"},
        ON_I1,
        "2%",
        name="crashes",
    ),
    Case(
        "OpenIMDirectStorageErrors",
        {
            of("storage_calls_total", node="m1", call="GET", result="200"): "0+90x60",
            of("storage_calls_total", node="m1", call="GET", result="404"): "0+8x60",
            of("storage_calls_total", node="m1", call="PUT", result="403"): "0+1x60",
            of("storage_calls_total", node="m1", call="PUT", result="507"): "0+1x60",
        },
        ON_M1,
        "2%",
    ),
    Case(
        "OpenIMDirectUploadsFailing",
        {of("uploads_completed_total"): "0+90x60", of("uploads_failed_total", reason="ArgsError"): "0+10x60"},
        ON_I1,
        "10%",
        name="some",
    ),
    Case(
        "OpenIMDirectUploadsFailing", {of("uploads_failed_total", reason="ArgsError"): "0+1x60"}, ON_I1, "100%", name="all"
    ),
    Case(
        "OpenIMDirectThumbnailsBusy",
        {of("thumbnails_total", result="shown"): "0+90x60", of("thumbnails_total", result="busy"): "0+10x60"},
        ON_I1,
        "10%",
    ),
    Case("OpenIMDirectDiskFilling", free(14), {"job": "minio", "node": "m1"}, "14%"),
    Case("OpenIMDirectDiskFull", free(4), {"job": "minio", "node": "m1"}, "4%"),
]
QUIET = [
    Case("OpenIMDirectInstanceDown", {up(I1): "1x60"}, name="up"),
    Case("OpenIMDirectInstanceDown", {up(I1): "1x9 0 1x60"}, at="11m", name="not for long"),
    Case("OpenIMDirectInstanceDown", {'up{job="minio", instance="i1"}': "0x60"}, name="of another job"),
    Case("OpenIMDirectNodeDown", {of("node_up", node="m1"): "1x60"}),
    Case("OpenIMDirectNodeSlow", probes(200)),
    Case(
        "OpenIMDirectStorageSlow",
        storage("1", 30) | {of("storage_seconds_bucket", node="m1", le="2"): "0+30x60"},
        name="fast",
    ),
    Case("OpenIMDirectStorageSlow", storage("5", 3), name="hardly any"),
    Case("OpenIMDirectImbalance", {requests(I1): "0+90x60", requests(I2): "0+50x60"}, name="even enough of two"),
    Case(
        "OpenIMDirectImbalance",
        {requests(I1): "0+110x60", requests(I2): "0+60x60", requests(I3): "0+60x60"},
        name="even enough of three",
    ),
    Case("OpenIMDirectImbalance", {requests(I1): "0+90x60", info(I1): "1x60"}, name="of one"),
    Case("OpenIMDirectImbalance", {requests(I1): "0+30x60", requests(I2): "0+3x60"}, name="hardly any load"),
    Case("OpenIMDirectImbalance", {requests(I1): "0+900x60", requests(I2): "0+30x60"}, at="9m", name="not for long"),
    Case(
        "OpenIMDirectImbalance",
        {
            requests(I1): "0+60x60",
            requests(I2): "0+60x60",
            requests(I1, pin="forwarded"): "0+600x60",
            requests(I1, route="metrics"): "0+600x60",
            requests(I1, route="health"): "0+600x60",
        },
        name="forwards and health checks are no clients",
    ),
    Case(
        "OpenIMDirectForwards",
        {requests(I1): "0+100x60", of("forwards_total", node="m2", result="answered"): "0+4x60"},
        name="few",
    ),
    Case(
        "OpenIMDirectForwards",
        {requests(I1): "0+4x60", of("forwards_total", node="m2", result="answered"): "0+2x60"},
        name="hardly any load",
    ),
    Case("OpenIMDirectErrors", {requests(I1): "0+995x60", requests(I1, "90004"): "0+5x60"}, name="few"),
    Case(
        "OpenIMDirectErrors",
        {requests(I1): "0+50x60"} | {requests(I1, code): "0+9x60" for code in ("500", "1001", "1004", "1505", "90007")},
        name="clients' own",
    ),
    Case("OpenIMDirectErrors", {requests(I1, "90002"): "0+2x60"}, name="hardly any load"),
    Case(
        "OpenIMDirectStorageErrors",
        {
            of("storage_calls_total", node="m1", call="GET", result="200"): "0+50x60",
            of("storage_calls_total", node="m1", call="GET", result="404"): "0+50x60",
            of("storage_calls_total", node="m1", call="PUT", result="412"): "0+50x60",
        },
        name="answers about what is there",
    ),
    Case(
        "OpenIMDirectStorageErrors", {of("storage_calls_total", node="m1", call="GET", result="403"): "0+2x60"}, name="few"
    ),
    Case(
        "OpenIMDirectUploadsFailing",
        {of("uploads_completed_total"): "0+96x60", of("uploads_failed_total", reason="ArgsError"): "0+4x60"},
        name="few of many",
    ),
    Case("OpenIMDirectUploadsFailing", {of("uploads_failed_total", reason="ArgsError"): "0x15 2x60"}, at="23m", name="two"),
    Case(
        "OpenIMDirectThumbnailsBusy",
        {
            of("thumbnails_total", result="shown"): "0+60x60",
            of("thumbnails_total", result="refused"): "0+36x60",
            of("thumbnails_total", result="busy"): "0+4x60",
        },
        name="few; no images are no load",
    ),
    Case("OpenIMDirectThumbnailsBusy", {of("thumbnails_total", result="busy"): "0+2x60"}, name="hardly any"),
    Case("OpenIMDirectDiskFilling", free(16)),
    Case("OpenIMDirectDiskFull", free(16)),
]


def case_id(case: Case) -> str:
    return f"{case.alert.removeprefix('OpenIMDirect')}-{case.name or ('quiet' if case.labels is None else 'fires')}"


def in_promtools_words(case: Case) -> dict[str, Any]:
    """The named alert with its whole text, and that no other fires."""
    expected: list[dict[str, Any]] = []
    firing: list[dict[str, Any]] = []
    if case.labels is not None:
        rule = alerts()[case.alert]
        labels = {**case.labels, **rule["labels"]}
        texts = {k: shown(v, labels, case.value) for k, v in rule["annotations"].items()}
        expected = [{"exp_labels": labels, "exp_annotations": texts}]
        firing = [{"labels": f'{{alertname="{case.alert}"}}', "value": 1}]
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
        "promql_expr_test": [
            {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": case.at, "exp_samples": firing}
        ],
    }


def shown(text: str, labels: dict[str, str], value: str) -> str:
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
    return re.sub(r"\{\{ \$value( \| \w+)? \}\}", value, text)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What promtool says of each case; one run for all, as each costs it a start."""
    folder = tmp_path_factory.mktemp("rules")
    shutil.copy(RULES, folder)
    files = {}
    for case in FIRING + QUIET:
        file = folder / f"{len(files)}.yaml"
        test = in_promtools_words(case)
        file.write_text(yaml.safe_dump({"rule_files": [RULES.name], "evaluation_interval": "1m", "tests": [test]}))
        files[case_id(case)] = file
    done = subprocess.run(
        [promtool_path(), "test", "rules", *files.values()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = dict(part.split("\n", 1) for part in done.stdout.split("Unit Testing:  ")[1:])
    assert set(said) == {str(file) for file in files.values()}, done.stdout
    return {name: said[str(file)].strip() for name, file in files.items()}


@pytest.mark.parametrize("name", [case_id(case) for case in FIRING])
def test_alert_fires(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "SUCCESS", outcomes[name]


@pytest.mark.parametrize("name", [case_id(case) for case in QUIET])
def test_alert_keeps_quiet(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "SUCCESS", outcomes[name]


def test_every_alert_is_tried_both_ways() -> None:
    ids = [case_id(case) for case in FIRING + QUIET]
    assert len(set(ids)) == len(ids)
    assert {case.alert for case in FIRING} == {case.alert for case in QUIET} == set(alerts())


def test_every_alert_says_what_and_why_and_what_to_do() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert set(rule["annotations"]) == {"summary", "description"}, name
        assert "Cure" in rule["annotations"]["description"], name


def test_panels_that_alerts_name_exist() -> None:
    titles = {panel["title"] for panel in panels()}
    named = set()
    for rule in alerts().values():
        named |= set(re.findall(r'panel "([^"]+)"', rule["annotations"]["description"]))
    assert named
    assert named - titles == set()


# Names


@functools.cache
def known() -> dict[str, set[str]]:
    """Every series to its labels, but for those of `SCRAPED`."""
    found = dict(OTHERS)
    for collector in metrics.Collectors().by_name.values():
        for family in collector.describe():
            for suffix in SUFFIXES[family.type]:
                labels = {*collector._labelnames, *(["le"] if suffix == "_bucket" else [])}
                found[family.name + suffix] = labels
    return found


def unknown(query: str, recorded: set[str]) -> list[str]:
    """What a query names that does not exist: series, and labels of the series in braces."""
    faults = []
    query = re.sub(r'"[^"]*"', '""', filled(query))
    for name, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", query):
        for label in re.findall(r"(\w+)\s*[=!]", matchers):
            if label not in SCRAPED | known().get(name, set()):
                faults.append(f"{name}{{{label}}}")
    query = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", query)
    any_label = set().union(SCRAPED, *known().values())
    for listed in re.findall(r"\b(?:by|on|group_left|group_right)\s*\(([\w\s,]*)\)", query):
        faults += [f"by {label}" for label in re.findall(r"\w+", listed) if label not in any_label]
    query = re.sub(r"\b(by|on|group_left|group_right)\s*\([\w\s,]*\)", "", query)
    names = re.findall(r"[a-zA-Z_:][\w:]*", query)
    return faults + [name for name in names if name not in known() and name not in recorded | WORDS]


def test_rules_name_what_exists() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    faults = {rule.get("alert") or rule["record"]: unknown(rule["expr"], recorded) for rule in rules()}
    assert {name: fault for name, fault in faults.items() if fault} == {}


def test_every_recorded_series_is_used() -> None:
    text = RULES.read_text()
    unused = {rule["record"] for rule in rules() if "record" in rule and text.count(rule["record"]) == 1}
    assert unused == set()


def test_the_dashboard_names_what_exists() -> None:
    faults = {panel["title"]: [fault for t in panel["targets"] for fault in unknown(t["expr"], set())] for panel in panels()}
    assert {title: fault for title, fault in faults.items() if fault} == {}


def test_variables_of_the_dashboard_ask_for_what_exists() -> None:
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", variable["query"]["query"])
            assert found is not None, variable["name"]
            assert variable["definition"] == found[0], variable["name"]
            assert found[1] in known(), variable["name"]
            assert found[3] in SCRAPED, variable["name"]


def test_every_metric_of_ours_is_shown() -> None:
    """Or it is not worth its name; `info` gives the variables their values."""
    text = json.dumps([panel["targets"] for panel in panels()])
    for name, collector in metrics.Collectors().by_name.items():
        if name != "info":
            for family in collector.describe():
                assert family.name in text, family.name


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ('sum by (pin) (rate(openim_direct_requests_total{pin!="x"}[5m]))', []),
        ("openim_direct_requests", ["openim_direct_requests"]),
        ("openim_direct_request_seconds", ["openim_direct_request_seconds"]),
        ("openim_direct_node_up_total", ["openim_direct_node_up_total"]),
        ("minio_cluster_capacity_free_bytes", ["minio_cluster_capacity_free_bytes"]),
        ('openim_direct_node_up{pin="x"}', ["openim_direct_node_up{pin}"]),
        ("sum by (instances) (up)", ["by instances"]),
        ("job:made_up:rate5m > 1", ["job:made_up:rate5m"]),
    ],
)
def test_a_wrong_name_is_found(query: str, faults: list[str]) -> None:
    assert unknown(query, set()) == faults


# The dashboard


def test_panels_are_whole() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in dashboard()["panels"]]
    assert len(set(titles)) == len(titles)
    for panel in panels():
        assert panel["title"].strip(), panel["id"]
        assert panel["description"].strip(), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]
        assert all(target["expr"].strip() for target in panel["targets"]), panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """The data source is chosen on the page, and job and instance are variables."""
    loaded = dashboard()
    assert loaded.get("id") is None
    variables = {variable["name"]: variable for variable in loaded["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert {"job", "instance"} <= set(variables)
    for panel in panels():
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels()))) - {"__rate_interval"}
    assert used == set(variables)


# Scrapes


def test_instances_are_scraped_where_the_sample_binds_them() -> None:
    sample = yaml.safe_load((DEPLOY.parent / "instances.yaml").read_text())
    jobs = {job["job_name"]: job for job in yaml.safe_load(SCRAPES.read_text())["scrape_configs"]}
    scraped = {t["labels"]["instance"]: t["targets"] for t in jobs["openim-direct"]["static_configs"]}
    assert scraped == {name: [instance["bind"]] for name, instance in sample["instances"].items()}
    nodes = {(t["labels"]["node"], t["labels"]["__metrics_path__"], *t["targets"]) for t in jobs["minio"]["static_configs"]}
    assert nodes == {
        (name, f"/minio/v2/metrics/{scope}", node["endpoint"].removeprefix("http://"))
        for name, node in sample["nodes"].items()
        for scope in ("cluster", "node")
    }
