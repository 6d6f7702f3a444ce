//! What `deploy` has for containers: their own checkers understand it, and what it says of `tickwire` is true.

mod service {
    #[expect(dead_code, reason = "no header is looked at")]
    pub(crate) mod http;
    pub(crate) mod installed;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
}

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tickwire::limits::{CLOSE_WAIT, HTTP_END_WAIT};

use service::installed::installed;
use service::needed::is_there;
use service::process::Service;
use service::program::tickwire;

const KUBERNETES: [&str; 3] =
    ["deploy/kubernetes/gateway.yaml", "deploy/kubernetes/ingest.yaml", "deploy/kubernetes/nats.yaml"];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn text(file: &str) -> String {
    fs::read_to_string(path(file)).expect("it ships")
}

/// Has a checker look at a file, and at one with a fault in it, which it must find.
fn check(checker: &str, flags: &[&str], file: &str, right: &str, wrong: &str) {
    if !is_there(checker, installed(checker).arg("--version")) {
        return;
    }
    let look = |file: &Path| installed(checker).args(flags).arg(file).output().expect("it is there");
    let output = look(&path(file));
    assert!(output.status.success(), "{file}: {}", told(&output));

    let text = text(file);
    assert!(text.contains(right), "{file}: no {right}");
    let folder = tempfile::tempdir().expect("a folder");
    let faulty = folder.path().join(path(file).file_name().expect("a name"));
    fs::write(&faulty, text.replace(right, wrong)).expect("a file");
    let output = look(&faulty);
    assert!(!output.status.success(), "{file}: {wrong} is no fault: {}", told(&output));
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn hadolint_finds_nothing_in_the_image() {
    check("hadolint", &[], "deploy/Dockerfile", "debian:bookworm-slim", "debian:latest");
}

#[test]
fn the_compose_file_is_one() {
    let flags = ["--builtin-schema", "vendor.compose-spec"];
    check("check-jsonschema", &flags, "deploy/compose.yaml", "depends_on:", "depends_upon:");
}

#[test]
fn kubernetes_understands_the_manifests() {
    for file in KUBERNETES {
        check("kubernetes-validate", &["--strict"], file, "policyTypes:", "policies:");
    }
}

/// The documents of these files of YAML, where something is there to read them.
fn documents(files: &[&str]) -> Option<Vec<Value>> {
    const READ: &str = "import json, sys, yaml\n\
                        print(json.dumps([d for f in sys.argv[1:] for d in yaml.safe_load_all(open(f, encoding='utf-8'))]))";
    if !is_there("python's `yaml`", installed("python3").args(["-c", "import yaml"])) {
        return None;
    }
    let output = installed("python3")
        .args(["-c", READ])
        .args(files.iter().map(|file| path(file)))
        .output()
        .expect("it is there");
    assert!(output.status.success(), "{}", told(&output));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn words(list: &Value) -> Vec<String> {
    let words = list.as_array().unwrap_or_else(|| panic!("a list of words, not {list}")).iter();
    words.map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// What runs `tickwire serve`, as it is started there.
struct Serves {
    what: String,
    /// Behind `serve`.
    flags: Vec<String>,
    /// How long it may take to end, beside what comes before the signal.
    grace: Duration,
    /// Of the containers of Kubernetes, else null.
    container: Value,
}

impl Serves {
    fn new(what: &str, command: Vec<String>, grace_seconds: u64, container: &Value) -> Self {
        assert_eq!(command[0], "serve", "{what}");
        let grace = Duration::from_secs(grace_seconds);
        Self { what: what.to_owned(), flags: command[1..].to_vec(), grace, container: container.clone() }
    }

    /// What would run with these flags, by the name of each setting.
    fn settings(&self) -> BTreeMap<String, String> {
        let folder = certificate();
        let flags =
            self.flags.iter().map(|flag| flag.replace("/tls/", &format!("{}/", folder.path().display())));
        let output = tickwire().arg("check-config").args(flags).output().expect("it runs");
        assert!(output.status.success(), "{}: {}", self.what, told(&output));
        let shown = String::from_utf8(output.stdout).expect("UTF-8");
        // Before the tables, in which names come again.
        let lines =
            shown.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
        lines.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
    }
}

/// A secret as cert-manager makes it.
fn certificate() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let output = tickwire().args(["dev-cert", "--out"]).arg(folder.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", told(&output));
    for (from, to) in [("cert.pem", "tls.crt"), ("key.pem", "tls.key")] {
        fs::rename(folder.path().join(from), folder.path().join(to)).expect("made");
    }
    folder
}

fn seconds(text: &str) -> u64 {
    let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    seconds.unwrap_or_else(|| panic!("whole seconds, not {text}"))
}

/// The list of words behind an instruction of the image.
fn instruction(name: &str) -> Vec<String> {
    let image = text("deploy/Dockerfile");
    let line =
        image.lines().rev().find_map(|line| line.trim_start().split_once(name).map(|(_, words)| words));
    words(&serde_json::from_str(line.expect("there is one")).expect("a list"))
}

fn pods(manifests: &[Value]) -> impl Iterator<Item = &Value> {
    manifests.iter().map(|manifest| &manifest["spec"]["template"]).filter(|pod| !pod.is_null())
}

fn all_that_serve() -> Option<Vec<Serves>> {
    let compose = documents(&["deploy/compose.yaml"])?.remove(0);
    let manifests = documents(&KUBERNETES)?;
    // What `docker stop` waits.
    let mut all = vec![Serves::new("the image", instruction("CMD "), 10, &Value::Null)];
    assert_eq!(instruction("ENTRYPOINT "), ["tickwire"]);
    for (name, service) in compose["services"].as_object().expect("services") {
        if service["image"] == "tickwire" && service["entrypoint"].is_null() {
            let grace = seconds(service["stop_grace_period"].as_str().expect("a time"));
            all.push(Serves::new(name, words(&service["command"]), grace, &Value::Null));
        }
    }
    for pod in pods(&manifests) {
        for container in list(&pod["spec"]["containers"]).filter(|container| container["name"] == "tickwire")
        {
            let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().expect("a number");
            let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
            let what = pod["metadata"]["labels"].to_string();
            all.push(Serves::new(&what, words(&container["args"]), grace - before, container));
        }
    }
    assert_eq!(all.len(), 6, "the image, three of the compose file, two of Kubernetes");
    Some(all)
}

#[test]
fn each_is_started_with_settings_that_there_are_and_has_the_time_to_drain() {
    for serves in all_that_serve().into_iter().flatten() {
        let settings = serves.settings();
        let drain = Duration::from_secs(seconds(&settings["drain"]));
        // Answers on their way, and goodbyes that are read, are given their time after that.
        let needed = drain + HTTP_END_WAIT.max(CLOSE_WAIT);
        assert!(serves.grace >= needed, "{}: {:?}, and {needed:?} are needed", serves.what, serves.grace);
    }
}

#[test]
fn each_is_asked_how_it_is_where_it_answers() {
    let Some(all) = all_that_serve() else { return };
    let service = Service::start(["--sim-instruments", "2"]);
    let is_answered = |path: &str| service.get(path).status == 200;
    for serves in all.iter().filter(|serves| !serves.container.is_null()) {
        let (settings, container) = (serves.settings(), &serves.container);
        let port: u64 = settings["listen"].rsplit_once(':').expect("a port").1.parse().expect("a number");
        let scheme = if settings["tls_cert"].is_empty() { Value::Null } else { json!("HTTPS") };
        for (probe, path) in [("readinessProbe", "/health/ready"), ("livenessProbe", "/health/live")] {
            let get = &container[probe]["httpGet"];
            assert_eq!((&get["path"], &get["scheme"]), (&json!(path), &scheme), "{}: {probe}", serves.what);
            assert!(is_answered(path), "{path}");
            let named =
                list(&container["ports"]).find(|named| named["name"] == get["port"]).expect("it is named");
            assert_eq!(named["containerPort"], port, "{}: {probe}", serves.what);
        }
    }
    let image = instruction("CMD ").iter().any(|flag| flag == "0.0.0.0:8080");
    let asked = instruction("HEALTHCHECK --interval=5s --timeout=2s --start-period=30s --retries=3 CMD ");
    let path = asked.last().expect("a URL").strip_prefix("http://127.0.0.1:8080").expect("where it listens");
    assert!(image && is_answered(path), "{asked:?}");
}

#[test]
fn who_is_named_is_there() {
    let Some(all) = all_that_serve() else { return };
    let compose = documents(&["deploy/compose.yaml"]).expect("read before").remove(0);
    let manifests = documents(&KUBERNETES).expect("read before");
    for serves in &all {
        let settings = serves.settings();
        let Some(broker) = settings["bus"].strip_prefix("nats://") else {
            assert_eq!((&*settings["bus"], &*serves.what), ("", "the image"));
            continue;
        };
        assert_eq!(broker, "nats:4222");
        if serves.container.is_null() {
            assert!(compose["services"]["nats"].is_object());
            if settings["role"] == "gateway" {
                let balancer = &compose["services"]["balancer"]["networks"]["inside"]["ipv4_address"];
                assert_eq!(
                    settings["trusted_proxies"],
                    format!("[\"{}\"]", balancer.as_str().expect("an address"))
                );
                assert_eq!(settings["proxy_protocol"], "true");
                assert!(
                    text("deploy/haproxy.cfg").contains(&format!(" {}:8080\n", serves.what)),
                    "{}",
                    serves.what
                );
            }
        } else {
            let service =
                manifests.iter().find(|one| one["kind"] == "Service" && one["metadata"]["name"] == "nats");
            assert_eq!(service.expect("it is there")["spec"]["ports"][0]["port"], 4222);
        }
    }

    let labels: Vec<_> = pods(&manifests).map(|pod| &pod["metadata"]["labels"]).collect();
    let mut selectors = Vec::new();
    for manifest in &manifests {
        find_selectors(manifest, &mut selectors);
        if manifest["kind"] == "Service" {
            selectors.push(&manifest["spec"]["selector"]);
        }
    }
    selectors.retain(|selector| selector.get("kubernetes.io/metadata.name").is_none());
    assert!(selectors.len() > 10, "{selectors:?}");
    for selector in selectors {
        let selects = |labels: &&Value| {
            selector.as_object().expect("labels").iter().all(|(name, value)| labels[name] == *value)
        };
        assert!(labels.iter().any(selects), "nothing is {selector}");
    }
}

fn find_selectors<'a>(manifest: &'a Value, found: &mut Vec<&'a Value>) {
    if let Some(selector) = manifest.get("matchLabels") {
        found.push(selector);
    }
    match manifest {
        Value::Object(fields) => fields.values().for_each(|value| find_selectors(value, found)),
        Value::Array(values) => values.iter().for_each(|value| find_selectors(value, found)),
        _ => {}
    }
}

#[test]
fn what_it_scales_by_is_exported() {
    let Some(manifests) = documents(&KUBERNETES) else { return };
    let scaler =
        manifests.iter().find(|manifest| manifest["kind"] == "HorizontalPodAutoscaler").expect("it is there");
    let target = &scaler["spec"]["scaleTargetRef"];
    let is_target = |one: &&Value| one["kind"] == target["kind"] && one["metadata"]["name"] == target["name"];
    assert!(manifests.iter().any(|one| is_target(&one)), "{target}");
    let metric = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"].as_str().expect("a name");
    let exported = Service::start(["--sim-instruments", "2"]).get("/metrics").body;
    assert!(exported.lines().any(|line| line == format!("{metric} 0")), "no {metric}");
}
