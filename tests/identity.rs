//! Who is let in by the real program, on every way in and to the end of its time.

mod keys {
    mod canary;
    mod commands;
    mod jwks;
    mod presented;
    mod roles;
}
mod service {
    pub(crate) mod caller;
    pub(crate) mod chromium;
    pub(crate) mod clients;
    #[expect(dead_code, reason = "it takes all there is")]
    pub(crate) mod collector;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod needed;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod tokens;
}

use std::process::Command;
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::{Value, json};

use service::caller::{Caller, ask, get};
use service::chromium::{CHROMIUM, chromium};
use service::clients::node;
use service::eventually::eventually;
use service::page::built;
use service::process::Service;
use service::program::tickwire;
use service::python::python;
use service::run::run;
use service::tokens::{ROLES, Tokens};

fn refused(server: &Service, reason: &str) -> i64 {
    server.metric(&format!("auth_refused_total{{reason=\"{reason}\"}}"))
}

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).expect("JSON");
    body["code"].as_str().expect("a code").to_owned()
}

#[test]
fn a_token_and_an_api_key_open_every_way_in() {
    let tokens = Tokens::new();
    let key = tokens.api_key("dashboard", "all");
    let server = tokens.serve(&[]);
    for presented in [tokens.mint("anna", &[]), key] {
        let answer = get(server.address, "/v1/quotes", &presented);
        assert_eq!(answer.status, 200, "{}", answer.body);

        let mut by_header = Caller::bearer(server.address, &presented).expect("let in");
        assert!(by_header.follows());

        for offer in ["tickwire.v1.json, tickwire.token.", "tickwire.v1.bin, tickwire.token."] {
            let headers = [("sec-websocket-protocol", &*format!("{offer}{presented}"))];
            let mut by_subprotocol = Caller::open(server.address, &headers).expect("let in");
            let chosen = offer.split(',').next().map(str::to_owned);
            assert_eq!(by_subprotocol.subprotocol, chosen, "the token is not sent back");
            assert_eq!(by_subprotocol.ask("ping", &json!({})).expect("open")["success"], true);
            assert_eq!(by_subprotocol.ask("list", &json!({})).expect("open")["success"], true);
        }

        let mut by_message = Caller::open(server.address, &[]).expect("open");
        let early =
            by_message.ask("subscribe", &json!({"channel": "quote", "symbols": ["*"]})).expect("open");
        assert_eq!(
            (&early["error"]["code"], &early["method"]),
            (&json!("AUTH_REQUIRED"), &json!("subscribe"))
        );
        assert_eq!(by_message.ask("ping", &json!({})).expect("open")["success"], true);
        let answer = by_message.auth(&presented).expect("open");
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(answer["result"].get("expires").is_some(), presented.contains('.'), "{answer}");
        assert!(by_message.follows());
    }
}

#[test]
fn who_presents_nothing_gets_nothing_and_is_sent_away_in_time() {
    let tokens = Tokens::new();
    let server = tokens.serve(&[]);
    let mut silent = Caller::open(server.address, &[]).expect("open");
    for path in
        ["/v1/instruments", "/v1/quotes", "/v1/books/SYM00000", "/v1/trades/SYM00000", "/v1/bars/SYM00000"]
    {
        let answer = ask(server.address, "GET", path, &[]);
        assert_eq!((answer.status, &*code(&answer.body)), (401, "AUTH_REQUIRED"), "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"tickwire\"");
    }
    for path in ["/health/live", "/health/ready", "/metrics", "/"] {
        assert_eq!(ask(server.address, "GET", path, &[]).status, 200, "{path}");
    }
    assert_eq!(server.json("/health/ready")["ready"], true);
    assert_eq!(silent.end(), 4001);
    assert_eq!((refused(&server, "missing"), refused(&server, "timeout")), (5, 1));
}

