//! No secret is shown anywhere, whatever is wrong with it: the log at its most talkative, answers, `/metrics`, `check-config`.

use serde_json::json;

use crate::service::caller::{Caller, ask};
use crate::service::collector::Collector;
use crate::service::eventually::eventually;
use crate::service::http::request;
use crate::service::program::tickwire;
use crate::service::tokens::{ROLES, Tokens};

const CANARY: &str = "cAnArY7Zq9";

/// What has been shown so far.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn add(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn output(&mut self, command: &mut std::process::Command) {
        let output = command.output().expect("it runs");
        self.add(&String::from_utf8_lossy(&output.stdout));
        self.add(&String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let tokens = Tokens::new();
    tokens.write("token-secret", &format!("{CANARY} is a secret of more than thirty-two bytes\n"));
    let key = tokens.api_key("dashboard", "all");
    let token = tokens.mint("anna", &["--lifetime", "2s"]);
    let mut secrets =
        vec![CANARY.to_owned(), key.clone(), token.rsplit('.').next().expect("a signature").to_owned()];
    let mut shown = Shown::default();

    let collector = Collector::start();
    let server =
        tokens.serve(&["--log", "trace", "--token-notice", "1h", "--otlp-endpoint", &collector.url()]);
    for presented in [token.as_str(), &key, &format!("twk_{CANARY}"), &format!("{CANARY}.{CANARY}.{CANARY}")]
    {
        let bearer = format!("Bearer {presented}");
        for (method, path) in [("GET", "/v1/quotes"), ("POST", "/v1/token"), ("GET", "/v1/nothing")] {
            let answer = ask(server.address, method, path, &[("Authorization", &bearer)]);
            if answer.status != 200 || path != "/v1/token" {
                shown.add(&format!("{answer:?}"));
            } else {
                let signature = answer.json()["token"]
                    .as_str()
                    .and_then(|token| token.rsplit('.').next().map(str::to_owned));
                secrets.push(signature.expect("a token"));
            }
        }
        let basic =
            ask(server.address, "GET", "/v1/quotes", &[("Authorization", &format!("Basic {presented}"))]);
        shown.add(&format!("{basic:?}"));
        for path in ["/v1/ws?token=", "/v1/quotes?api_key=", "/v1/quotes?symbols=A&access_token="] {
            shown.add(&format!("{:?}", request(server.address, "GET", &format!("{path}{presented}"))));
        }
        let offer = format!("tickwire.v1.json, tickwire.token.{presented}");
        match Caller::open(server.address, &[("sec-websocket-protocol", &offer)]) {
            Ok(mut caller) => shown.add(&format!("{:?}", caller.next())),
            Err(refused) => shown.add(&format!("{refused:?}")),
        }
        let mut caller = Caller::open(server.address, &[]).expect("open");
        for params in [
            json!({"token": [presented]}),
            json!({"token": presented, "more": 1}),
            json!({"token": presented}),
        ] {
            shown.add(&format!("{:?}", caller.ask("auth", &params)));
        }
    }
    let mut expires = Caller::open(server.address, &[]).expect("open");
    let short = tokens.mint("anna", &["--lifetime", "2s"]);
    secrets.push(short.rsplit('.').next().expect("a signature").to_owned());
    shown.add(&format!("{:?}", expires.auth(&short)));
    assert_eq!(expires.end(), 4004);
    // A key where its hash should be, and a token where its number should be.
    tokens.write("api-keys.toml", &format!("dashboard = \"{key}\"\n"));
    tokens.write("revoked", &format!("{token}\n"));
    tokens.write("token-secret", &CANARY[..8]);
    eventually("all three are told", || server.metric("auth_load_failures_total") == 3);
    // Four were refused or let in by each way, and those that said it on the open socket were let in before.
    eventually("spans of all ways in", || {
        let spans = collector.spans();
        let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
        count("websocket") > 4 && count("GET /v1/quotes") >= 16 && count("POST /v1/token") == 4
    });
    shown.add(&String::from_utf8_lossy(&collector.bytes()));
    shown.add(&server.get("/metrics").body);
    shown.add(&server.log());

    let serve = |args: &[&str]| {
        let mut command = tickwire();
        command.current_dir(tokens.path(".")).args(args);
        command
    };
    let flags = [
        "--auth-secret-file",
        "token-secret",
        "--api-keys-file",
        "api-keys.toml",
        "--revoked-file",
        "revoked",
    ];
    shown.output(serve(&["check-config"]).args(flags));
    for pair in flags.chunks(2) {
        shown.output(serve(&["serve", "--listen", "127.0.0.1:0", "--log", "trace"]).args(pair));
    }
    for command in ["serve", "check-config"] {
        shown.output(&mut serve(&[
            command,
            "--auth-jwks",
            &format!("https://anna:{CANARY}@issuer.example/jwks.json"),
        ]));
        shown.output(&mut serve(&[command, "--otlp-endpoint", &format!("http://anna:{CANARY}@127.0.0.1:1")]));
        shown.output(&mut serve(&[command, "--otlp-endpoint", &format!("http://{CANARY}@[")]));
        shown.output(&mut serve(&[command, "--auth-jwks", &format!("http://{CANARY}@[")]));
    }
    // A password in the URL of a venue, written well and badly.
    for url in [
        format!("wss://anna:{CANARY}@127.0.0.1:1/v2"),
        format!("ws://{CANARY}@127.0.0.1:1"),
        format!("wss://anna:x/{CANARY}@127.0.0.1:1"),
        format!("anna:{CANARY}@127.0.0.1:1"),
    ] {
        let feed = format!("live:kraken@{url}");
        for command in [&["serve", "--log", "trace"][..], &["check-config"], &["record", "--out", "day"]] {
            shown.output(serve(command).args(["--feed", &feed, "--symbols", "BTC/USD"]));
            shown.output(serve(command).env("TICKWIRE_FEED", &feed));
        }
        let mut file = format!("feed = \"{feed}\"\n");
        tokens.write("feed.toml", &file);
        shown.output(&mut serve(&["check-config", "--config", "feed.toml"]));
        file += "speed = 7\n";
        tokens.write("feed.toml", &file);
        shown.output(&mut serve(&["check-config", "--config", "feed.toml"]));
    }
    // What our own clients present, to nobody and to who does not take it.
    let address = server.address.to_string();
    for target in [address.as_str(), "127.0.0.1:1"] {
        let url = format!("http://{target}");
        for args in [&["watch", &url, "quote", "SYM00000"][..], &["load", &url]] {
            for presented in
                [format!("twk_{CANARY}"), format!("Bearer {CANARY}"), format!("{CANARY}\r\nX: y")]
            {
                tokens.write("token", &presented);
                shown.output(serve(args).args(["--token-file", "token"]));
                shown.output(serve(args).env("TICKWIRE_TOKEN", &presented));
            }
        }
        for url in [format!("http://anna:{CANARY}@{target}"), format!("http://{target}/v1/ws?token={CANARY}")]
        {
            shown.output(&mut serve(&["watch", &url, "quote", "SYM00000"]));
            shown.output(&mut serve(&["load", &url]));
        }
    }
    shown.output(serve(&["check-config"]).env("TICKWIRE_TOKEN", CANARY));
    tokens.write("tickwire.toml", &format!("{ROLES}\nauth_secret = \"{CANARY}\"\n"));
    shown.output(&mut serve(&["check-config"]));
    tokens.write("tickwire.toml", ROLES);
    let read = tokens.check(&format!("{CANARY}.{CANARY}"), &[]);
    shown.add(&String::from_utf8_lossy(&read.stderr));
    shown.add(&String::from_utf8_lossy(&read.stdout));
    shown.output(&mut tokens.command(&["mint", "--key", "token-secret", "--subject", "a", "--role", "all"]));

    assert!(shown.0.len() > 10_000 && shown.0.contains("AUTH_FAILED"), "{} bytes", shown.0.len());
    for secret in &secrets {
        let line = shown.0.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "shown: {line:?}");
    }
}
