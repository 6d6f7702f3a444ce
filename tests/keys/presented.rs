//! `tickwire watch` and `tickwire load` say who they are, and what to do when they are not let in.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::{Value, json};

use crate::service::caller::Caller;
use crate::service::process::Service;
use crate::service::program::{PATIENCE, tickwire};
use crate::service::run::run;
use crate::service::tokens::Tokens;

fn url(server: &Service) -> String {
    format!("http://{}", server.address)
}

fn watch(server: &Service) -> Command {
    let mut command = tickwire();
    command.args(["watch", &url(server), "quote", "SYM00000"]);
    command
}

/// What a command that fails says.
#[track_caller]
fn fails(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[track_caller]
fn assert_said(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

/// A watch that goes on, and the lines that it says on standard error.
struct Watching {
    child: Child,
    said: Receiver<String>,
}

impl Watching {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program is built");
        let stdout = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || std::io::copy(&mut BufReader::new(stdout), &mut std::io::sink()));
        let (sender, said) = sync_channel(100);
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { child, said }
    }

    /// The next line.
    fn says(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("a line")
    }

    fn fails(mut self) -> String {
        let said: Vec<String> = self.said.iter().collect();
        let status = self.child.wait().expect("a process");
        assert_eq!(status.code(), Some(1), "{said:?}");
        said.join("\n")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_file_or_the_environment_has_the_token() {
    let tokens = Tokens::new();
    let key = tokens.api_key("dashboard", "all");
    let server = tokens.serve(&[]);
    tokens.write("token", &format!("{}\n", tokens.mint("anna", &[])));
    tokens.write("key", &key);
    let count = ["--count", "3"];
    for file in ["token", "key"] {
        // The file counts, not the variable.
        let mut command = watch(&server);
        command.args(count).arg("--token-file").arg(tokens.path(file)).env("TICKWIRE_TOKEN", "twk_wrong");
        assert_eq!(String::from_utf8(run(&mut command).stdout).expect("UTF-8").lines().count(), 3);
    }
    let output = run(watch(&server).args(count).env("TICKWIRE_TOKEN", &key));
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8").lines().count(), 3);

    let load = |file: &str| {
        let mut command = tickwire();
        command.args(["load", &url(&server), "--json", "--clients", "6", "--verify", "2", "--symbols", "2"]);
        command.args(["--warmup", "100ms", "--duration", "500ms", "--threads", "1"]);
        command.arg("--token-file").arg(tokens.path(file));
        command
    };
    let report: Value = serde_json::from_slice(&run(&mut load("token")).stdout).expect("a report");
    assert_eq!((&report["errors"], &report["faults"]["refusals"]), (&json!({}), &json!(0)), "{report}");
    assert!(report["delivered"]["updates"].as_u64().is_some_and(|updates| updates > 0), "{report}");

    let said = fails(&mut watch(&server));
    assert_said(&said, &["AUTH_REQUIRED", "--token-file FILE", "TICKWIRE_TOKEN"]);
    let said = fails(tickwire().args(["load", &url(&server)]));
    assert_said(&said, &["AUTH_REQUIRED", "--token-file FILE", "TICKWIRE_TOKEN"]);

    // It is no setting of the service's.
    let checked = run(tickwire().arg("check-config").env("TICKWIRE_TOKEN", &key));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(!String::from_utf8_lossy(&checked.stdout).contains(&key));
}

#[test]
fn who_is_not_let_in_is_told_why_and_what_to_do() {
    let tokens = Tokens::new();
    let server = tokens.serve(&[]);
    let forged = Tokens::forge(&[7; 32], &json!({"alg": "HS256"}), &Tokens::claims(&[]));
    let expired =
        Tokens::forge(&tokens.secret(), &json!({"alg": "HS256"}), &Tokens::claims(&[("exp", json!(1))]));
    for (token, reason) in [
        (forged.as_str(), "the token's signature is wrong"),
        (&expired, "the token has expired"),
        ("twk_none", "there is no such API key"),
    ] {
        tokens.write("token", token);
        let mut load = tickwire();
        load.args(["load", &url(&server)]);
        for mut command in [watch(&server), load] {
            let said = fails(command.arg("--token-file").arg(tokens.path("token")));
            assert_said(&said, &["401", reason, "present another token", "tickwire token read"]);
            assert!(!said.contains(token), "{said}");
        }
    }
    let none = fails(watch(&server).arg("--token-file").arg(tokens.path("none")));
    assert_said(&none, &["cannot read the token in", "none: No such file"]);
    tokens.write("token", "Bearer canary");
    let wrong = fails(watch(&server).arg("--token-file").arg(tokens.path("token")));
    assert_said(&wrong, &["is to have a token or an API key alone"]);
    assert_said(&fails(watch(&server).env("TICKWIRE_TOKEN", "")), &["the variable TICKWIRE_TOKEN"]);
    for url in ["http://anna:canary@127.0.0.1:1", "http://127.0.0.1:1/v1/ws?token=canary"] {
        for args in [&["watch", url, "quote", "A"][..], &["load", url]] {
            let said = fails(tickwire().args(args));
            assert_said(&said, &["never in a URL", "--token-file"]);
            assert!(!said.contains("canary"), "{said}");
        }
    }
}

#[test]
fn a_token_that_takes_the_place_of_another_in_time_is_presented_on_the_open_connection() {
    let tokens = Tokens::new();
    let server = tokens.serve(&["--token-notice", "1h"]);
    let short = tokens.mint("anna", &["--lifetime", "4s"]);
    tokens.write("token", &short);
    let mut ends = Caller::bearer(server.address, &short).expect("let in");
    let mut watching = Watching::start(watch(&server).arg("--token-file").arg(tokens.path("token")));
    assert!(watching.says().starts_with("the token is over at "));
    tokens.write("token", &tokens.mint("anna", &["--lifetime", "2h"]));
    assert_eq!(watching.says(), "another token was taken");
    assert_eq!(ends.end(), 4004);
    assert!(watching.child.try_wait().expect("a process").is_none(), "it goes on");
    assert_eq!((server.metric("connections"), server.metric("connections_total")), (1, 2));
}

#[test]
fn a_connection_that_ends_with_its_token_says_what_to_do() {
    let tokens = Tokens::new();
    let server = tokens.serve(&[]);
    let start = |token: &str| {
        tokens.write("token", token);
        Watching::start(watch(&server).arg("--token-file").arg(tokens.path("token")))
    };
    let expires = start(&tokens.mint("anna", &["--lifetime", "1s"]));
    let said = expires.fails();
    assert_said(&said, &["4004 token expired", "present another token", "token file"]);
    let revoked = start(&tokens.mint("ben", &["--id", "7"]));
    crate::service::eventually::eventually("it is in", || server.metric("connections") == 1);
    tokens.write("revoked", "token 7\n");
    assert_said(&revoked.fails(), &["4009 entitlement revoked", "was taken back"]);
}
