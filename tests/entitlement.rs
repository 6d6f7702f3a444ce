//! What a role allows is all that its clients get, by every way in; and what it shows late, comes late.

mod service {
    pub(crate) mod client;
    pub(crate) mod eventually;
    #[allow(dead_code, reason = "the rest is for the tests of events")]
    pub(crate) mod events;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
}

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tempfile::TempDir;

use service::client::Client;
use service::events::Events;
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;

const KRAKEN: &str =
    concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/kraken-20210417.jsonl.zst");

/// A service with these settings in its file, and these flags; the file lives as long as the folder.
fn serve(settings: &str, flags: &[&str]) -> (Service, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tickwire.toml");
    std::fs::write(&file, settings).expect("a file");
    let mut command = tickwire();
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(file).args(flags);
    (Service::spawn(&mut command), folder)
}

fn ended(service: &Service) {
    eventually("the recording is over", || service.json("/health/ready")["feed"] == "ended");
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("an array").iter().map(|row| row["symbol"].as_str().expect("a text")).collect()
}

/// XBT/CHF and what is traded against the dollar, books of ten levels, no tickers, four times a second.
const NARROW: &str = r#"
[anonymous]
role = "narrow"

[roles.narrow]
symbols = ["xbt/chf", "*/USD"]
channels = ["quote", "trade", "book", "bar"]
depth = 10
max_frequency = "250ms"
"#;

#[test]
fn a_socket_gets_what_its_role_allows_and_is_told_why_it_gets_no_more() {
    let (server, _folder) = serve(NARROW, &["--feed", KRAKEN, "--speed", "max"]);
    ended(&server);
    let everything = Service::start(["--feed", KRAKEN, "--speed", "max"]);
    let all = everything.json("/v1/instruments");
    let allowed: Vec<_> = names(&all["instruments"])
        .into_iter()
        .filter(|name| *name == "XBT/CHF" || name.ends_with("/USD"))
        .collect();
    let denied =
        names(&all["instruments"]).into_iter().find(|name| !allowed.contains(name)).expect("another");

    let mut client = server.client();
    let named = json!({"channel": "quote", "symbols": [denied, "XBT/CHF", "NOPE"]});
    let result = client.result("subscribe", &named);
    assert_eq!(names(&result["granted"]), ["XBT/CHF"]);
    assert_eq!(result["max_frequency"], "250ms", "as fast as it may be");
    assert_eq!(
        result["rejected"],
        json!([{"symbol": denied, "code": "ENTITLEMENT_DENIED"}, {"symbol": "NOPE", "code": "UNKNOWN_SYMBOL"}])
    );
    let slower = json!({"channel": "quote", "symbols": ["XBT/CHF"], "max_frequency": "1s"});
    assert_eq!(client.result("subscribe", &slower)["max_frequency"], "1s");
    let result = client.result("subscribe", &json!({"channel": "trade", "symbols": ["*"]}));
    assert_eq!(names(&result["granted"]), allowed, "all that it may see");
    assert_eq!((result.get("max_frequency"), &result["rejected"]), (None, &json!([])));

    let mut refused = |method: &str, params: Value, said: &str| {
        let answer = client.ask(&json!({"method": method, "params": params, "req_id": 3}));
        assert_eq!((&answer["success"], &answer["req_id"]), (&json!(false), &json!(3)), "{answer}");
        let error = &answer["error"];
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("ENTITLEMENT_DENIED"), &json!(false)),
            "{answer}"
        );
        assert!(error["message"].as_str().expect("a text").contains(said), "{answer}");
    };
    refused("subscribe", json!({"channel": "ticker", "symbols": ["XBT/CHF"]}), "ticker");
    refused("subscribe", json!({"channel": "ticker", "symbols": ["*"]}), "ticker");
    refused("subscribe", json!({"channel": "book.25", "symbols": ["XBT/CHF"]}), "10 levels");
    refused("resync", json!({"channel": "quote", "symbol": denied}), "instrument");
    refused("resync", json!({"channel": "book", "depth": 100, "symbol": "XBT/CHF"}), "10 levels");

    let resumed = json!({
        "channel": "trade", "symbols": [denied], "resume": {"epoch": result["epoch"], "seq": {denied: 1}},
    });
    let resumed = client.result("subscribe", &resumed);
    assert_eq!((&resumed["granted"], names(&resumed["rejected"])), (&json!([]), vec![denied]));
    let list = client.result("list", &json!({}));
    assert_eq!(names(&list["subscriptions"]).len(), 1 + allowed.len());
    let removed = client.result("unsubscribe", &json!({"channel": "trade", "symbols": ["*"]}));
    assert_eq!(removed["removed"].as_array().expect("an array").len(), allowed.len());
}

