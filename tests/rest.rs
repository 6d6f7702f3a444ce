//! REST beside the stream: the same states under the same numbers, and a code for whatever cannot be answered.

mod service {
    pub(crate) mod client;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod recorded;
}

use std::fs;
use std::io::{BufReader, Read, Write};

use serde_json::{Value, json};

use service::client::Client;
use service::eventually::eventually;
use service::http::{self, Response};
use service::process::Service;

const KRAKEN: &str = "kraken-20210417.jsonl.zst";
const COINBASE: &str = "coinbase-20210417.jsonl.zst";

fn names(list: &Value) -> Vec<String> {
    let names = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| row["symbol"].as_str().expect("a text").to_owned());
    names.collect()
}

/// The state of a topic as the stream has it.
fn snapshot(client: &mut Client, params: &Value, symbol: &str) -> Value {
    let mut params = params.clone();
    params["symbols"] = json!([symbol]);
    let result = client.result("subscribe", &params);
    let snapshot = client.until(|object| object["type"] == "snapshot");
    assert_eq!((&snapshot["seq"], &snapshot["epoch"]), (&result["granted"][0]["seq"], &result["epoch"]));
    client.result("unsubscribe", &params);
    snapshot
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, code: &str, named: &str) {
    assert_eq!(response.status, status, "{response:?}");
    let body = response.json();
    let error = &body;
    assert_eq!((&error["code"], &error["retryable"]), (&json!(code), &json!(false)), "{body}");
    assert!(error["detail"].as_str().expect("a text").contains(named), "{body}");
}

#[test]
fn every_state_is_the_one_of_the_stream() {
    for recording in [KRAKEN, COINBASE] {
        let server = Service::ended(recording);
        let mut client = server.client();
        let symbols = names(&server.json("/v1/instruments")["instruments"]);
        let quotes = server.json("/v1/quotes");
        let tickers = server.json("/v1/tickers");
        assert_eq!(
            (names(&quotes["quotes"]), names(&tickers["tickers"])),
            (symbols.clone(), symbols.clone())
        );
        for (index, symbol) in symbols.iter().enumerate() {
            let path = symbol.replace('/', "%2F");
            assert_eq!(quotes["quotes"][index], snapshot(&mut client, &json!({"channel": "quote"}), symbol));
            assert_eq!(
                tickers["tickers"][index],
                snapshot(&mut client, &json!({"channel": "ticker"}), symbol)
            );
            for depth in [10, 25, 100] {
                let book = server.json(&format!("/v1/books/{path}?depth={depth}"));
                assert_eq!(book, snapshot(&mut client, &json!({"channel": "book", "depth": depth}), symbol));
                let levels = book["bids"].as_array().map_or(0, Vec::len);
                assert!((1..=depth).contains(&levels), "{symbol}: {levels} bids");
                assert_eq!(book["bids"][0][0], quotes["quotes"][index]["bid"], "{symbol}");
                assert_eq!(book["asks"][0][0], quotes["quotes"][index]["ask"], "{symbol}");
            }
            assert_eq!(server.json(&format!("/v1/books/{path}"))["depth"], 10);

            let trades = server.json(&format!("/v1/trades/{path}?limit=1000"));
            let newest = snapshot(&mut client, &json!({"channel": "trade"}), symbol);
            assert_same_stream(&trades, &newest);
            let rows = trades["trades"].as_array().expect("an array");
            let numbers: Vec<_> = rows.iter().map(|row| row["seq"].as_u64().expect("a number")).collect();
            assert_eq!(
                numbers,
                (1..=trades["seq"].as_u64().expect("a number")).collect::<Vec<_>>(),
                "{symbol}"
            );
            assert_holds(&newest, rows.last());

            for interval in ["1s", "1m", "5m", "1h", "1d"] {
                let bars = server.json(&format!("/v1/bars/{path}?interval={interval}&limit=1000"));
                let newest = snapshot(&mut client, &json!({"channel": "bar", "interval": interval}), symbol);
                assert_same_stream(&bars, &newest);
                let rows = bars["bars"].as_array().expect("an array");
                assert_eq!(rows.is_empty(), numbers.is_empty(), "{symbol}");
                assert!(rows.is_sorted_by_key(|bar| bar["start"].as_i64()), "{bars}");
                let trades: u64 = rows.iter().map(|bar| bar["trades"].as_u64().expect("a number")).sum();
                assert_eq!(trades, numbers.len() as u64, "every trade is in one bar: {bars}");
                assert_holds(&newest, rows.last());
            }
            assert_eq!(server.json(&format!("/v1/bars/{path}"))["interval"], "1m");
        }
    }
}

