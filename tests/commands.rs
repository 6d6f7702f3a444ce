//! The commands as they are typed: settings, refusals, exit codes, signals.

mod service {
    pub(crate) mod client;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod raw;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod simulated;
    pub(crate) mod upgrade;
}

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use feeds::Input;
use serde_json::json;
use tempfile::TempDir;
use tickwire::limits::SHARDS_MAX;

use service::client::Client;
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::raw::{FIN, RawClient, TEXT, text};
use service::run::run;
use service::signal::signal;

const RECORDING: &str =
    concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/binance-20211012.jsonl.zst");

fn tickwire_with(args: &[&str]) -> Output {
    run(tickwire().args(args))
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, named: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    for text in named {
        assert!(stderr.contains(text), "lacks {text:?}: {stderr}");
    }
    assert!(!stderr.contains("panicked") && !stderr.contains("canary"), "{stderr}");
}

/// What `check-config` prints.
#[track_caller]
fn settings(mut command: Command) -> toml::Table {
    let output = run(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").parse().expect("TOML")
}

fn check_config(folder: &Path, args: &[&str]) -> Command {
    let mut command = tickwire();
    command.current_dir(folder).arg("check-config").args(args);
    command
}

/// Files that settings may name: recordings of some symbols, a certificate and its key, and who is let in.
fn with_files() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b", "c", "a\"b"] {
        let mut text = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n".to_owned();
        for symbol in ["AAPL", "700", "A", "B", "X/Y", "Z"] {
            text.push_str(&format!("bitmex,{symbol},1600000000000000,1600000000000000,1,buy,8531.5,1\n"));
        }
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    for command in [&["dev-cert"][..], &["token", "key"]] {
        let output = run(tickwire().current_dir(folder.path()).args(command));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let rename = |from, to| std::fs::rename(folder.path().join(from), folder.path().join(to)).expect("made");
    rename("token-key.pub.pem", "key.pub.pem");
    for (name, text) in
        [("secret", "a secret of thirty-two bytes, or"), ("api-keys.toml", ""), ("revoked", "")]
    {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

/// Waits for the process's end.
fn wait(server: &mut Service) -> ExitStatus {
    let mut status = None;
    eventually("the process has ended", || {
        status = server.child.try_wait().expect("our child");
        status.is_some()
    });
    status.expect("it has ended")
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = tickwire_with(&["serve", "--listen", &address]);
    assert_refused(&output, 1, &[&format!("cannot listen on {address}"), "in use"]);

    // Its own listeners share a port among each other, but not with another process.
    let server = Service::simulated("quotes", 1, 1);
    let address = server.address.to_string();
    let output = tickwire_with(&["serve", "--listen", &address]);
    assert_refused(&output, 1, &[&format!("cannot listen on {address}"), "in use"]);
    assert_eq!(server.get("/health/live").status, 200);

    let output = tickwire_with(&["serve", "--listen", "192.0.2.1:8080", "--allow-plain"]);
    assert_refused(&output, 1, &["cannot listen on 192.0.2.1:8080"]);
}

#[test]
fn a_port_is_free_again_at_once() {
    let mut server = Service::simulated("quotes", 1, 100);
    let address = server.address.to_string();
    let mut client = server.client();
    client.subscribe("quote", &["*"]);
    signal(&server.child, "TERM");
    client.try_until(|_| false).expect_err("its end");
    assert!(wait(&mut server).success());
    let server = Service::spawn(tickwire().args(["serve", "--listen", &address]));
    assert_eq!(server.address.to_string(), address);
}

#[test]
fn what_is_not_understood_ends_with_2() {
    for args in [
        &["--nonsense"][..],
        &["dance"],
        &["serve", "--nonsense"],
        &["serve", "--shards", "many"],
        &["serve", "--sim-rate", "1.5"],
        &["serve", "--loop", "false"],
        &["serve", "--listen"],
        &["serve", "extra"],
        &["check-config", "--nonsense"],
        &["inspect", "--nonsense"],
        &["watch", "--nonsense"],
        &["load", "--nonsense"],
        &["lint", "--nonsense"],
        &["tap", "--nonsense"],
        &["replay-capture", "--nonsense"],
    ] {
        let named = args.last().expect("an argument");
        assert_refused(&tickwire_with(args), 2, &["error:", named]);
    }
}

#[test]
fn every_wrong_setting_is_named_by_serve_and_by_check_config() {
    let cases: [(&[&str], &[&str]); 77] = [
        (&["--listen", "8080"], &["listen = `8080`", "127.0.0.1:8080"]),
        (&["--listen", "localhost:80a"], &["listen = `localhost:80a`"]),
        (&["--max-connections", "0"], &["max_connections = `0`", "at least 1"]),
        (&["--max-connections-per-address", "0"], &["max_connections_per_address = `0`"]),
        (&["--max-subscriptions", "0"], &["max_subscriptions = `0`"]),
        (&["--max-handshakes-per-second", "0"], &["max_handshakes_per_second = `0`"]),
        (&["--max-requests-per-second", "0"], &["max_requests_per_second = `0`"]),
        (&["--max-messages-per-second", "0"], &["max_messages_per_second = `0`"]),
        (&["--max-memory", "much"], &["max_memory = `much`", "1GiB"]),
        (&["--ping-interval", "0s"], &["ping_interval = `0s`"]),
        (&["--ping-timeout", "10"], &["ping_timeout = `10`", "10s"]),
        (&["--exempt-addresses", "localhost"], &["exempt_addresses = `localhost`", "10.0.0.0/8"]),
        (&["--trusted-proxies", "::1,10.0.0.1/8"], &["trusted_proxies = `10.0.0.1/8`", "more bits"]),
        (&["--proxy-protocol"], &["proxy_protocol = `true`", "--trusted-proxies"]),
        (&["--allowed-origins", "https://a/b"], &["allowed_origins = `https://a/b`", "no path"]),
        (&["--drain", "2h"], &["drain = `2h`", "at most"]),
        (&["--shards", "65"], &["shards = `65`", "64"]),
        (&["--role", "ingest", "--bus", "nats://h:1", "--shards", "64"], &["shards = `64`", "at most 63"]),
        (&["--role", "relay"], &["role = `relay`", "gateway"]),
        (&["--share", "1/2"], &["share = `1/2`", "--role ingest"]),
        (
            &["--role", "gateway", "--bus", "nats://h:1", "--share", "1/2"],
            &["share = `1/2`", "--role ingest"],
        ),
        (&["--role", "ingest", "--bus", "nats://h:1", "--share", "3/2"], &["share = `3/2`", "2/3"]),
        (&["--role", "ingest"], &["role = `ingest`", "--bus"]),
        (&["--bus", "nats://me:canary@h:4222"], &["bus = `nats://…@h:4222`", "--role"]),
        (
            &["--role", "ingest", "--bus", "mqtts://me:canary@h"],
            &["bus = `mqtts://…@h`", "`mqtts` is not known", "amqps://"],
        ),
        (
            &["--role", "ingest", "--bus", "amqp://canary@h"],
            &["bus = `amqp://…@h`", "amqp://NAME:PASSWORD@HOST:PORT"],
        ),
        (
            &["--role", "gateway", "--bus", "amqp://h:1/market/eu"],
            &["bus = `amqp://h:1/market/eu`", "`/` is %2F"],
        ),
        (
            &["--role", "ingest", "--bus", "kafka://me:canary@h:9092"],
            &["bus = `kafka://…@h:9092`", "no name and no password"],
        ),
        (
            &["--role", "gateway", "--bus", "kafka://h:1,g:2/market/eu"],
            &["bus = `kafka://h:1,g:2/market/eu`", "kafka://HOST:PORT/TOPIC"],
        ),
        (
            &["--role", "gateway", "--bus", "127.0.0.1:4222"],
            &["bus = `127.0.0.1:4222`", "nats://127.0.0.1:4222"],
        ),
        (
            &["--role", "gateway", "--bus", "nats://h:1/eu"],
            &["bus = `nats://h:1/eu`", "behind host and port"],
        ),
        (
            &["--role", "gateway", "--bus", "nats://h:1", "--feed", RECORDING],
            &["role = `gateway`", "`feed` is for its ingest"],
        ),
        (&["--role", "gateway", "--bus", "nats://h:1", "--delay", "1m"], &["role = `gateway`", "`delay`"]),
        (&["--role", "gateway", "--bus", "nats://h:1", "--speed", "10"], &["role = `gateway`", "`speed`"]),
        (
            &["--role", "gateway", "--bus", "nats://h:1", "--sim-rate", "5"],
            &["role = `gateway`", "`sim_rate`"],
        ),
        (&["--feed", "simulated"], &["feed = `simulated`", "replay:"]),
        (&["--feed", "replay:"], &["feed = `replay:`", "empty"]),
        (&["--feed", "replay:a,,b"], &["feed = `replay:a,,b`", "empty"]),
        (&["--speed", "0"], &["speed = `0`"]),
        (&["--speed=-1"], &["speed = `-1`"]),
        (&["--speed", "1.0001"], &["speed = `1.0001`", "three decimals"]),
        (&["--speed", "fast"], &["speed = `fast`"]),
        (&["--loop"], &["feed = `sim`", "recordings"]),
        (&["--symbols", "A"], &["feed = `sim`", "recordings"]),
        (&["--feed", RECORDING, "--symbols", "A B"], &["symbols = `A B`"]),
        (&["--from", "2026-01-05T14:30:00Z"], &["from = `2026-01-05T14:30:00Z`", "recordings"]),
        (
            &["--from", "1618678140", "--feed", RECORDING],
            &["from = `1618678140`", "1970-01-01", "nanoseconds"],
        ),
        (&["--from", "noon", "--feed", RECORDING], &["from = `noon`", "RFC 3339"]),
        (&["--record", "a", "--feed", RECORDING], &["record = `a`", "not recorded again"]),
        (&["--auth-jwks", "http://issuer.example/"], &["auth_jwks = `…`", "https"]),
        (&["--auth-jwks", "https://a:canary@issuer.example/"], &["auth_jwks = `…`", "name or password"]),
        (&["--auth-jwks-every", "10"], &["auth_jwks_every = `10`", "10s"]),
        (&["--revoked-file", "a"], &["revoked_file = `a`", "nobody is asked who they are"]),
        (&["--token-lifetime", "0s"], &["token_lifetime = `0s`"]),
        (&["--token-notice", "soon"], &["token_notice = `soon`"]),
        (&["--stale-after", "10"], &["stale_after = `10`", "10s"]),
        (&["--stale-after", "0s"], &["stale_after = `0s`"]),
        (&["--delay", "15"], &["delay = `15`", "15m"]),
        (&["--sim-mode", "chaos"], &["sim_mode = `chaos`", "quotes"]),
        (&["--sim-session", "5m", "--sim-mode", "quotes"], &["simulated session", "market"]),
        (&["--sim-session", "1ms"], &["simulated session", "24h"]),
        (&["--sim-faults", "gap:10s,chaos:1s"], &["sim_faults = `chaos:1s`", "duplicate"]),
        (&["--sim-faults", "gap:10s,gap:1s"], &["sim_faults = `gap:1s`", "twice"]),
        (&["--sim-faults", "gap:soon"], &["sim_faults = `soon`", "10s"]),
        (&["--sim-faults", "gap"], &["sim_faults = `gap`", "how often"]),
        (&["--sim-faults", "gap:1s:1s"], &["sim_faults = `gap:1s:1s`", "how often"]),
        (&["--sim-faults", "silence:5s:5s"], &["sim_faults = `silence:5s:5s`", "shorter"]),
        (&["--sim-faults", "gap:1s,"], &["sim_faults = ``", "silence"]),
        (
            &["--sim-seed", "7", "--feed", RECORDING],
            &["sim_seed = `7`", "feed is replay:", "simulated market"],
        ),
        (&["--sim-mode", "quotes", "--feed", RECORDING], &["sim_mode = `quotes`"]),
        (&["--sim-session", "5m", "--feed", RECORDING], &["sim_session = `5m`"]),
        (&["--sim-faults", "gap:10s", "--feed", "live:kraken"], &["sim_faults = `gap:10s`", "live:kraken"]),
        (&["--sim-rate", "5", "--feed", "live:kraken", "--symbols", "BTC/USD"], &["sim_rate = `5`"]),
        (&["--sim-instruments", "5", "--feed", RECORDING], &["sim_instruments = `5`"]),
        (&["--sim-instruments", "0"], &["simulated market", "instruments"]),
        (&["--sim-rate", "0"], &["simulated market", "rate"]),
        (&["--sim-rate", "18446744073709551615"], &["simulated market", "rate"]),
    ];
    let logs: [(&[&str], &[&str]); 7] = [
        (&["--log", "a=b=c"], &["log = `a=b=c`"]),
        (&["--log-format", "xml"], &["log_format = `xml`", "json"]),
        (
            &["--otlp-endpoint", "collector:4318"],
            &["otlp_endpoint = `collector:4318`", "http://127.0.0.1:4318"],
        ),
        (&["--otlp-endpoint", "grpc://a:4317"], &["otlp_endpoint = `grpc://a:4317`", "http://"]),
        (&["--otlp-endpoint", "http://a:4318/v1/traces"], &["`/v1/traces` is added here"]),
        (
            &["--otlp-endpoint", "http://me:canary@a"],
            &["otlp_endpoint = `http://…@a`", "OTEL_EXPORTER_OTLP_HEADERS"],
        ),
        (&["--otlp-ratio", "10%"], &["otlp_ratio = `10%`", "0.1"]),
    ];
    for (args, named) in cases.into_iter().chain(logs) {
        for command in ["serve", "check-config"] {
            let output = tickwire_with(&[&[command], args].concat());
            assert_refused(&output, 1, named);
        }
    }
}

#[test]
fn flags_of_the_simulated_market_are_refused_where_there_is_none() {
    let file = RECORDING.trim_start_matches("replay:");
    for (flag, value) in [("--sim-seed", "1"), ("--sim-instruments", "1"), ("--sim-rate", "1")]
        .into_iter()
        .chain([("--sim-mode", "market"), ("--sim-session", "5m"), ("--sim-faults", "gap:1s")])
    {
        for command in
            [&["inspect", file][..], &["inspect", "--stats", file], &["export", file, "--out", "out.csv"]]
        {
            let output = tickwire_with(&[command, &[flag, value]].concat());
            assert_refused(&output, 1, &[flag, "simulated market"]);
        }
    }
}

#[test]
fn a_pipe_instead_of_a_recording_is_refused_at_once_by_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("coreutils").success());
    let pipe = pipe.to_str().expect("UTF-8");
    let replay = format!("replay:{pipe}");
    let out = folder.path().join("out.csv");
    let out = out.to_str().expect("UTF-8");
    for args in [
        &["serve", "--feed", &replay][..],
        &["check-config", "--feed", &replay],
        &["record", "--feed", &replay, "--out", out],
        &["export", pipe, "--out", out],
    ] {
        assert_refused(&tickwire_with(args), 1, &[pipe, "a pipe or a device", "to a file first"]);
    }
    for args in [
        &["inspect", pipe][..],
        &["inspect", "--verify", pipe],
        &["inspect", "--stats", pipe],
        &["inspect", "/dev/stdin"],
    ] {
        let output = run(tickwire().args(args).stdin(Stdio::piped()));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains("to a file first"), "{stderr}");
    }
}