#[test]
fn what_is_wrong_is_refused_on_every_way_in_and_counted_by_reason() {
    let tokens = Tokens::new();
    tokens.api_key("dashboard", "all");
    let server = tokens.serve(&["--auth-issuer", "here", "--auth-audience", "tickwire"]);
    let head = |algorithm: &str| json!({"alg": algorithm, "typ": "JWT"});
    let claims = |change: &[(&str, Value)]| {
        Tokens::claims(&[&[("iss", json!("here")), ("aud", json!("tickwire"))][..], change].concat())
    };
    let secret = tokens.secret();
    let forge = |key: &[u8], algorithm: &str, change: &[(&str, Value)]| {
        Tokens::forge(key, &head(algorithm), &claims(change))
    };
    let good = forge(&secret, "HS256", &[]);
    assert_eq!(get(server.address, "/v1/quotes", &good).status, 200);
    let unsigned = forge(&secret, "none", &[]);
    let unsigned = unsigned.rsplit_once('.').expect("three parts").0.to_owned() + ".";
    let wrong = [
        ("signature", forge(&[7; 32], "HS256", &[])),
        ("signature", {
            let (message, signature) = good.rsplit_once('.').expect("three parts");
            let end = if signature.ends_with('A') { "E" } else { "A" };
            format!("{message}.{}{end}", &signature[..signature.len() - 1])
        }),
        ("algorithm", unsigned),
        ("algorithm", forge(&secret, "None", &[])),
        ("algorithm", forge(&secret, "RS256", &[])),
        ("algorithm", forge(&secret, "HS512", &[])),
        ("expired", forge(&secret, "HS256", &[("exp", json!(1_600_000_000))])),
        ("not_yet", forge(&secret, "HS256", &[("nbf", json!(3_900_000_000_u64))])),
        ("audience", forge(&secret, "HS256", &[("aud", json!("others"))])),
        ("issuer", forge(&secret, "HS256", &[("iss", json!("there"))])),
        ("claims", forge(&secret, "HS256", &[("role", json!("nobody"))])),
        ("claims", forge(&secret, "HS256", &[("role", Value::Null)])),
        ("claims", forge(&secret, "HS256", &[("exp", json!("never"))])),
        ("malformed", "a.b.c".to_owned()),
        ("malformed", "a".repeat(9_000)),
        ("api_key", "twk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
    ];
    let mut counts = std::collections::BTreeMap::new();
    for (reason, token) in &wrong {
        let answer = get(server.address, "/v1/quotes", token);
        assert_eq!((answer.status, &*code(&answer.body)), (401, "AUTH_FAILED"), "{reason}: {}", answer.body);
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"tickwire\", error=\"invalid_token\"");
        let offer = format!("tickwire.v1.json, tickwire.token.{token}");
        for headers in [("authorization", format!("Bearer {token}")), ("sec-websocket-protocol", offer)] {
            let opened = Caller::open(server.address, &[(headers.0, &headers.1)]);
            let (status, body) = opened.err().expect("no handshake");
            assert_eq!((status, &*code(&body)), (401, "AUTH_FAILED"), "{reason}");
            assert!(!body.contains(token.as_str()), "{body}");
        }
        let mut by_message = Caller::open(server.address, &[]).expect("open");
        let answer = by_message.auth(token).expect("an answer before the end");
        assert_eq!(answer["error"]["code"], "AUTH_FAILED", "{answer}");
        assert_eq!(by_message.end(), 4002, "{reason}");
        *counts.entry(*reason).or_insert(0) += 4;
    }
    for (reason, count) in counts {
        assert_eq!(refused(&server, reason), count, "{reason}");
    }
}

