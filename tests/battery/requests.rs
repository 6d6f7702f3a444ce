//! Requests that no client should send.

use super::attack::{Attack, Outcome, attack, send_frames};
use crate::service::raw::{FIN, frame, text};
use crate::service::rude::BINARY;

pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut add = |name, ends, bytes: Vec<u8>| {
        attacks.push(attack(name, ends, move |address| send_frames(address, &bytes)));
    };
    let refused = |code: &str| Outcome::Refused(code.to_owned());
    let bad_json = || refused("BAD_JSON");
    let bad_request = || refused("BAD_REQUEST");
    let subscribe = |symbols: &str| {
        text(&format!(r#"{{"method":"subscribe","params":{{"channel":"quote","symbols":{symbols}}}}}"#))
    };

    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    add("arrays 100,000 deep", bad_json(), text(&deep("[", "]")));
    add("objects 100,000 deep", refused("MESSAGE_TOO_LARGE"), text(&deep("{\"a\":", "}")));
    add("objects 40,000 deep", bad_json(), text(&"{\"a\":".repeat(40_000)));
    let params = format!(r#"{{"method":"ping","params":{}}}"#, deep("[", "]"));
    add("depth within the parameters", bad_json(), text(&params));
    let symbols = |count: usize| format!("[{}]", vec![r#""A""#; count].join(","));
    add("100,000 symbols", refused("MESSAGE_TOO_LARGE"), subscribe(&symbols(100_000)));
    add("60,000 symbols", bad_request(), subscribe(&symbols(60_000)));
    let long = format!(r#"["{}"]"#, "A".repeat(100_000));
    add("a symbol of 100,000 letters", Outcome::Served, subscribe(&long));
    add("a symbol twice", Outcome::Served, subscribe(r#"["SYM00000","SYM00000"]"#));
    add("a key twice", bad_json(), text(r#"{"method":"ping","method":"list"}"#));
    add(
        "a key twice in the parameters",
        bad_json(),
        text(r#"{"method":"subscribe","params":{"channel":"quote","channel":"trade","symbols":["*"]}}"#),
    );
    for (name, number) in [
        ("a number with 400 digits", "9".repeat(400)),
        ("a number beyond all bounds", "1e999999".to_owned()),
        ("a number below all bounds", "-1e-999999".to_owned()),
        ("a whole number of 65 bits", "18446744073709551616".to_owned()),
    ] {
        let ends = if number.contains("1e999999") || number.len() > 300 { bad_json() } else { bad_request() };
        add(name, ends, text(&format!(r#"{{"method":"ping","req_id":{number}}}"#)));
    }
    add(
        "a state from the future",
        Outcome::Served,
        text(
            r#"{"method":"subscribe","params":{"channel":"quote","symbols":["SYM00000"],"resume":{"epoch":"x","seq":{"SYM00000":18446744073709551615}}}}"#,
        ),
    );
    add("half a surrogate", bad_json(), text(r#"{"method":"\ud800"}"#));
    add("a raw control character", bad_json(), text("{\"method\":\"pi\u{0}ng\"}"));
    add("no JSON", bad_json(), text("subscribe quote *"));
    add("bytes", bad_json(), frame(FIN | BINARY, &[0; 1_000]));
    add("a hundred wrong ones in a row", Outcome::Closed(1008), text("?").repeat(100));
    add(
        "a script for a browser",
        refused("UNKNOWN_METHOD"),
        text(r#"{"method":"<script>alert(1)</script>"}"#),
    );
    attacks
}