#[test]
fn a_recording_that_cannot_be_read_is_named() {
    assert_refused(&tickwire_with(&["serve", "--feed", "replay:no/such.file"]), 1, &["no/such.file"]);
    assert_refused(
        &tickwire_with(&["serve", "--feed", concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/README.md")]),
        1,
        &["README.md"],
    );
    let output = tickwire_with(&["serve", "--feed", RECORDING, "--symbols", "NOPE"]);
    assert_refused(&output, 1, &["NOPE"]);
}

#[test]
fn an_unknown_key_is_named_wherever_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_refused(
        &run(check_config(folder.path(), &[]).env("TICKWIRE_SPED", "2")),
        1,
        &["TICKWIRE_SPED: no such setting"],
    );
    assert_refused(
        &run(check_config(folder.path(), &[]).env("TICKWIRE_SHARDS", "two")),
        1,
        &["TICKWIRE_SHARDS: ", "two"],
    );

    std::fs::write(folder.path().join("tickwire.toml"), "sped = \"2\"\n").expect("a file");
    assert_refused(
        &run(&mut check_config(folder.path(), &[])),
        1,
        &["tickwire.toml:1: `sped`: no such setting"],
    );
    std::fs::write(folder.path().join("tickwire.toml"), "shards = 1\n[sim]\nrate = 2\n").expect("a file");
    assert_refused(
        &run(&mut check_config(folder.path(), &[])),
        1,
        &["tickwire.toml:2: `sim`: no such setting"],
    );
    std::fs::write(folder.path().join("tickwire.toml"), "shards = \n").expect("a file");
    assert_refused(
        &run(&mut check_config(folder.path(), &[])),
        1,
        &["tickwire.toml: TOML parse error at line 1"],
    );
    std::fs::write(folder.path().join("tickwire.toml"), "# two\n\nshards = \"two\"\n").expect("a file");
    let output = run(&mut check_config(folder.path(), &[]));
    assert_refused(&output, 1, &["tickwire.toml:3: `shards`: ", "found string \"two\""]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("default"), "{output:?}");

    assert_refused(
        &run(&mut check_config(folder.path(), &["--config", "no.toml"])),
        1,
        &["no.toml: ", "No such"],
    );
}

#[test]
fn flags_go_before_variables_before_the_file_before_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = |file: &str, variables: &[(&str, &str)], args: &[&str]| {
        std::fs::write(folder.path().join("tickwire.toml"), file).expect("a file");
        let mut command = check_config(folder.path(), args);
        command.envs(variables.iter().copied());
        settings(command)
    };
    let rate = |table: toml::Table| table["sim_rate"].as_integer();
    let file = "sim_rate = 2\n";
    let variable = [("TICKWIRE_SIM_RATE", "3")];
    assert_eq!(rate(shown("", &[], &[])), Some(20));
    assert_eq!(rate(shown(file, &[], &[])), Some(2));
    assert_eq!(rate(shown(file, &variable, &[])), Some(3));
    assert_eq!(rate(shown(file, &variable, &["--sim-rate", "4"])), Some(4));
    assert_eq!(rate(shown("", &variable, &[])), Some(3));

    std::fs::write(folder.path().join("other.toml"), "sim_rate = 5\n").expect("a file");
    assert_eq!(rate(shown(file, &[], &["--config", "other.toml"])), Some(5), "instead of tickwire.toml");
}