#[test]
fn a_token_in_a_url_or_twice_is_refused_whoever_s_it_is() {
    let tokens = Tokens::new();
    let server = tokens.serve(&["--log", "debug"]);
    let token = tokens.mint("anna", &[]);
    for path in ["/v1/ws?token=", "/v1/ws?x=1&access_token=", "/v1/ws?%74oken="] {
        let opened = Caller::open_at(server.address, &format!("{path}{token}"), &[]);
        let (status, body) = opened.err().expect("no handshake");
        assert_eq!((status, &*code(&body)), (400, "BAD_REQUEST"));
        assert!(body.contains("never in a URL") && !body.contains(&token), "{body}");
    }
    for path in ["/v1/quotes?token=", "/v1/no?token=", "/v1/quotes/?%74%6Fken="] {
        let answer = ask(server.address, "GET", &format!("{path}{token}"), &[]);
        assert_eq!((answer.status, &*code(&answer.body)), (400, "BAD_REQUEST"), "{path}");
        assert!(!answer.body.contains(&token));
    }
    let nothing = ask(server.address, "GET", "/v1/no?x=1", &[]);
    assert_eq!((nothing.status, &*code(&nothing.body)), (404, "NOT_FOUND"));
    let bearer = format!("Bearer {token}");
    let twice = [("Authorization", bearer.as_str()), ("Authorization", bearer.as_str())];
    assert_eq!(ask(server.address, "GET", "/v1/quotes", &twice).status, 400);
    let basic = [("Authorization", "Basic YW5uYTpzZWNyZXQ=")];
    assert_eq!(ask(server.address, "GET", "/v1/quotes", &basic).status, 400);
    assert_eq!(refused(&server, "misplaced"), 8);
    assert!(!server.log().contains(&token));

    let open = Service::start(["--sim-mode", "quotes", "--sim-instruments", "3"]);
    let opened = Caller::open_at(open.address, &format!("/v1/ws?token={token}"), &[]);
    assert_eq!(opened.err().expect("no handshake").0, 400, "also where nobody asks");
    assert!(Caller::bearer(open.address, "whatever").expect("open").follows(), "where nobody asks");
}

#[test]
fn the_page_of_an_allowed_origin_presents_its_token_and_reads_what_it_gets() {
    const PAGE: &str = "https://dash.example";
    let tokens = Tokens::new();
    let server = tokens.serve(&["--allowed-origins", PAGE]);
    let bearer = format!("Bearer {}", tokens.mint("anna", &[]));
    let preflight = |origin: &str, path: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization"),
        ];
        ask(server.address, "OPTIONS", path, &headers)
    };
    for path in ["/v1/quotes", "/v1/books/SYM00000?depth=10", "/v1/sse?channel=quote&symbols=*", "/v1/token"]
    {
        let asked = preflight(PAGE, path);
        assert_eq!(asked.status, 204, "{path}: {asked:?}");
        assert_eq!(asked.header("access-control-allow-origin"), PAGE);
        assert!(asked.header("access-control-allow-headers").contains("authorization"), "{asked:?}");
        assert!(asked.header("access-control-allow-methods").contains("GET"), "{asked:?}");
        assert_eq!(asked.header("access-control-allow-credentials"), "", "a token is not sent by itself");
        let foreign = preflight("https://evil.example", path);
        assert_eq!((foreign.status, &*code(&foreign.body)), (403, "ORIGIN_DENIED"), "{path}");
        assert_eq!(foreign.header("access-control-allow-origin"), "");
    }
    assert_eq!(server.metric("refusals_total{reason=\"origin\"}"), 4);
    for (path, origin, presented, status, readable) in [
        ("/v1/quotes", PAGE, &*bearer, 200, PAGE),
        ("/v1/quotes", PAGE, "Bearer x", 401, PAGE),
        ("/v1/no", PAGE, &*bearer, 404, PAGE),
        ("/v1/quotes", "https://evil.example", &*bearer, 200, ""),
        ("/v1/sse?channel=no", PAGE, &*bearer, 400, PAGE),
        ("/metrics", PAGE, &*bearer, 200, ""),
    ] {
        let answer = ask(server.address, "GET", path, &[("Origin", origin), ("Authorization", presented)]);
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, readable),
            "{path}"
        );
    }
    let plain = ask(server.address, "OPTIONS", "/v1/quotes", &[("Origin", PAGE)]);
    assert_eq!(plain.status, 405, "not asked for a page");
}

