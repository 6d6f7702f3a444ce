//! `tickwire token`, as it is typed.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::service::needed::is_there;
use crate::service::tokens::Tokens;

fn refused(tokens: &Tokens, args: &[&str], told: &str) {
    let output = tokens.command(args).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains(told), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    let json = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64");
    serde_json::from_slice(&json).expect("JSON")
}

#[test]
fn a_token_says_what_was_asked_for() {
    let tokens = Tokens::new();
    let entitlement =
        r#"{"symbols":["BTC-*"],"channels":["quote"],"depth":10,"max_frequency":"250ms","delayed":true}"#;
    let token = tokens.mint(
        "anna",
        &[
            "--entitlement",
            entitlement,
            "--lifetime",
            "1h",
            "--not-before",
            "2026-01-01T00:00:00Z",
            "--issuer",
            "here",
            "--audience",
            "tickwire",
            "--id",
            "7",
        ],
    );
    let mut said = claims(&token);
    assert!(said["iat"].take().is_u64());
    let entitlement: Value = serde_json::from_str(entitlement).expect("JSON");
    let begins = 1_767_225_600_u64;
    let expected = json!({
        "iss": "here", "sub": "anna", "aud": "tickwire", "exp": begins + 3_600, "nbf": begins, "iat": null, "jti": "7",
        "entitlement": entitlement,
    });
    assert_eq!(said, expected);
    let [first, second] = [(); 2].map(|()| claims(&tokens.mint("anna", &[]))["jti"].take());
    assert!(first.is_string() && first != second, "each has a number of its own");
}

#[test]
fn read_says_whether_it_would_be_taken_or_why_not() {
    let tokens = Tokens::new();
    tokens.token(&["key", "--out", "pair"]);
    tokens.token(&["key", "--algorithm", "hs256", "--out", "other"]);
    let secret = ["--auth-secret-file", "token-secret"];
    let check = |token: &str, flags: &[&str], told: &str| {
        let output = tokens.check(token, flags);
        let text =
            String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
        assert!(text.contains(told), "{told} is not in {text}");
        output.status.success()
    };
    let token = tokens.mint("anna", &[]);
    assert!(check(&token, &secret, "`anna` may see {\"symbols\":[\"*\"]"));
    assert!(!check(&token, &[], "nobody is asked who they are"));
    assert!(!check(&token, &["--auth-public-key-file", "pair/token-key.pub.pem"], "algorithm: "));
    assert!(!check(&token, &[&secret[..], &["--auth-audience", "tickwire"]].concat(), "audience: "));
    assert!(!check(&token[1..], &secret, "malformed: "));
    let forged = tokens.mint("anna", &["--key", "other/token-secret"]);
    assert!(!check(&forged, &secret, "signature: "));
    let early = tokens.mint("anna", &["--not-before", "2200-01-01T00:00:00Z"]);
    assert!(!check(&early, &secret, "not_yet: "));
    let pair = tokens.mint("ben", &["--key", "pair/token-key.pem"]);
    for flags in [["--auth-public-key-file", "pair/token-key.pub.pem"], ["--auth-jwks", "pair/jwks.json"]] {
        assert!(check(&pair, &flags, "`ben` may see"));
    }
    tokens.write("revoked", "subject ben\n");
    let flags = ["--auth-jwks", "pair/jwks.json", "--revoked-file", "revoked"];
    assert!(!check(&pair, &flags, "revoked: "));
    let key = tokens.api_key("dashboard", "small");
    let keys = ["--api-keys-file", "api-keys.toml"];
    assert!(check(&format!("{key}\n"), &keys, "`dashboard` may see {\"symbols\":[\"SYM00000\"]"));
    assert!(!check("twk_other", &keys, "api_key: "));
}