#[test]
fn a_loop_can_be_switched_on_and_off_by_a_flag() {
    let folder = with_files();
    for (file, flag, shown) in [
        ("", None, false),
        ("", Some("--loop"), true),
        ("", Some("--loop=true"), true),
        ("loop = true\n", None, true),
        ("loop = true\n", Some("--loop=false"), false),
    ] {
        std::fs::write(folder.path().join("tickwire.toml"), file).expect("a file");
        let mut command = check_config(folder.path(), &["--feed", "replay:a"]);
        command.args(flag);
        assert_eq!(settings(command)["loop"].as_bool(), Some(shown), "{file:?} {flag:?}");
    }
    assert_refused(&tickwire_with(&["serve", "--loop=maybe"]), 2, &["'maybe' for '--loop", "true, false"]);
}

#[test]
fn check_config_opens_the_files_that_are_named_and_leaves_nothing_behind() {
    let folder = with_files();
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).expect("there").flatten().map(|one| one.file_name()).collect();
        names.sort();
        names
    };
    std::fs::write(folder.path().join("notes.txt"), "no recording\n").expect("a file");
    let before = names();
    let good = ["--feed", "sim", "--record", "of/the/day", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    settings(check_config(folder.path(), &good));
    settings(check_config(folder.path(), &["--feed", "replay:a,b", "--symbols", "Z"]));
    settings(check_config(folder.path(), &["--record", "."]));
    let bad: [(&[&str], &[&str]); 7] = [
        (&["--feed", "replay:a,none"], &["none: ", "No such file"]),
        (&["--feed", "replay:a,notes.txt"], &["notes.txt: not a recording of a known format"]),
        (&["--feed", "replay:a,./a"], &["./a is given twice, first as a"]),
        (&["--feed", "replay:a", "--symbols", "NOPE"], &["NOPE"]),
        (&["--tls-cert", "a", "--tls-key", "key.pem"], &["a: no certificate"]),
        (&["--tls-cert", "cert.pem", "--tls-key", "none.pem"], &["cannot read none.pem"]),
        (&["--record", "notes.txt/day"], &["record = `notes.txt/day`", "notes.txt is no folder"]),
    ];
    for (args, named) in bad {
        assert_refused(&run(&mut check_config(folder.path(), args)), 1, named);
    }
    // All of it at once.
    let args = ["--record", "notes.txt", "--tls-cert", "none.pem", "--tls-key", "key.pem"];
    let output = run(&mut check_config(folder.path(), &args));
    assert_refused(&output, 1, &["cannot read none.pem", "record = `notes.txt`"]);
    assert_eq!(names(), before);

    std::fs::create_dir(folder.path().join("day")).expect("room");
    std::fs::write(folder.path().join("day/manifest"), "no manifest").expect("room");
    let output = run(&mut check_config(folder.path(), &["--record", "day"]));
    assert_refused(&output, 1, &["record = `day`", "manifest", "no manifest of a recording"]);
}

