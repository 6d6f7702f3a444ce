//! The dashboard and the alert rules of `deploy` name what the running service exports, and Prometheus understands them.

mod service {
    pub(crate) mod http;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
}

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use service::needed::is_there;
use service::process::Service;

const FILES: [&str; 2] = ["deploy/grafana.json", "deploy/alerts.yaml"];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn text(file: &str) -> String {
    fs::read_to_string(path(file)).expect("it ships")
}

/// The names that begin so.
fn names<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).map(move |(at, _)| {
        let rest = &text[at..];
        rest.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_').next().expect("a name")
    })
}

#[test]
fn every_metric_and_label_that_is_named_is_exported() {
    let service = Service::start(["--sim-instruments", "2"]);
    let response = service.get("/metrics");
    assert_eq!((response.status, response.header("content-type")), (200, "text/plain; version=0.0.4"));
    let exported = response.body;
    let metrics: BTreeSet<&str> = exported
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for file in FILES {
        let text = text(file).replace("\\\"", "\"");
        let named: BTreeSet<&str> = names(&text, "tickwire_").collect();
        assert!(named.len() > 15, "{named:?}");
        let unknown: Vec<_> = named.difference(&metrics).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
        for label in ["reason", "state", "class", "stage"] {
            for sign in ["=\"", "=~\""] {
                for (at, found) in text.match_indices(&format!("{label}{sign}")) {
                    let values = text[at + found.len()..].split('"').next().expect("a value");
                    for value in values.split('|') {
                        let shown = format!("{label}=\"{value}\"");
                        assert!(exported.contains(&shown), "{file}: nothing has {shown}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_dashboard_is_one() {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana.json")).expect("JSON");
    assert_eq!(
        (&dashboard["title"], &dashboard["uid"]),
        (&json!("Tickwire"), &json!("tickwire")),
        "{dashboard}"
    );
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("a number")).collect();
    assert_eq!(ids.len(), panels.len(), "an id is there twice");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "two panels at {place:?}: {panel}");
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(!panel["targets"].as_array().expect("targets").is_empty(), "{panel}");
        }
    }
    assert!(expressions(&dashboard).len() > 40);
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().expect("a text").to_owned()).collect()
}

/// What each alert has, as it stands there.
#[test]
fn each_alert_says_what_to_do() {
    let text = text("deploy/alerts.yaml");
    let mut alerts = text.split("      - alert: ").skip(1).peekable();
    assert!(alerts.peek().is_some());
    for alert in alerts {
        for part in ["        expr: ", "          summary: ", "          action: "] {
            let line = alert.lines().find_map(|line| line.strip_prefix(part));
            assert!(line.is_some_and(|line| line.len() > 15), "no {part} in {alert}");
        }
        let severity = ["page", "ticket"].map(|severity| format!("        labels: {{severity: {severity}}}"));
        assert!(alert.lines().any(|line| severity.iter().any(|severity| severity == line)), "{alert}");
    }
}

#[test]
fn prometheus_understands_both_and_alerts_when_it_is_to() {
    if !is_there("promtool", Command::new("promtool").arg("--version")) {
        return;
    }
    promtool(&["check", "rules"], &path("deploy/alerts.yaml"));
    promtool(&["test", "rules"], &path("tests/rules/alerts.yaml"));

    // Of a dashboard it reads the expressions alone, as rules. JSON is YAML.
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana.json")).expect("JSON");
    let rules: Vec<Value> = expressions(&dashboard)
        .iter()
        .enumerate()
        .map(|(at, expression)| {
            let expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
            json!({"record": format!("panel:{at}"), "expr": expression})
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yaml");
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    fs::write(&file, rules.to_string()).expect("a file");
    promtool(&["check", "rules"], &file);
}

#[test]
fn prometheus_understands_what_is_exported() {
    if !is_there("promtool", Command::new("promtool").arg("--version")) {
        return;
    }
    let service = Service::start(["--sim-instruments", "2"]);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is there");
    let exported = service.get("/metrics").body;
    promtool.stdin.take().expect("a pipe").write_all(exported.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    // A matter of taste, and its name is out.
    let known = "tickwire_feed_late_microseconds use base unit \"seconds\" instead of \"microseconds\"";
    assert_eq!(told.trim(), known);
}

fn promtool(command: &[&str], file: &Path) {
    let output =
        Command::new("promtool").args(command).arg(file).stdin(Stdio::null()).output().expect("it is there");
    let told = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&told));
}