/// What a history says of its topic is what the stream says.
#[track_caller]
fn assert_same_stream(history: &Value, snapshot: &Value) {
    for field in ["channel", "interval", "symbol", "epoch", "seq"] {
        assert_eq!(history[field], snapshot[field], "{field}: {history}");
    }
}

/// A snapshot holds every field of the newest record, if there is one.
#[track_caller]
fn assert_holds(snapshot: &Value, newest: Option<&Value>) {
    for (field, value) in newest.and_then(Value::as_object).into_iter().flatten() {
        assert_eq!(&snapshot[field], value, "{field}: {snapshot}");
    }
}

#[test]
fn numbers_are_exact_texts_with_the_instruments_decimals() {
    let server = Service::ended(COINBASE);
    let instruments = server.json("/v1/instruments");
    assert_eq!(
        instruments["instruments"][1],
        json!({"symbol": "SKL-BTC", "venue": "COINBASE", "price_exponent": -8, "size_exponent": -1,
               "tick_size": "0.00000001", "currency": "BTC"})
    );
    let trades = server.json("/v1/trades/SKL-BTC?limit=1");
    let trade = &trades["trades"][0];
    assert_eq!((&trade["price"], &trade["size"]), (&json!("0.00001305"), &json!("1006.0")));
    assert_eq!((&trade["side"], &trade["id"]), (&json!("sell"), &json!("280236")));
    let tickers = server.json("/v1/tickers?symbols=SKL-BTC");
    let ticker = &tickers["tickers"][0];
    assert_eq!((&ticker["last"], &ticker["volume"]), (&json!("0.00001305"), &json!("4252.0")));
    assert_eq!((&ticker["trades"], &ticker["close"]), (&json!(5), &Value::Null));
}

#[test]
fn symbols_are_chosen_in_their_order_and_in_any_case() {
    let server = Service::ended(KRAKEN);
    for (path, list) in
        [("/v1/instruments", "instruments"), ("/v1/quotes", "quotes"), ("/v1/tickers", "tickers")]
    {
        let chosen = server.json(&format!("{path}?symbols=xbt/chf,OMG%2FUSD,%20Waves%2feur"));
        assert_eq!(names(&chosen[list]), ["XBT/CHF", "OMG/USD", "WAVES/EUR"]);
        let repeated = server.json(&format!("{path}?symbols=OMG/USD,XBT/CHF,omg/usd,XBT/CHF,OMG/USD"));
        assert_eq!(names(&repeated[list]), ["OMG/USD", "XBT/CHF"], "each once, as first named");
    }
    for path in [
        "/v1/books/XBT%2FCHF",
        "/v1/books/xbt%2fchf",
        "/v1/trades/Xbt%2FChf",
        "/v1/bars/xbT%2Fchf?interval=1h",
    ] {
        assert_eq!(server.json(path)["symbol"], "XBT/CHF");
    }
}

#[test]
fn limits_are_kept() {
    let server = Service::ended(COINBASE);
    let all = server.json("/v1/trades/SKL-USD");
    let rows = all["trades"].as_array().expect("an array");
    assert_eq!(rows.len(), 15);
    for limit in [1, 7, 15, 1_000] {
        let some = server.json(&format!("/v1/trades/SKL-USD?limit={limit}"));
        let newest = &rows[rows.len().saturating_sub(limit)..];
        assert_eq!(some["trades"].as_array().map(Vec::as_slice), Some(newest), "the newest, oldest first");
        assert_eq!(some["seq"], 15);
    }
    let bars = server.json("/v1/bars/SKL-USD?interval=1s&limit=2");
    assert_eq!(bars["bars"].as_array().map(Vec::len), Some(2));
}