#[test]
fn lines_of_no_known_kind_are_counted_and_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut input = Input::open(Path::new(RECORDING.trim_start_matches("replay:"))).expect("it ships");
    let (mut text, mut line) = (Vec::new(), Vec::new());
    while input.read_line(&mut line, 1 << 24).expect("sound") {
        text.extend_from_slice(&line);
        text.extend_from_slice(b"\n{\"t\":\"note\"}\n");
    }
    let lines = text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"{\"t\":\"note\"")).count();
    let path = folder.path().join("noted.jsonl");
    std::fs::write(&path, text).expect("a file");
    let feed = format!("replay:{}", path.display());
    let server = Service::start(["--feed", &feed, "--speed", "max"]);
    let lines = i64::try_from(lines).expect("few");
    eventually("all are counted", || server.metric("feed_unknown_lines_total") == lines);
    eventually("the log says so", || server.log().contains("lines of a kind that is not known here"));
}

#[test]
fn check_config_says_what_0_shards_means() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed =
        |args: &[&str]| String::from_utf8(run(&mut check_config(folder.path(), args)).stdout).expect("UTF-8");
    let cores = std::thread::available_parallelism().expect("known").get().min(SHARDS_MAX);
    let line = format!("# shards: 0 means one a core, here {cores}\n");
    assert!(printed(&[]).contains(&line), "{}", printed(&[]));
    assert!(!printed(&["--shards", "3"]).contains('#'), "{}", printed(&["--shards", "3"]));
}

