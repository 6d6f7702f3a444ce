//! Requests, as far as the load harness makes them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Market;

/// What a request is answered with, and the quotes that it subscribes to.
pub struct Answer {
    pub messages: Vec<String>,
    pub follow: Vec<usize>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    #[serde(default)]
    params: Params,
    req_id: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    channel: String,
    symbols: Vec<String>,
}

/// # Errors
/// When the text is no request.
pub fn answer(market: &Market, text: &str) -> anyhow::Result<Answer> {
    let Request { method, params: Params { channel, mut symbols }, req_id } = serde_json::from_str(text)?;
    if method != "subscribe" || !["quote", "status"].contains(&channel.as_str()) {
        let message = "a peer only subscribes to quote and status";
        let error = json!({"code": "UNSUPPORTED", "message": message, "retryable": false});
        let answer = json!([{"method": method, "success": false, "req_id": req_id, "error": error}]);
        return Ok(Answer { messages: vec![answer.to_string()], follow: Vec::new() });
    }
    if symbols.first().is_some_and(|first| first == "*") {
        symbols = market.quotes.iter().map(|quote| quote.symbol.clone()).collect();
    }
    let is_status = channel == "status";
    let (mut granted, mut rejected, mut snapshots, mut follow) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for symbol in symbols {
        let Some(index) = market.find(&symbol) else {
            rejected.push(json!({"symbol": symbol, "code": "UNKNOWN_SYMBOL"}));
            continue;
        };
        let quote = &market.quotes[index];
        let (topic, seq) = if is_status { (2 * index + 1, 0) } else { (2 * index, quote.seq) };
        granted.push(
            json!({"symbol": symbol, "topic": topic, "price_exponent": -2, "size_exponent": 0, "seq": seq}),
        );
        snapshots.push(if snapshots.is_empty() { b'[' } else { b',' });
        if is_status {
            let status = json!({"channel": "status", "type": "snapshot", "symbol": symbol, "epoch": market.epoch,
                "seq": 0, "ts_event": 0, "state": "trading", "reason": ""});
            snapshots.extend_from_slice(status.to_string().as_bytes());
        } else {
            quote.write_snapshot(&market.epoch, &mut snapshots);
            follow.push(index);
        }
    }
    let result = json!({"channel": channel, "epoch": market.epoch, "granted": granted, "rejected": rejected});
    let answer = json!([{"method": method, "success": true, "req_id": req_id, "result": result}]);
    let mut messages = vec![answer.to_string()];
    if !snapshots.is_empty() {
        snapshots.push(b']');
        messages.push(String::from_utf8(snapshots)?);
    }
    Ok(Answer { messages, follow })
}