#[test]
fn wrong_values_are_refused_with_the_right_ones() {
    let server = Service::ended(KRAKEN);
    for value in ["11", "0", "-1", "ten", "", "99999999999999999999", "10,25"] {
        let response = server.get(&format!("/v1/books/XBT%2FCHF?depth={value}"));
        let told = format!("depth `{value}` is none of 10, 25 and 100");
        assert_refused(&response, 400, "BAD_PARAMETER", &told);
    }
    for kind in ["trades", "bars"] {
        for value in ["0", "1001", "-1", "all", "", "99999999999999999999"] {
            let response = server.get(&format!("/v1/{kind}/XBT%2FCHF?limit={value}"));
            let told = format!("limit `{value}` is not between 1 and 1000");
            assert_refused(&response, 400, "BAD_PARAMETER", &told);
        }
    }
    for value in ["2m", "", "1M"] {
        let response = server.get(&format!("/v1/bars/XBT%2FCHF?interval={value}"));
        let told = format!("interval `{value}` is none of 1s, 1m, 5m, 1h and 1d");
        assert_refused(&response, 400, "BAD_PARAMETER", &told);
    }
}

#[test]
fn wrong_parameters_are_refused_with_those_that_there_are() {
    let server = Service::ended(KRAKEN);
    for (path, wrong, allowed) in [
        ("/v1/instruments?symbol=XBT/CHF", "symbol", "`symbols`"),
        ("/v1/quotes?symbols=XBT/CHF&depth=10", "depth", "`symbols`"),
        ("/v1/books/XBT%2FCHF?levels=10", "levels", "`depth`"),
        ("/v1/trades/XBT%2FCHF?interval=1m", "interval", "`limit`"),
        ("/v1/bars/XBT%2FCHF?limits=1", "limits", "`interval`, `limit`"),
        ("/v1/bars/XBT%2FCHF?Limit", "Limit", "`interval`, `limit`"),
    ] {
        let response = server.get(path);
        let told = format!("there is no parameter `{wrong}` here: allowed are {allowed}");
        assert_refused(&response, 400, "BAD_REQUEST", &told);
    }
    for (path, twice) in [
        ("/v1/books/XBT%2FCHF?depth=10&depth=25", "`depth` is given twice"),
        ("/v1/bars/XBT%2FCHF?limit=1&interval=1m&limit=1", "`limit` is given twice"),
    ] {
        assert_refused(&server.get(path), 400, "BAD_REQUEST", twice);
    }
    assert_refused(&server.get("/v1/books/%FF"), 400, "BAD_REQUEST", "UTF-8");
    let long = "x".repeat(10_000);
    for path in [
        format!("/v1/books/{long}"),
        format!("/v1/quotes?{long}=1"),
        format!("/v1/books/XBT%2FCHF?depth={long}"),
    ] {
        let response = server.get(&path);
        assert!(matches!(response.status, 400 | 404), "{response:?}");
        assert!(
            response.body.contains(&"x".repeat(64)) && response.body.len() < 500,
            "it is cut: {response:?}"
        );
    }
}

#[test]
fn unknown_symbols_and_paths_are_not_found() {
    let server = Service::ended(KRAKEN);
    for path in [
        "/v1/books/NOPE",
        "/v1/trades/NOPE",
        "/v1/bars/NOPE",
        "/v1/quotes?symbols=XBT/CHF,NOPE",
        "/v1/tickers?symbols=NOPE",
        "/v1/instruments?symbols=NOPE",
    ] {
        assert_refused(&server.get(path), 404, "UNKNOWN_SYMBOL", "`NOPE`");
    }
    assert_refused(&server.get("/v1/quotes?symbols="), 404, "UNKNOWN_SYMBOL", "``");
    for path in [
        "/v1",
        "/v1/",
        "/v1/quotes/",
        "/v1/books",
        "/v1/books/XBT/CHF",
        "/v2/quotes",
        "/index.html",
        "/../etc/passwd",
    ] {
        assert_refused(&server.get(path), 404, "NOT_FOUND", "/v1/docs");
    }
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    let server = Service::ended(KRAKEN);
    for path in ["/", "/icon.svg", "/v1/instruments", "/v1/books/XBT%2FCHF", "/health/live", "/metrics"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let response = http::request(server.address, method, path);
            assert_eq!((response.status, response.header("allow")), (405, "GET,HEAD"), "{method} {path}");
            assert_refused(&response, 405, "METHOD_NOT_ALLOWED", "`Allow`");
        }
        let (head, get) = (http::request(server.address, "HEAD", path), server.get(path));
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for header in ["content-type", "content-length"] {
            assert_eq!(head.header(header), get.header(header), "{path}");
        }
    }
}