#[test]
fn every_setting_can_be_a_variable() {
    let folder = with_files();
    let mut command = check_config(folder.path(), &[]);
    command.envs([
        ("TICKWIRE_LISTEN", "127.0.0.1:9000"),
        ("TICKWIRE_TLS_CERT", "cert.pem"),
        ("TICKWIRE_TLS_KEY", "key.pem"),
        ("TICKWIRE_REDIRECT_LISTEN", "127.0.0.1:9001"),
        ("TICKWIRE_ALLOW_PLAIN", "true"),
        ("TICKWIRE_MAX_CONNECTIONS", "10"),
        ("TICKWIRE_MAX_CONNECTIONS_PER_ADDRESS", "11"),
        ("TICKWIRE_MAX_SUBSCRIPTIONS", "12"),
        ("TICKWIRE_MAX_HANDSHAKES_PER_SECOND", "13"),
        ("TICKWIRE_MAX_REQUESTS_PER_SECOND", "14"),
        ("TICKWIRE_MAX_MESSAGES_PER_SECOND", "15"),
        ("TICKWIRE_MAX_MEMORY", "4GiB"),
        ("TICKWIRE_PING_INTERVAL", "3s"),
        ("TICKWIRE_PING_TIMEOUT", "4s"),
        ("TICKWIRE_EXEMPT_ADDRESSES", ""),
        ("TICKWIRE_TRUSTED_PROXIES", "10.0.0.0/8,::1"),
        ("TICKWIRE_PROXY_PROTOCOL", "true"),
        ("TICKWIRE_ALLOWED_ORIGINS", "https://a.example, null"),
        ("TICKWIRE_ALLOWED_HOSTS", "a.example"),
        ("TICKWIRE_DRAIN", "0s"),
        ("TICKWIRE_AUTH_SECRET_FILE", "secret"),
        ("TICKWIRE_AUTH_PUBLIC_KEY_FILE", "key.pub.pem"),
        ("TICKWIRE_AUTH_JWKS", "https://issuer.example/jwks.json"),
        ("TICKWIRE_AUTH_JWKS_EVERY", "5m"),
        ("TICKWIRE_AUTH_ISSUER", "issuer"),
        ("TICKWIRE_AUTH_AUDIENCE", "1"),
        ("TICKWIRE_API_KEYS_FILE", "api-keys.toml"),
        ("TICKWIRE_REVOKED_FILE", "revoked"),
        ("TICKWIRE_TOKEN_LIFETIME", "5m"),
        ("TICKWIRE_TOKEN_NOTICE", "30s"),
        ("TICKWIRE_CONNECTIONS_PER_SUBJECT", "5"),
        ("TICKWIRE_CONNECTIONS_TAKE_OVER", "true"),
        ("TICKWIRE_ANONYMOUS", r#"{role="small"}"#),
        ("TICKWIRE_ROLES", r#"{small={symbols=["A"],channels=["quote"]}}"#),
        ("TICKWIRE_SHARDS", "3"),
        ("TICKWIRE_ROLE", "ingest"),
        ("TICKWIRE_BUS", "nats://me:secret@bus.example:4222"),
        ("TICKWIRE_SHARE", "2/3"),
        ("TICKWIRE_FEED", "replay:a,b"),
        ("TICKWIRE_SPEED", "2"),
        ("TICKWIRE_LOOP", "true"),
        ("TICKWIRE_SYMBOLS", "AAPL,700"),
        ("TICKWIRE_FROM", "1600000000000000000"),
        ("TICKWIRE_RECORD", ""),
        ("TICKWIRE_RECORD_ROTATE_BYTES", "1MiB"),
        ("TICKWIRE_RECORD_ROTATE_EVERY", "1h"),
        ("TICKWIRE_WAIT_CLIENTS", "1"),
        ("TICKWIRE_STALE_AFTER", "500ms"),
        ("TICKWIRE_DELAY", "2s"),
        ("TICKWIRE_DELAY_BUFFER", "64MiB"),
        ("TICKWIRE_LOG", "debug"),
        ("TICKWIRE_LOG_FORMAT", "json"),
        ("TICKWIRE_OTLP_ENDPOINT", "http://collector.example:4318"),
        ("TICKWIRE_OTLP_RATIO", "0.25"),
    ]);
    let expected = "listen = '127.0.0.1:9000'\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n\
         redirect_listen = '127.0.0.1:9001'\nallow_plain = true\nmax_connections = 10\n\
         max_connections_per_address = 11\nmax_subscriptions = 12\nmax_handshakes_per_second = 13\n\
         max_requests_per_second = 14\nmax_messages_per_second = 15\nmax_memory = '4GiB'\nping_interval = '3s'\n\
         ping_timeout = '4s'\nexempt_addresses = []\ntrusted_proxies = ['10.0.0.0/8', '::1']\nproxy_protocol = true\n\
         allowed_origins = ['https://a.example', 'null']\nallowed_hosts = ['a.example']\ndrain = '0s'\n\
         auth_secret_file = 'secret'\nauth_public_key_file = 'key.pub.pem'\n\
         auth_jwks = 'https://issuer.example/jwks.json'\nauth_jwks_every = '5m'\nauth_issuer = 'issuer'\n\
         auth_audience = '1'\napi_keys_file = 'api-keys.toml'\nrevoked_file = 'revoked'\n\
         token_lifetime = '5m'\ntoken_notice = '30s'\nconnections_per_subject = 5\nconnections_take_over = true\nshards = 3\n\
         role = 'ingest'\nbus = 'nats://…@bus.example:4222'\nshare = '2/3'\nfeed = 'replay:a,b'\nspeed = '2'\nloop = true\n\
         symbols = ['AAPL', '700']\nfrom = '1600000000000000000'\nrecord = ''\nrecord_rotate_bytes = '1MiB'\n\
         record_rotate_every = '1h'\nwait_clients = 1\nstale_after = '500ms'\ndelay = '2s'\ndelay_buffer = '64MiB'\nsim_seed = 1\nsim_instruments = 200\n\
         sim_rate = 20\nsim_mode = 'market'\nsim_session = ''\nsim_faults = ''\nlog = 'debug'\nlog_format = 'json'\n\
         otlp_endpoint = 'http://collector.example:4318'\notlp_ratio = '0.25'\n\
         [anonymous]\nrole = 'small'\n[roles.small]\nsymbols = ['A']\nchannels = ['quote']\ndepth = 100\nmax_frequency = 'raw'\ndelayed = false\n";
    assert_eq!(settings(command), expected.parse().expect("TOML"));

    let mut command = check_config(folder.path(), &[]);
    command.envs([
        ("TICKWIRE_SIM_SEED", "7"),
        ("TICKWIRE_SIM_INSTRUMENTS", "8"),
        ("TICKWIRE_SIM_RATE", "9"),
        ("TICKWIRE_SIM_MODE", "market"),
        ("TICKWIRE_SIM_SESSION", "5m"),
        ("TICKWIRE_SIM_FAULTS", "gap:10s"),
    ]);
    let mut simulated = settings(command);
    simulated.retain(|key, _| key.starts_with("sim_"));
    let expected = "sim_seed = 7\nsim_instruments = 8\nsim_rate = 9\nsim_mode = 'market'\nsim_session = '5m'\n\
         sim_faults = 'gap:10s'\n";
    assert_eq!(simulated, expected.parse().expect("TOML"));

    for (speed, shown) in [("0.5", "0.5"), ("1.10", "1.10"), ("max", "max"), ("10", "10")] {
        let mut command = check_config(folder.path(), &[]);
        command.env("TICKWIRE_SPEED", speed);
        assert_eq!(settings(command)["speed"].as_str(), Some(shown));
    }
    for (symbols, shown) in [("AAPL", &["AAPL"][..]), ("700", &["700"]), ("A, B", &["A", "B"]), ("", &[])] {
        let mut command = check_config(folder.path(), &["--feed", "replay:a"]);
        command.env("TICKWIRE_SYMBOLS", symbols);
        let table = settings(command);
        let found: Vec<_> =
            table["symbols"].as_array().expect("an array").iter().filter_map(|s| s.as_str()).collect();
        assert_eq!(found, shown, "{symbols:?}");
    }
}

#[test]
fn what_check_config_prints_loads_to_the_same() {
    let folder = with_files();
    for args in [
        &[][..],
        &["--feed", "replay:a\"b,c", "--speed", "max", "--loop", "--symbols", "X/Y,Z", "--wait-clients", "3"],
        &[
            "--listen",
            "[::1]:0",
            "--shards",
            "2",
            "--sim-mode",
            "quotes",
            "--sim-seed",
            "12",
            "--log",
            "tickwire=debug",
        ],
    ] {
        let printed = run(&mut check_config(folder.path(), args));
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        std::fs::write(folder.path().join("printed.toml"), &printed.stdout).expect("a file");
        let again = run(&mut check_config(folder.path(), &["--config", "printed.toml"]));
        assert_eq!(again, printed);
    }
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "serve",
        "record",
        "inspect",
        "watch",
        "load",
        "lint",
        "tap",
        "replay-capture",
        "token",
        "check-config",
    ] {
        for help in [&[command, "--help"][..], &["help", command]] {
            let output = tickwire_with(help);
            assert!(output.status.success() && output.stderr.is_empty());
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            assert!(text.contains(&format!("Usage: tickwire {command}")), "{text}");
        }
        let overview = String::from_utf8(tickwire_with(&["--help"]).stdout).expect("UTF-8");
        assert!(overview.contains(&format!("  {command} ")), "{overview}");
    }
    let version = String::from_utf8(tickwire_with(&["--version"]).stdout).expect("UTF-8");
    assert_eq!(version, format!("tickwire {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_arguments_it_serves() {
    let server = Service::spawn(tickwire().env("TICKWIRE_LISTEN", "127.0.0.1:0"));
    assert_eq!(server.json("/v1/instruments")["instruments"].as_array().map(Vec::len), Some(200));
}

#[test]
fn a_signal_says_goodbye_to_every_client_and_ends_with_0() {
    for name in ["TERM", "INT"] {
        let mut server = Service::simulated("quotes", 10, 50);
        let mut clients = [server.client(), server.client(), server.client()];
        for client in &mut clients[..2] {
            client.subscribe("quote", &["*"]);
        }
        let mut rude = RawClient::connect(server.address);
        rude.send(&text(r#"{"method":"ping"}"#));
        signal(&server.child, name);
        let mut waits = Vec::new();
        for client in &mut clients {
            let shutdown = client.until(|object| object["channel"] == "system");
            assert_eq!(shutdown["type"], "shutdown", "{shutdown}");
            waits.push(shutdown["reconnect_after_ms"].as_u64().expect("a number"));
            let goodbye = Some((1012, "restart".to_owned()));
            assert_eq!(client.try_until(|_| false), Err(goodbye), "{name}");
        }
        assert!(waits.iter().all(|wait| (100..=60_000).contains(wait)), "{waits:?}");
        waits.dedup();
        assert!(waits.len() > 1, "not all come back at once");
        // Who does not answer is not waited for.
        assert_eq!(wait(&mut server).code(), Some(0), "{name}: {}", server.log());
        let last = rude.read_to_end().pop().expect("a frame");
        assert_eq!(last.close_code(), Some(1012));
    }
}

#[test]
fn a_slow_client_is_told_goodbye_too() {
    let mut server = Service::simulated("quotes", 100, 1_000);
    let mut slow = RawClient::connect(server.address);
    slow.send(&text(r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"]}}"#));
    eventually("more than the kernel holds waits", || server.metric("laggards") == 1);
    signal(&server.child, "TERM");
    let frames = slow.read_to_end();
    let [.., shutdown, close] = &frames[..] else { panic!("{} frames", frames.len()) };
    assert_eq!(shutdown.first, FIN | TEXT);
    let text = shutdown.text();
    assert!(
        text.starts_with(r#"[{"channel":"system","type":"shutdown","#),
        "{}",
        &text[..text.len().min(100)]
    );
    assert_eq!(close.close_code(), Some(1012));
    assert_eq!(wait(&mut server).code(), Some(0));
}

#[test]
fn a_signal_right_after_the_start_is_heeded() {
    for _ in 0..20 {
        let mut server = Service::simulated("quotes", 1, 1);
        signal(&server.child, "TERM");
        assert_eq!(wait(&mut server).code(), Some(0));
    }
}

#[test]
fn a_second_signal_does_not_spoil_the_first() {
    let mut server = Service::simulated("quotes", 1, 1);
    let _open = server.client();
    signal(&server.child, "TERM");
    signal(&server.child, "INT");
    assert_eq!(wait(&mut server).code(), Some(0), "{}", server.log());
}

#[test]
fn it_lives_on_without_standard_input_output_and_error() {
    let mut child = tickwire()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--feed",
            RECORDING,
            "--speed",
            "max",
            "--wait-clients",
            "1",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    drop(child.stdin.take());
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("UTF-8");
    let address = line.trim_end().strip_prefix("listening on http://").and_then(|rest| rest.parse().ok());
    let address = address.expect("an address");
    drop(stdout);
    drop(child.stderr.take());
    // The end of the recording is logged, to nobody.
    let mut client = Client::connect(address);
    client.subscribe("status", &["*"]);
    let ended = client.until(|object| object["state"] == "ended");
    assert_eq!(ended["reason"], "end of recording");
    client.result("ping", &json!({}));
    client.subscribe("quote", &["*"]);
    client.until(|object| object["channel"] == "quote");
    child.kill().expect("it still runs");
    child.wait().expect("our child");
}

#[test]
fn settings_of_a_file_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = std::fs::File::create(folder.path().join("tickwire.toml")).expect("a file");
    file.write_all(b"listen = \"127.0.0.1:0\"\nsim_instruments = 3\nlog_format = \"json\"\n")
        .expect("a file");
    let mut server = Service::spawn(tickwire().current_dir(folder.path()));
    assert_eq!(server.json("/v1/instruments")["instruments"].as_array().map(Vec::len), Some(3));
    signal(&server.child, "TERM");
    assert!(wait(&mut server).success());
    eventually("the end is logged", || server.log().contains("stopping"));
    for line in server.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a JSON object a line");
        assert!(line["level"].is_string() && line["fields"]["message"].is_string(), "{line}");
    }
}