#[test]
fn rest_shows_what_its_role_allows_and_is_403_for_the_rest() {
    let (server, _folder) = serve(NARROW, &["--feed", KRAKEN, "--speed", "max"]);
    ended(&server);
    let everything = Service::start(["--feed", KRAKEN, "--speed", "max"]);
    ended(&everything);
    let all = everything.json("/v1/instruments");
    let denied = names(&all["instruments"])
        .into_iter()
        .find(|name| *name != "XBT/CHF" && !name.ends_with("/USD"))
        .expect("another");
    for path in ["/v1/instruments", "/v1/quotes"] {
        let (list, all) = (server.json(path), everything.json(path));
        let rows =
            |list: &Value| list.as_object().expect("an object").values().next().expect("a list").clone();
        let (list, all) = (rows(&list), rows(&all));
        let allowed: Vec<_> =
            names(&all).into_iter().filter(|name| *name == "XBT/CHF" || name.ends_with("/USD")).collect();
        assert_eq!(names(&list), allowed, "{path}");
        assert!(allowed.len() > 1 && allowed.len() < names(&all).len());
        assert_eq!(server.get(&format!("{path}?symbols=XBT/CHF")).status, 200);
    }
    let escaped = denied.replace('/', "%2F");
    for path in [
        format!("/v1/instruments?symbols=XBT/CHF,{escaped}"),
        format!("/v1/quotes?symbols={escaped}"),
        "/v1/tickers".to_owned(),
        "/v1/tickers?symbols=XBT/CHF".to_owned(),
        format!("/v1/books/{escaped}"),
        "/v1/books/XBT%2FCHF?depth=25".to_owned(),
        format!("/v1/trades/{escaped}"),
        format!("/v1/bars/{escaped}"),
    ] {
        let response = server.get(&path);
        assert_eq!(response.status, 403, "{path}: {response:?}");
        assert_eq!(response.json()["code"], "ENTITLEMENT_DENIED", "{path}");
    }
    for path in ["/v1/books/XBT%2FCHF?depth=10", "/v1/trades/XBT%2FCHF", "/v1/bars/XBT%2FCHF"] {
        let strip = |mut state: Value| {
            state.as_object_mut().expect("an object").remove("epoch");
            state
        };
        assert_eq!(strip(server.json(path)), strip(everything.json(path)), "{path}");
    }
    assert_eq!(server.get("/v1/books/NOPE").status, 404);
    assert_eq!(server.get("/v1/quotes?symbols=NOPE").json()["code"], "UNKNOWN_SYMBOL");
}

const SLOW: &str = r#"
[anonymous]
role = "slow"

[roles.slow]
symbols = ["*"]
channels = ["quote", "book", "ticker", "bar"]
max_frequency = "1s"
"#;