#[test]
fn only_what_signs_is_for_its_owner_alone() {
    let tokens = Tokens::new();
    tokens.token(&["key", "--out", "pair"]);
    tokens.token(&["key", "--algorithm", "hs256", "--out", "pair"]);
    let made = tickwire().args(["dev-cert", "--out"]).arg(tokens.path("pair")).output().expect("it is built");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (name, others_read) in [
        ("token-key.pem", false),
        ("token-secret", false),
        ("key.pem", false),
        ("token-key.pub.pem", true),
        ("jwks.json", true),
        ("cert.pem", true),
        ("ca.pem", true),
    ] {
        let metadata = std::fs::metadata(tokens.path(&format!("pair/{name}"))).expect("a file");
        let rights = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        // The mask of who runs the tests may take more.
        if others_read {
            assert_eq!(rights & 0o133, 0, "{name}: {rights:o}");
            assert_ne!(rights & 0o400, 0, "{name}: {rights:o}");
            assert!(rights & 0o044 != 0 || is_masked(), "{name}: {rights:o}");
        } else {
            assert_eq!(rights & 0o777, 0o600, "{name}: {rights:o}");
        }
    }
}

/// Whether what this process makes is not for others anyway.
fn is_masked() -> bool {
    let file = tempfile::tempdir().expect("a folder");
    let path = file.path().join("file");
    std::fs::write(&path, "").expect("a file");
    let metadata = std::fs::metadata(path).expect("a file");
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o044 == 0
}

#[test]
fn a_connection_ends_with_its_token_unless_another_comes_in_time() {
    let tokens = Tokens::new();
    let server = tokens.serve(&["--token-notice", "1h"]);
    let short = tokens.mint("anna", &["--lifetime", "4s"]);
    let mut ends = Caller::bearer(server.address, &short).expect("let in");
    let mut stays = Caller::open(server.address, &[]).expect("open");
    let expires = stays.auth(&short).expect("let in")["result"]["expires"].as_i64().expect("a time");
    for caller in [&mut ends, &mut stays] {
        let notice = caller.until(|object| object["channel"] == "system").expect("a notice");
        assert_eq!(notice, json!({"channel": "system", "type": "token_expiring", "expires": expires}));
        assert!(caller.follows());
    }
    let longer = tokens.mint("anna", &["--lifetime", "1h"]);
    assert_eq!(stays.auth(&longer).expect("open")["success"], true);
    assert_eq!(ends.end(), 4004);
    let now = feeds::Clock::System.now().micros();
    eprintln!("a connection has ended {} ms after its token", (now - expires) / 1_000);
    assert!((expires..expires + 5_000_000).contains(&now), "it ended at {now}, and its token at {expires}");
    assert!(stays.follows(), "what it follows goes on");
    let answer = get(server.address, "/v1/quotes", &short);
    assert_eq!((answer.status, &*code(&answer.body)), (401, "AUTH_FAILED"));
    assert_eq!(refused(&server, "expired"), 2);
}

#[test]
fn an_open_connection_stays_with_whom_it_began() {
    let tokens = Tokens::new();
    let server = {
        tokens.write("tickwire.toml", &format!("{ROLES}\n[anonymous]\nrole = \"small\"\n"));
        tokens.serve(&[])
    };
    let mut caller = Caller::open(server.address, &[]).expect("nobody in particular");
    assert!(caller.follows());
    assert_eq!(caller.auth(&tokens.mint("anna", &[])).expect("open")["success"], true);
    assert_eq!(caller.auth(&tokens.mint("anna", &["--role", "small"])).expect("open")["success"], true);
    let answer = caller.auth(&tokens.mint("ben", &[])).expect("an answer");
    assert_eq!(answer["error"]["code"], "AUTH_FAILED", "{answer}");
    assert_eq!(caller.end(), 4002);
    assert_eq!(refused(&server, "subject"), 1);
    assert_eq!(ask(server.address, "GET", "/v1/quotes?symbols=SYM00000", &[]).status, 200);
}