#[test]
fn health_says_how_far_the_feed_has_come() {
    let server = Service::ended(KRAKEN);
    assert_eq!(server.get("/health/live").body, "live\n");
    assert_eq!(server.json("/health/ready"), json!({"ready": true, "feed": "ended"}));

    let server = Service::start(["--wait-clients", "1"]);
    assert_eq!(server.json("/health/ready"), json!({"ready": true, "feed": "waiting"}));
    let symbol = names(&server.json("/v1/instruments")["instruments"]).swap_remove(0);
    let quotes = server.json(&format!("/v1/quotes?symbols={symbol}"));
    assert_eq!(
        (&quotes["quotes"][0]["bid"], &quotes["quotes"][0]["seq"]),
        (&Value::Null, &json!(0)),
        "no event yet"
    );
    assert_eq!(server.json(&format!("/v1/trades/{symbol}"))["trades"], json!([]));
    // It counts only for as long as it is there.
    let mut client = server.client();
    client.subscribe("quote", &["*"]);
    eventually("it runs", || server.json("/health/ready")["feed"] == "running");
}

#[test]
fn a_service_whose_feed_is_damaged_is_not_ready() {
    let whole = format!("{}/feeds/recordings/{KRAKEN}", env!("CARGO_MANIFEST_DIR"));
    let mut recording = zstd::decode_all(fs::File::open(whole).expect("the recording")).expect("zstd");
    recording.truncate(recording.len() / 2);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("damaged.jsonl");
    fs::write(&file, &recording).expect("a file");
    let server = Service::start(["--feed", &format!("replay:{}", file.display()), "--speed", "max"]);
    eventually("it is damaged", || server.metric("feed_errors_total") == 1);
    eventually("it is said", || server.get("/health/ready").status == 503);
    assert_eq!(server.get("/health/ready").json(), json!({"ready": false, "feed": "failed"}));
    assert_eq!(server.get("/health/live").status, 200);
    let quotes = server.json("/v1/quotes");
    let has_come = |quote: &Value| quote["seq"].as_u64() > Some(0);
    assert!(
        quotes["quotes"].as_array().expect("an array").iter().any(has_come),
        "what came before stays served"
    );
}

/// Asks for so much, unread, that the memory for answers is all taken: one more is told so, and those that have read
/// theirs make room.
#[test]
fn clients_that_do_not_read_their_answers_hold_no_more_than_there_is() {
    let server = Service::start(["--sim-instruments", "20000", "--sim-rate", "1", "--shards", "1"]);
    let whole = server.get("/v1/instruments").body;
    assert!(whole.len() > 1_000_000, "{}", whole.len());
    let many = (80 << 20) / whole.len();
    let mut unread: Vec<_> = (0..many)
        .map(|_| {
            let mut stream = http::connect(server.address);
            stream.write_all(b"GET /v1/instruments HTTP/1.1\r\nHost: here\r\n\r\n").expect("a socket");
            stream
        })
        .collect();
    eventually("no memory is left", || server.get("/v1/instruments").status == 503);
    let busy = server.get("/v1/instruments");
    assert_eq!((busy.status, busy.header("retry-after")), (503, "1"), "{busy:?}");
    let error = &busy.json();
    assert_eq!((&error["code"], &error["retryable"]), (&json!("BUSY"), &json!(true)));
    assert_eq!(server.get("/health/live").status, 200);

    let stream = unread.swap_remove(0);
    assert!(
        http::read_response(&mut BufReader::new(stream), "GET").body == whole,
        "whoever reads gets it whole"
    );
    drop(unread);
    eventually("there is room again", || server.get("/v1/instruments").status == 200);
}