#[test]
fn how_often_a_role_sees_a_change_holds_for_events_and_rest_too() {
    let flags = ["--sim-mode", "market", "--sim-instruments", "1", "--sim-rate", "500"];
    let (server, _folder) = serve(SLOW, &flags);
    let routes = [
        ("quote", "/v1/quotes"),
        ("ticker", "/v1/tickers"),
        ("book.25", "/v1/books/ZAZA?depth=25"),
        ("bar.1m", "/v1/bars/ZAZA?limit=1"),
        ("bar.1m", "/v1/bars/ZAZA?limit=1000"),
    ];
    // A socket each: what follows the answer is all that it is sent.
    let mut clients = routes.map(|(channel, _)| {
        let mut client = server.client();
        let result = client.result("subscribe", &json!({"channel": channel, "symbols": ["*"]}));
        assert_eq!(result["max_frequency"], "1s");
        client
    });
    let mut events = Events::follow(server.address, "channel=quote&symbols=*&max_frequency=raw");
    assert_eq!(events.result()["max_frequency"], "1s");

    let seq = |state: &Value| state["seq"].as_u64().expect("a number");
    let mut read = routes.map(|_| BTreeMap::<u64, Value>::new());
    let mut requests = 0;
    while read.iter().any(|states| states.len() < 4) {
        for ((_, path), states) in routes.iter().zip(&mut read) {
            let response = server.get(path);
            let state = response.json();
            let state = state["quotes"].get(0).or(state["tickers"].get(0)).unwrap_or(&state).clone();
            let before = states.insert(seq(&state), state.clone());
            assert!(before.is_none_or(|before| before == state), "{path}: {state}");
            requests += 1;
        }
    }
    assert!(requests > 100, "{requests} requests for {read:?}");

    let mut pushed = routes.map(|_| BTreeSet::new());
    for (((_, path), states), (client, pushed)) in
        routes.iter().zip(&read).zip(clients.iter_mut().zip(&mut pushed))
    {
        while pushed.last() < states.keys().next_back() {
            pushed.insert(seq(&client.until(|object| object.get("symbol").is_some())));
        }
        let unseen: Vec<_> = states.keys().filter(|&seq| !pushed.contains(seq)).collect();
        assert!(unseen.is_empty(), "{path} shows {unseen:?}, which are not among {pushed:?}");
    }
    let quotes = &pushed[0];
    let mut by_event = BTreeSet::new();
    while by_event.last() < quotes.last() {
        by_event.insert(seq(&events.until(|object| object["channel"] == "quote")));
    }
    assert!(by_event.is_subset(quotes) && by_event.len() > 3, "{by_event:?} of {quotes:?}");
    let (first, last) = (quotes.first().expect("several"), quotes.last().expect("several"));
    assert!(last - first > 10 * quotes.len() as u64, "the market goes on meanwhile: {quotes:?}");
}

const LATE: &str = r#"
delay = "1s"

[anonymous]
role = "late"

[roles.late]
symbols = ["*"]
channels = ["quote", "trade", "book", "ticker", "bar", "status"]
delayed = true
"#;

const CHANNELS: [&str; 6] = ["quote", "trade", "book.10", "ticker", "bar.1s", "status"];

/// All messages of all topics from the first on, to the end of the recording: by topic, as text without the epoch.
fn follow_to_the_end(server: &Service) -> BTreeMap<String, Vec<Value>> {
    let mut client = server.client();
    for channel in CHANNELS {
        client.send(&json!({"method": "subscribe", "params": {"channel": channel, "symbols": ["*"]}}));
    }
    let mut instruments = None;
    let mut answers = 0;
    let mut starter = None;
    let mut told = BTreeMap::<String, Vec<Value>>::new();
    let mut ended = 0;
    while instruments != Some(ended) {
        let mut object =
            client.until(|object| object.get("symbol").is_some() || object["method"] == "subscribe");
        if object["method"] == "subscribe" {
            instruments = object["result"]["granted"].as_array().map(Vec::len);
            answers += 1;
            // The feed is held for two, so that it begins when all is followed.
            if answers == CHANNELS.len() {
                let other = starter.insert(server.client());
                other.result("subscribe", &json!({"channel": "status", "symbols": ["*"]}));
            }
            continue;
        }
        ended += usize::from(object["state"] == "ended");
        let topic =
            ["channel", "depth", "interval", "symbol"].map(|field| object[field].to_string()).concat();
        object.as_object_mut().expect("an object").remove("epoch");
        told.entry(topic).or_default().push(object);
    }
    told
}

#[test]
fn a_late_stream_is_the_stream_itself_only_later() {
    let flags = ["--feed", KRAKEN, "--speed", "max", "--wait-clients", "2"];
    let (late_server, _folder) = serve(LATE, &flags);
    let server = Service::start(flags);
    let (late, at_once) = (follow_to_the_end(&late_server), follow_to_the_end(&server));
    assert_eq!(late.keys().collect::<Vec<_>>(), at_once.keys().collect::<Vec<_>>());
    let mut messages = 0;
    for (topic, at_once) in &at_once {
        let late = &late[topic];
        if topic.starts_with("\"status\"") {
            let states =
                |told: &[Value]| told.iter().map(|status| status["state"].clone()).collect::<Vec<_>>();
            assert_eq!(late[0]["reason"], "data begins 1s after the feed", "{topic}");
            assert_eq!(states(&late[1..]), states(at_once), "{topic}");
        } else {
            assert_eq!(late, at_once, "{topic}");
            messages += late.len();
        }
    }
    assert!(messages > 900, "{messages}");
    assert_eq!(late_server.metric("delay_gaps_total"), 0);

    // And at rest, each state is the same by REST.
    for path in
        ["/v1/quotes", "/v1/tickers", "/v1/books/XBT%2FCHF", "/v1/trades/XBT%2FCHF", "/v1/bars/XBT%2FCHF"]
    {
        let [late, at_once] = [&late_server, &server].map(|server| {
            let mut state = server.json(path);
            let epoch = server.json("/v1/trades/XBT%2FCHF")["epoch"].clone();
            let text = state.to_string().replace(epoch.as_str().expect("a text"), "");
            state = serde_json::from_str(&text).expect("JSON");
            state
        });
        assert_eq!(late, at_once, "{path}");
    }
}