/// OpenSSL 3.0, and what is built on it, reads version 1 of PKCS #8 alone.
#[test]
fn others_can_read_a_private_key() {
    let tokens = Tokens::new();
    tokens.token(&["key", "--out", "pair"]);
    let pem = tokens.read("pair/token-key.pem");
    let lines: Vec<&str> = pem.lines().collect();
    let ["-----BEGIN PRIVATE KEY-----", base64, "-----END PRIVATE KEY-----"] = lines[..] else {
        panic!("no PKCS #8")
    };
    let der = data_encoding::BASE64.decode(base64.as_bytes()).expect("base64");
    assert_eq!((der.len(), der[4]), (48, 0), "version 1, and the seed alone");
    let Some(mut openssl) = openssl() else { return };
    let output =
        openssl.args(["pkey", "-in", "pair/token-key.pem", "-pubout"]).current_dir(tokens.path("")).output();
    let output = output.expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), tokens.read("pair/token-key.pub.pem"), "{output:?}");
}

fn openssl() -> Option<Command> {
    let openssl = || Command::new("openssl");
    is_there("openssl", openssl().arg("version")).then(openssl)
}

#[test]
fn what_the_server_would_not_take_is_not_made() {
    let tokens = Tokens::new();
    tokens.token(&["key", "--out", "pair"]);
    for (key, told) in [("pair/token-key.pub.pem", "no private key"), ("pair/jwks.json", "in PEM or a JWKS")]
    {
        refused(&tokens, &["mint", "--key", key, "--subject", "anna", "--role", "all"], told);
    }
    let long = "x".repeat(300);
    for (flag, value) in [("--subject", ""), ("--subject", &*long), ("--role", ""), ("--id", "")] {
        let others = [["--key", "token-secret"], ["--subject", "anna"], ["--role", "all"]];
        let mut flags = vec!["mint", flag, value];
        flags.extend(others.iter().filter(|[name, _]| *name != flag).flatten());
        refused(&tokens, &flags, "1 to 256 bytes");
    }
    tokens.api_key("dashboard", "all");
    let before = tokens.read("api-keys.toml");
    for (name, role, told) in [("other", "al", "no role `al`"), ("", "all", "1 to 256 bytes")] {
        refused(&tokens, &["api-key", name, "--role", role, "--file", "api-keys.toml"], told);
        refused(&tokens, &["api-key", name, "--role", role], told);
    }
    assert_eq!(tokens.read("api-keys.toml"), before);
}

#[test]
fn keys_are_private_and_not_replaced_unasked() {
    let tokens = Tokens::new();
    tokens.token(&["key", "--out", "pair"]);
    tokens.api_key("dashboard", "all");
    for name in ["token-secret", "pair/token-key.pem", "api-keys.toml"] {
        let mode = std::fs::metadata(tokens.path(name)).expect("a file").permissions().mode();
        assert!(name == "api-keys.toml" || mode & 0o777 == 0o600, "{name}: {mode:o}");
    }
    let before = tokens.read("pair/token-key.pem");
    refused(&tokens, &["key", "--out", "pair"], "is there already: say --force");
    assert_eq!(tokens.read("pair/token-key.pem"), before);
    tokens.token(&["key", "--out", "pair", "--force"]);
    assert_ne!(tokens.read("pair/token-key.pem"), before);
    refused(
        &tokens,
        &["api-key", "dashboard", "--role", "all", "--file", "api-keys.toml"],
        "has `dashboard` already",
    );
    let alone = tokens.command(&["api-key", "a b", "--role", "all"]).output().expect("it runs");
    let line = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(line.starts_with("\"a b\" = { hash = \"") && line.ends_with("role = \"all\" }\n"), "{line}");
    tokens.write("short", "too short");
    refused(
        &tokens,
        &["mint", "--key", "short", "--subject", "a", "--role", "b"],
        "9 bytes: HS256 wants at least 32",
    );
    refused(
        &tokens,
        &["mint", "--key", "pair/token-key.pub.pem", "--subject", "a", "--role", "b"],
        "no private key",
    );
    refused(&tokens, &["mint", "--key", "none", "--subject", "a", "--role", "b"], "cannot read none");
    refused(&tokens, &["mint", "--key", "token-secret", "--subject", "a"], "--role");
    let entitlement =
        ["mint", "--key", "token-secret", "--subject", "a", "--entitlement", "{\"symbols\":[]}"];
    refused(&tokens, &entitlement, "channels");
}