#[test]
fn metrics_are_as_prometheus_reads_them() {
    let server = Service::ended(KRAKEN);
    let response = server.get("/metrics");
    assert_eq!((response.status, response.header("content-type")), (200, "text/plain; version=0.0.4"));
    for metric in response.body.split("# HELP ").skip(1) {
        let mut lines = metric.lines();
        let name = lines.next().and_then(|help| help.split(' ').next()).expect("a name");
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
        let kind = kind.expect("the same name");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{metric}");
        let mut values = 0;
        for line in lines {
            let (labelled, value) = line.rsplit_once(' ').expect("a value");
            let rest = labelled.strip_prefix(name).expect("the same name");
            let (suffix, labels) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            let pairs = labels.strip_prefix('{').map(|pairs| pairs.strip_suffix('}').expect("an end"));
            for pair in pairs.into_iter().flat_map(|pairs| pairs.split(',')) {
                let (label, value) = pair.split_once('=').expect("a pair");
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
                let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                assert!(text.is_some_and(|text| !text.is_empty() && !text.contains('"')), "{line}");
            }
            let is_number = if suffix == "_sum" {
                value.split_once('.').is_some_and(|(seconds, nanos)| {
                    seconds.parse::<u64>().is_ok() && nanos.len() == 9 && nanos.parse::<u64>().is_ok()
                })
            } else {
                value.parse::<i64>().is_ok_and(|value| value >= 0)
            };
            assert!(is_number, "{line}");
            values += 1;
        }
        assert!(values > 0, "{metric}");
    }
    assert_eq!(server.metric("book_checksums_ok_total"), 848, "each update of the recording has one");
    assert_eq!(server.metric("book_checksums_failed_total"), 0);
    assert_eq!((server.metric("feed_errors_total"), server.metric("connections")), (0, 0));

    let mut client = server.client();
    client.subscribe("quote", &["*"]);
    client.ask(&json!({"method": "dance"}));
    assert_eq!((server.metric("connections"), server.metric("connections_total")), (1, 1));
    assert_eq!((server.metric("requests_total"), server.metric("requests_bad_total")), (2, 1));
    assert!(server.metric("bytes_out_total") > 0 && server.metric("messages_out_total") > 0);
}

/// The answer to a request with these lines in its head.
fn ask(server: &Service, method: &str, path: &str, lines: &str) -> Response {
    let mut stream = http::connect(server.address);
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", server.address);
    stream.write_all(head.as_bytes()).expect("the service reads");
    http::read_response(&mut BufReader::new(stream), method)
}

#[test]
fn who_has_the_state_is_told_so() {
    let server = Service::ended(KRAKEN);
    let book = server.get("/v1/books/XBT%2FCHF");
    let state = book.json();
    let tag = format!("W/\"{}:{}\"", state["epoch"].as_str().expect("a text"), state["seq"]);
    assert_eq!(book.header("etag"), tag, "the state's own numbers");
    for path in [
        "/v1/books/XBT%2FCHF",
        "/v1/trades/XBT%2FCHF",
        "/v1/bars/XBT%2FCHF",
        "/v1/quotes",
        "/v1/tickers",
        "/v1/instruments",
        "/v1/openapi.json",
    ] {
        let whole = server.get(path);
        assert!(["private, no-cache", "no-cache"].contains(&whole.header("cache-control")), "{whole:?}");
        assert!(whole.header("vary").contains("accept-encoding"), "{whole:?}");
        let tag = whole.header("etag");
        let strong = tag.trim_start_matches("W/");
        for known in [tag, strong, "*", &format!("\"other\", {tag}")] {
            let same = ask(&server, "GET", path, &format!("If-None-Match: {known}\r\n"));
            assert_eq!(
                (same.status, same.header("etag"), same.body.as_str()),
                (304, tag, ""),
                "{path} {known}"
            );
        }
        let other = ask(&server, "GET", path, "If-None-Match: \"other\"\r\n");
        assert_eq!((other.status, &other.body), (200, &whole.body));
        let head = ask(&server, "HEAD", path, "");
        assert_eq!(
            (head.status, head.header("etag"), head.header("content-length")),
            (200, tag, whole.header("content-length"))
        );
    }
}

/// The same as it comes: the head, and the content as it is coded.
fn ask_bytes(server: &Service, path: &str, lines: &str) -> (Response, Vec<u8>) {
    let mut stream = http::connect(server.address);
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", server.address);
    stream.write_all(head.as_bytes()).expect("the service reads");
    let mut reader = BufReader::new(stream);
    let head = http::read_response(&mut reader, "HEAD");
    let mut content = Vec::new();
    reader.read_to_end(&mut content).expect("a whole body");
    (head, content)
}