#[test]
fn before_anything_is_late_enough_nothing_is_seen() {
    let settings = LATE.replace("\"1s\"", "\"1h\"");
    let (server, _folder) = serve(&settings, &["--feed", KRAKEN, "--speed", "max"]);
    ended(&server);
    let mut client = server.client();
    let result = client.subscribe("quote", &["XBT/CHF"]);
    assert_eq!((&result["delayed"], &result["granted"][0]["seq"]), (&json!(true), &json!(0)));
    let quote = client.until(|object| object["type"] == "snapshot");
    assert_eq!((&quote["bid"], &quote["ask"]), (&Value::Null, &Value::Null));
    client.subscribe("status", &["XBT/CHF"]);
    let status = client.until(|object| object["channel"] == "status");
    assert_eq!(
        (&status["state"], &status["reason"]),
        (&json!("stale"), &json!("data begins 60m after the feed"))
    );
    assert_eq!(server.json("/v1/trades/XBT%2FCHF")["trades"], json!([]));
    assert!(server.metric("delay_bytes") > 0);
}

#[test]
fn a_class_is_encoded_once_for_all_its_clients() {
    let flags = ["--sim-mode", "quotes", "--sim-instruments", "4", "--sim-rate", "50", "--shards", "1"];
    let (server, _folder) = serve(LATE, &flags);
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        client.result("subscribe", &json!({"channel": "quote", "symbols": ["*"]}));
    }
    eventually("they share one cohort", || {
        for client in &mut clients {
            client.until(|object| object["type"] == "update");
        }
        (server.metric("cohorts"), server.metric("cohort_connections")) == (1, 20)
    });
    let (encoded, sent) = (server.metric("topic_messages_total"), server.metric("updates_out_total"));
    for client in &mut clients {
        for _ in 0..400 {
            client.until(|object| object["type"] == "update");
        }
    }
    let (encoded, sent) =
        (server.metric("topic_messages_total") - encoded, server.metric("updates_out_total") - sent);
    assert!(sent >= 20 * 400 / 2 && encoded * 10 < sent, "{encoded} encoded for {sent} sent");
}

#[test]
fn a_role_that_cannot_be_stops_it_before_a_port_is_bound() {
    let all = "symbols = [\"*\"]\nchannels = [\"quote\"]\n";
    for (settings, named) in [
        ("[anonymous]\nrole = \"nobody\"\n".to_owned(), ["anonymous.role", "nobody"]),
        (format!("[roles.late]\n{all}delayed = true\n"), ["late", "delay"]),
        (format!("[roles.a]\n{all}depth = 11\n"), ["depth", "11"]),
        (format!("[roles.a]\n{all}deep = 10\n"), ["roles.a.deep", "no such setting"]),
        ("[roles.a]\nsymbols = [\"A*B\"]\nchannels = [\"quote\"]\n".to_owned(), ["symbols", "A*B"]),
        ("[roles.a]\nsymbols = [\"*\"]\n".to_owned(), ["roles.a", "channels"]),
        ("delay_buffer = \"1MiB\"\n".to_owned(), ["delay_buffer", "4194304"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tickwire.toml");
        std::fs::write(&file, &settings).expect("a file");
        for command in ["serve", "check-config"] {
            let output = tickwire().arg(command).arg("--config").arg(&file).output().expect("it is built");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{settings}: {said}");
            assert!(named.iter().all(|name| said.contains(name)), "{settings}: {said}");
        }
    }
}