#[test]
fn what_is_taken_back_ends_at_once_and_nothing_else() {
    let tokens = Tokens::new();
    let (gone, kept) = (tokens.api_key("gone", "all"), tokens.api_key("kept", "all"));
    let server = tokens.serve(&[]);
    let by_id = tokens.mint("anna", &["--id", "no 7"]);
    let by_subject = tokens.mint("ben b", &[]);
    let other = tokens.mint("carl", &[]);
    let exchange = |key: &str| {
        let answer = ask(server.address, "POST", "/v1/token", &[("Authorization", &format!("Bearer {key}"))]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["token"].as_str().expect("a token").to_owned()
    };
    let for_gone = exchange(&gone);
    let open = |presented: &str| Caller::bearer(server.address, presented).expect("let in");
    let mut stays = [open(&other), open(&kept)];
    let end_with = |file: &str, text: &str, presented: &[&str]| {
        let mut ends: Vec<_> = presented.iter().map(|presented| open(presented)).collect();
        let start = monotonic();
        tokens.write(file, text);
        for caller in &mut ends {
            assert_eq!(caller.end(), 4009, "{text}");
        }
        let took = monotonic().duration_since(start);
        eprintln!("what was taken back has ended after {took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        for presented in presented {
            let answer = get(server.address, "/v1/quotes", presented);
            assert_eq!(answer.status, 401, "{}", answer.body);
        }
    };
    end_with("revoked", "token no 7\n", &[&by_id]);
    end_with("revoked", "token no 7\nsubject ben b\n", &[&by_subject]);

    tokens.write("revoked", "tokens no 7\n");
    eventually("a mistake is told", || server.log().contains("line 1 is neither"));
    assert_eq!(server.metric("auth_load_failures_total"), 1);
    assert_eq!(get(server.address, "/v1/quotes", &by_id).status, 401, "what was before stays");

    let keys = tokens.read("api-keys.toml");
    let without: String =
        keys.lines().filter(|line| !line.contains("gone")).map(|line| format!("{line}\n")).collect();
    end_with("api-keys.toml", &without, &[&gone, &for_gone]);
    end_with("revoked", "key kept\n", &[&exchange(&kept)]);
    assert_eq!(stays[1].end(), 4009);
    assert!(stays[0].follows());
}

#[test]
fn a_connection_ends_with_the_key_that_its_token_stands_on() {
    let tokens = Tokens::new();
    tokens.token(&["key", "--out", "pair"]);
    tokens.token(&["key", "--out", "next"]);
    let server = tokens.serve(&["--auth-jwks", "pair/jwks.json"]);
    let token = tokens.mint("anna", &["--key", "pair/token-key.pem", "--lifetime", "24000h"]);
    let mut by_pair = Caller::bearer(server.address, &token).expect("let in");
    let mut by_secret = Caller::bearer(server.address, &tokens.mint("ben", &[])).expect("let in");
    assert!(by_pair.follows() && by_secret.follows());
    tokens.write("pair/jwks.json", &tokens.read("next/jwks.json"));
    assert_eq!(by_pair.end(), 4009);
    assert_eq!(get(server.address, "/v1/quotes", &token).status, 401);
    assert!(by_secret.follows(), "its key is still there");
    tokens.write("token-secret", "another secret of thirty-two bytes");
    assert_eq!(by_secret.end(), 4009);
}

#[test]
fn a_token_for_an_api_key_ends_with_that_key_and_with_its_role() {
    for change in ["key", "role"] {
        let tokens = Tokens::new();
        let key = tokens.api_key("dashboard", "all");
        let other = tokens.api_key("other", "all");
        let server = tokens.serve(&[]);
        let exchanged = |key: &str| {
            let authorization = format!("Bearer {key}");
            let answer = ask(server.address, "POST", "/v1/token", &[("Authorization", &authorization)]);
            let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
            answer["token"].as_str().expect("a token").to_owned()
        };
        let (token, another) = (exchanged(&key), exchanged(&other));
        let mut by_token = Caller::bearer(server.address, &token).expect("let in");
        let mut by_another = Caller::bearer(server.address, &another).expect("let in");
        assert!(by_token.follows() && by_another.follows());
        if change == "key" {
            let others: String =
                tokens.read("api-keys.toml").lines().filter(|line| line.contains("other")).collect();
            tokens.write("api-keys.toml", &others);
            tokens.api_key("dashboard", "all");
        } else {
            let text = tokens.read("api-keys.toml");
            let line = text.lines().find(|line| line.contains("dashboard")).expect("its line");
            tokens.write("api-keys.toml", &text.replace(line, &line.replace("\"all\"", "\"small\"")));
        }
        assert_eq!(by_token.end(), 4009, "{change}");
        assert_eq!(get(server.address, "/v1/quotes", &token).status, 401, "{change}");
        assert!(by_another.follows(), "{change}");
    }
}

/// A key file that was forgotten would let everybody see everything.
#[test]
fn what_is_said_of_people_wants_something_to_know_them_by() {
    let tokens = Tokens::new();
    for (file, flags) in [
        (ROLES, &[][..]),
        ("", &["--auth-issuer", "here"]),
        ("", &["--auth-audience", "tickwire"]),
        ("", &["--connections-per-subject", "1"]),
        ("", &["--connections-take-over"]),
        ("", &["--revoked-file", "revoked"]),
    ] {
        tokens.write("tickwire.toml", file);
        for command in ["serve", "check-config"] {
            let mut started = tickwire();
            started.current_dir(tokens.path("")).args([command, "--listen", "127.0.0.1:0"]).args(flags);
            let output = run(started.env("TICKWIRE_AUTH_SECRET_FILE", ""));
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(
                !output.status.success() && told.contains("nobody is asked who they are"),
                "{flags:?}: {told}"
            );
        }
    }
}

#[test]
fn check_config_reads_the_files_of_who_is_let_in() {
    let tokens = Tokens::new();
    tokens.token(&["key", "--out", "pair"]);
    tokens.write("broken-keys.toml", "dashboard = 1\n");
    tokens.write("broken-revoked", "subject anna # gone\n");
    let problems = |flags: &[&str]| {
        let mut command = tickwire();
        let output = run(command.current_dir(tokens.path("")).arg("check-config").args(flags));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), told.is_empty(), "{told}");
        told
    };
    let good = [
        "--auth-secret-file",
        "token-secret",
        "--api-keys-file",
        "api-keys.toml",
        "--revoked-file",
        "revoked",
    ];
    assert_eq!(problems(&good), "");
    for (flags, told) in [
        (["--auth-secret-file", "missing"], "cannot read missing"),
        (["--auth-secret-file", "pair/token-key.pub.pem"], "in PEM or a JWKS"),
        (["--auth-public-key-file", "pair/token-key.pem"], "that is a private key"),
        (["--auth-jwks", "token-secret"], "not a JWKS"),
        (["--api-keys-file", "broken-keys.toml"], "line 1"),
    ] {
        assert!(problems(&flags).contains(told), "{flags:?}");
    }
    let both = problems(&["--auth-secret-file", "missing", "--revoked-file", "broken-revoked"]);
    assert!(both.contains("cannot read missing") && both.contains("line 1"), "{both}");
}