#[test]
fn long_documents_come_compressed_to_who_takes_that() {
    let server = Service::start(["--sim-instruments", "2000", "--sim-rate", "1", "--sim-mode", "quotes"]);
    for path in ["/v1/instruments", "/v1/instruments?limit=50", "/v1/openapi.json", "/v1/docs"] {
        let plain = server.get(path);
        assert_eq!(plain.header("content-encoding"), "");
        let (gzip, bytes) = ask_bytes(&server, path, "Accept-Encoding: deflate, gzip\r\n");
        assert_eq!(gzip.header("content-encoding"), "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, plain.body);
        assert!(bytes.len() * 2 < plain.body.len(), "{path}: {}", bytes.len());
        let (brotli, bytes) = ask_bytes(&server, path, "Accept-Encoding: gzip, br;q=1.0\r\n");
        assert_eq!((brotli.header("content-encoding"), brotli.header("etag")), ("br", plain.header("etag")));
        assert!(bytes.len() * 2 < plain.body.len(), "{path}: {}", bytes.len());
        for refused in ["gzip;q=0", "identity", "zstd"] {
            let answer = ask(&server, "GET", path, &format!("Accept-Encoding: {refused}\r\n"));
            assert_eq!((answer.header("content-encoding"), &answer.body), ("", &plain.body), "{refused}");
        }
    }
    let short = ask(&server, "GET", "/v1/quotes?symbols=SYM00000", "Accept-Encoding: gzip\r\n");
    assert_eq!(short.header("content-encoding"), "", "short content is not worth it");
}

#[test]
fn a_list_comes_in_parts_and_of_what_is_asked_for() {
    let server = Service::ended(KRAKEN);
    for (path, list) in
        [("/v1/instruments", "instruments"), ("/v1/quotes", "quotes"), ("/v1/tickers", "tickers")]
    {
        let whole = names(&server.json(path)[list]);
        let (mut parts, mut cursor) = (Vec::new(), String::new());
        loop {
            let part = server.json(&format!("{path}?limit=3{cursor}"));
            let rows = names(&part[list]);
            assert!((1..=3).contains(&rows.len()), "{part}");
            parts.extend(rows);
            let Some(next) = part["next"].as_str() else { break };
            assert_eq!(parts.last().map(String::as_str), Some(next));
            cursor = format!("&cursor={}", next.replace('/', "%2F"));
        }
        assert_eq!(parts, whole);
        let euros = names(&server.json(&format!("{path}?match=*/eur"))[list]);
        let of_euro: Vec<_> = whole.iter().filter(|name| name.ends_with("/EUR")).cloned().collect();
        assert!(!euros.is_empty() && euros == of_euro, "{euros:?}");
        assert_eq!(
            names(&server.json(&format!("{path}?symbols=omg/usd,xbt/chf&match=XBT*"))[list]),
            ["XBT/CHF"]
        );
        let venue =
            server.json("/v1/instruments")["instruments"][0]["venue"].as_str().expect("a text").to_owned();
        assert_eq!(names(&server.json(&format!("{path}?venue={venue}"))[list]), whole);
        assert_eq!(server.json(&format!("{path}?venue=elsewhere"))[list], json!([]));
        assert_refused(&server.get(&format!("{path}?limit=0")), 400, "BAD_PARAMETER", "between 1 and 10000");
        assert_refused(&server.get(&format!("{path}?cursor=NOPE")), 404, "UNKNOWN_SYMBOL", "NOPE");
        assert_refused(
            &server.get(&format!("{path}?match=*/EUR&cursor=XBT/CHF")),
            400,
            "BAD_PARAMETER",
            "not of this list",
        );
    }
}

#[test]
fn each_refusal_is_a_problem_document() {
    let server = Service::simulated_quotes();
    for (method, path, lines, status, code) in [
        ("GET", "/v1/nothing", "", 404, "NOT_FOUND"),
        ("GET", "/v1/books/NOPE", "", 404, "UNKNOWN_SYMBOL"),
        ("GET", "/v1/quotes?x=1", "", 400, "BAD_REQUEST"),
        ("DELETE", "/v1/quotes", "", 405, "METHOD_NOT_ALLOWED"),
        (
            "POST",
            "/v1/token",
            "Authorization: Bearer x\r\nContent-Length: 2\r\n",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        ("POST", "/v1/token", "", 401, "AUTH_REQUIRED"),
        ("GET", "/v1/quotes?token=x", "", 400, "BAD_REQUEST"),
        ("GET", "/v1/quotes", "Transfer-Encoding: chunked\r\n", 400, "BAD_REQUEST"),
    ] {
        let answer = ask(&server, method, path, lines);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/problem+json"),
            "{answer:?}"
        );
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        let problem = answer.json();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{problem}");
        assert_eq!(problem["type"], format!("/v1/docs#{code}"));
        for field in ["title", "detail", "action"] {
            assert!(problem[field].as_str().is_some_and(|text| text.len() > 3), "{problem}");
        }
        assert!(problem["retryable"].is_boolean());
    }
}

impl Service {
    fn simulated_quotes() -> Self {
        Self::start(["--sim-mode", "quotes", "--sim-instruments", "2"])
    }
}
