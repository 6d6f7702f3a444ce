//! Keys that change: of a JWKS at a URL and in a file, and of single files.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use feeds::clock::monotonic;
use serde_json::json;
use tickwire::limits::JWKS_UNKNOWN_KEY_EVERY;

use crate::service::caller::{Caller, get};
use crate::service::eventually::eventually;
use crate::service::process::Service;
use crate::service::program::tickwire;
use crate::service::tokens::Tokens;

/// An issuer that answers with whatever set it has now, and counts how often.
struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<(String, usize)>>,
}

impl Issuer {
    fn new(set: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new((set.to_owned(), 0)));
        let shared = Arc::clone(&state);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.expect("a connection"));
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|len| len > 2) {
                    line.clear();
                }
                let mut state = shared.lock().expect("not poisoned");
                state.1 += 1;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", state.0.len());
                // Who asked may be gone.
                let _ = reader.get_mut().write_all([head.as_bytes(), state.0.as_bytes()].concat().as_slice());
            }
        });
        Self { address, state }
    }

    fn set(&self, set: &str) {
        self.state.lock().expect("not poisoned").0 = set.to_owned();
    }

    fn asked(&self) -> usize {
        self.state.lock().expect("not poisoned").1
    }
}

fn make_key(tokens: &Tokens, name: &str) {
    tokens.token(&["key", "--out", name]);
}

fn mint(tokens: &Tokens, key: &str) -> String {
    tokens.mint("anna", &["--key", &format!("{key}/token-key.pem")])
}

#[test]
fn a_set_at_a_url_is_fetched_anew_for_a_key_that_is_not_known_and_not_too_often() {
    let tokens = Tokens::new();
    for name in ["old", "new", "newest", "junk"] {
        make_key(&tokens, name);
    }
    let issuer = Issuer::new(&tokens.read("old/jwks.json"));
    let url = format!("http://{}/jwks.json", issuer.address);
    let server = tokens.serve(&["--auth-jwks", &url, "--auth-jwks-every", "1h"]);
    let [old, new, newest, junk] = ["old", "new", "newest", "junk"].map(|name| mint(&tokens, name));
    let mut caller = Caller::bearer(server.address, &old).expect("let in");
    assert_eq!(issuer.asked(), 1);

    issuer.set(&tokens.read("new/jwks.json"));
    assert_eq!(get(server.address, "/v1/quotes", &new).status, 200, "the new key is fetched");
    assert_eq!(issuer.asked(), 2);
    assert_eq!(get(server.address, "/v1/quotes", &old).status, 401, "the old one is gone");
    assert!(caller.follows(), "who was let in stays to the end of its time");

    issuer.set(&tokens.read("newest/jwks.json"));
    let began = monotonic();
    eventually("the newest is fetched, whatever else asks", || {
        assert_eq!(get(server.address, "/v1/quotes", &junk).status, 401);
        get(server.address, "/v1/quotes", &newest).status == 200
    });
    let most = 1 + monotonic().duration_since(began).as_secs() / JWKS_UNKNOWN_KEY_EVERY.as_secs();
    let fetched = issuer.asked() - 2;
    assert!((1..=most).contains(&(fetched as u64)), "{fetched} times, and not {most} at most");
    assert!(server.metric("auth_refused_total{reason=\"unknown_key\"}") > 2);
    // Other sources stay as they are.
    assert_eq!(get(server.address, "/v1/quotes", &tokens.mint("anna", &[])).status, 200);
}

#[test]
fn it_is_not_ready_before_the_first_set_has_come_if_nobody_can_be_let_in_without() {
    let tokens = Tokens::new();
    make_key(&tokens, "key");
    let token = mint(&tokens, "key");
    let issuer = Issuer::new("<html>");
    let url = format!("http://{}/jwks.json", issuer.address);
    let serve = |more: &[&str]| {
        let flags = ["serve", "--listen", "127.0.0.1:0", "--sim-instruments", "3", "--auth-jwks", &url];
        Service::spawn(tickwire().current_dir(tokens.path("")).args(flags).args(more))
    };
    let server = serve(&[]);
    let ready = server.get("/health/ready");
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)), "{ready:?}");
    assert!(ready.json()["reason"].as_str().is_some_and(|reason| reason.contains("auth_jwks")), "{ready:?}");
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(serve(&["--api-keys-file", "api-keys.toml"]).get("/health/ready").status, 200);
    issuer.set(&tokens.read("key/jwks.json"));
    eventually("the set has come", || server.get("/health/ready").status == 200);
    assert_eq!(get(server.address, "/v1/quotes", &token).status, 200);
    issuer.set("<html>");
    assert_eq!(server.get("/health/ready").json().get("reason"), None);
}

#[test]
fn a_set_at_a_url_is_fetched_now_and_then_and_one_that_is_none_changes_nothing() {
    let tokens = Tokens::new();
    make_key(&tokens, "old");
    make_key(&tokens, "new");
    let issuer = Issuer::new(&tokens.read("old/jwks.json"));
    let url = format!("http://{}/", issuer.address);
    let server = tokens.serve(&["--auth-jwks", &url, "--auth-jwks-every", "100ms"]);
    let (old, new) = (mint(&tokens, "old"), mint(&tokens, "new"));
    assert_eq!(get(server.address, "/v1/quotes", &old).status, 200);
    issuer.set(&tokens.read("new/jwks.json"));
    eventually("the old key is gone", || get(server.address, "/v1/quotes", &old).status == 401);
    assert_eq!(get(server.address, "/v1/quotes", &new).status, 200);
    issuer.set("<html>");
    eventually("it is told", || server.log().contains("not a JWKS"));
    assert_eq!(get(server.address, "/v1/quotes", &new).status, 200, "what was before stays");
}

#[test]
fn keys_in_files_change_while_running() {
    let tokens = Tokens::new();
    make_key(&tokens, "old");
    make_key(&tokens, "new");
    let (old, new) = (mint(&tokens, "old"), mint(&tokens, "new"));
    for (name, flag) in [("jwks.json", "--auth-jwks"), ("token-key.pub.pem", "--auth-public-key-file")] {
        tokens.write("public", &tokens.read(&format!("old/{name}")));
        let server = tokens.serve(&[flag, "public"]);
        assert_eq!(get(server.address, "/v1/quotes", &old).status, 200);
        assert_eq!(get(server.address, "/v1/quotes", &new).status, 401);
        tokens.write("public", &tokens.read(&format!("new/{name}")));
        eventually("the new key is taken", || get(server.address, "/v1/quotes", &new).status == 200);
        assert_eq!(get(server.address, "/v1/quotes", &old).status, 401);
        tokens.write("public", "nothing");
        eventually("it is told", || server.metric("auth_load_failures_total") == 1);
        assert_eq!(get(server.address, "/v1/quotes", &new).status, 200, "what was before stays");
    }
}