#[test]
fn an_api_key_is_exchanged_for_a_token_that_lives_shortly() {
    let tokens = Tokens::new();
    let key = tokens.api_key("dashboard", "small");
    let server =
        tokens.serve(&["--token-lifetime", "20m", "--auth-issuer", "here", "--auth-audience", "tickwire"]);
    let exchange = |presented: &str| {
        ask(server.address, "POST", "/v1/token", &[("Authorization", &format!("Bearer {presented}"))])
    };
    let answer = exchange(&key);
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let answer = answer.json();
    assert_eq!(answer["expires_in"], 1200);
    let token = answer["token"].as_str().expect("a token");
    assert!(Caller::bearer(server.address, token).expect("let in").follows());
    let shown = tokens.check(
        token,
        &[
            "--auth-secret-file",
            "token-secret",
            "--auth-audience",
            "tickwire",
            "--api-keys-file",
            "api-keys.toml",
        ],
    );
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    for part in [
        "\"sub\": \"dashboard\"",
        "\"role\": \"small\"",
        "\"iss\": \"here\"",
        "valid until",
        "[\"SYM00000\"]",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    for (presented, status, code_) in [(token, 401, "AUTH_FAILED"), ("twk_none", 401, "AUTH_FAILED")] {
        let answer = exchange(presented);
        assert_eq!((answer.status, &*code(&answer.body)), (status, code_));
    }
    assert_eq!(ask(server.address, "POST", "/v1/token", &[]).status, 401);
    assert_eq!(ask(server.address, "GET", "/v1/token", &[]).status, 405);
    let in_url = ask(server.address, "POST", &format!("/v1/token?api_key={key}"), &[]);
    assert_eq!(in_url.status, 400);

    let open = Service::start(["--sim-instruments", "1"]);
    assert_eq!(ask(open.address, "POST", "/v1/token", &[("Authorization", "Bearer x")]).status, 404);
}

#[test]
fn one_connection_too_many_is_refused_or_takes_the_place_of_the_oldest() {
    let tokens = Tokens::new();
    let (anna, ben) = (tokens.mint("anna", &[]), tokens.mint("ben", &[]));
    let server = tokens.serve(&["--connections-per-subject", "2"]);
    let open = |server: &Service, token: &str| Caller::bearer(server.address, token).expect("a handshake");
    // A handshake is answered before its connection has its seat: an answer says that it has.
    let seated = |server: &Service| {
        let mut caller = open(server, &anna);
        assert_eq!(caller.ask("ping", &json!({})).expect("open")["success"], true);
        caller
    };
    let mut held = [seated(&server), seated(&server)];
    assert_eq!(open(&server, &anna).end(), 4006);
    let mut by_message = Caller::open(server.address, &[]).expect("open");
    by_message.auth(&anna).expect("an answer");
    assert_eq!(by_message.end(), 4006);
    assert!(open(&server, &ben).follows(), "others have their own");
    assert!(held.iter_mut().all(Caller::follows));
    let [first, _second] = held;
    drop(first);
    eventually("there is room again", || open(&server, &anna).follows());
    assert!(refused(&server, "connections") >= 2);

    let server = tokens.serve(&["--connections-per-subject", "2", "--connections-take-over"]);
    let [mut first, mut second, mut third] = [(); 3].map(|()| seated(&server));
    assert_eq!(first.end(), 4006);
    assert!(second.follows() && third.follows());
    assert_eq!(refused(&server, "connections"), 1);
}

/// Each way in of a client in another language, by what it presents and whether that is right.
fn check(client: impl Fn() -> Option<Command>) {
    if client().is_none() {
        return;
    }
    let tokens = Tokens::new();
    let key = tokens.api_key("dashboard", "all");
    let server = tokens.serve(&[]);
    let url = format!("ws://{}/v1/ws", server.address);
    let expired =
        Tokens::forge(&tokens.secret(), &json!({"alg": "HS256"}), &Tokens::claims(&[("exp", json!(1))]));
    let run = |how: &str, presented: &str| {
        let mut command = client().expect("it is there");
        let output = command.args([&*url, how]).env("TOKEN", presented).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        text.trim_end().to_owned()
    };
    for presented in [tokens.mint("anna", &[]), key] {
        assert_eq!(run("header", &presented), "quote SYM00000");
        assert_eq!(run("message", &presented), "quote SYM00000");
        assert_eq!(run("subprotocol", &presented), "tickwire.v1.json\nquote SYM00000");
    }
    for wrong in [expired.as_str(), "forged"] {
        assert_eq!(run("header", wrong), "401");
        assert_eq!(run("subprotocol", wrong), "401");
        assert_eq!(run("message", wrong), "AUTH_FAILED\n4002");
    }
    assert_eq!(run("nothing", ""), "AUTH_REQUIRED");
}

#[test]
fn the_node_client_is_let_in_on_every_way() {
    check(|| node("identity.mjs", "ws"));
}

#[test]
fn the_python_client_is_let_in_on_every_way() {
    check(|| python("identity.py"));
}

#[test]
fn the_page_asks_for_a_token_and_takes_an_api_key() {
    if !built() {
        return;
    }
    let Some(mut client) = chromium("page/token.mjs") else { return };
    let tokens = Tokens::new();
    let key = tokens.api_key("dashboard", "all");
    let server = tokens.serve(&[]);
    let url = format!("http://{}/", server.address);
    let output = client.args([&*url, CHROMIUM, &*key]).output().expect("it is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
