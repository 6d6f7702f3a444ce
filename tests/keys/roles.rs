//! Roles change while the service runs: those who are in see from then on what they may, and are told.

use serde_json::json;

use crate::service::caller::{Caller, get};
use crate::service::eventually::eventually;
use crate::service::signal::signal;
use crate::service::tokens::Tokens;

fn roles(channels: &str, small: &str) -> String {
    format!("[roles.all]\nsymbols = [\"*\"]\nchannels = [{channels}]\n{small}")
}

const SMALL: &str = "[roles.small]\nsymbols = [\"SYM00000\"]\nchannels = [\"quote\"]\n";

#[test]
fn who_is_in_sees_what_its_role_says_from_then_on() {
    let tokens = Tokens::new();
    let key = tokens.api_key("dashboard", "all");
    tokens.write("tickwire.toml", &roles("\"quote\", \"status\"", SMALL));
    let server = tokens.serve(&[]);
    let read_again = |text: &str, metric: &str, times: i64| {
        tokens.write("tickwire.toml", text);
        signal(&server.child, "HUP");
        eventually("the settings are read again", || server.metric(metric) == times);
    };
    let (token, small) = (tokens.mint("anna", &[]), tokens.mint("ben", &["--role", "small"]));
    let own = tokens.mint("carl", &["--entitlement", r#"{"symbols":["*"],"channels":["status"]}"#]);
    let mut callers: Vec<_> =
        [&token, &key].map(|presented| Caller::bearer(server.address, presented).expect("let in")).into();
    for caller in &mut callers {
        for channel in ["quote", "status"] {
            let answer = caller.ask("subscribe", &json!({"channel": channel, "symbols": ["SYM00001"]}));
            assert_eq!(answer.expect("open")["success"], true);
        }
    }
    let (mut other, mut by_itself) = (
        Caller::bearer(server.address, &small).expect("let in"),
        Caller::bearer(server.address, &own).expect("let in"),
    );

    read_again(&roles("\"quote\"", SMALL), "configuration_loads_total", 1);
    for caller in &mut callers {
        let told = caller.until(|object| object["type"] == "entitlement").expect("open");
        let removed = json!([{"channel": "status", "symbol": "SYM00001"}]);
        assert_eq!((&told["removed"], &told["moved"]), (&removed, &json!([])), "{told}");
        assert!(caller.follows(), "the rest goes on");
        let answer = caller.ask("subscribe", &json!({"channel": "status", "symbols": ["*"]})).expect("open");
        assert_eq!(answer["error"]["code"], "ENTITLEMENT_DENIED", "{answer}");
    }
    assert!(other.follows());
    let answer = by_itself.ask("subscribe", &json!({"channel": "status", "symbols": ["*"]})).expect("open");
    assert_eq!(answer["success"], true, "a token that says it itself stays: {answer}");
    assert!(!server.log().contains("after a restart only"), "{}", server.log());

    // A key would have no role any more.
    read_again(SMALL, "configuration_failures_total", 1);
    eventually("the log says so", || server.log().contains("the API key `dashboard` has the role `all`"));
    let anonymous = format!("{}[anonymous]\nrole = \"small\"\n", roles("\"trade\"", SMALL));
    read_again(&anonymous, "configuration_failures_total", 2);
    eventually("the log says so", || server.log().contains("`anonymous`"));
    assert_eq!(get(server.address, "/v1/quotes", &token).status, 200, "what was before stays");

    read_again(&roles("\"quote\"", ""), "configuration_loads_total", 2);
    assert_eq!(other.end(), 4009, "its role is gone");
    assert_eq!(get(server.address, "/v1/quotes", &small).status, 401);
    assert!(callers.iter_mut().all(Caller::follows));
}
