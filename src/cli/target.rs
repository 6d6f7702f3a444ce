//! What the commands that are clients are pointed at: a server and a channel, as they are typed.

use crate::topic::{Channel, Depth, Interval};

/// Where `tickwire serve` listens if it is not told otherwise.
pub(super) const DEFAULT_URL: &str = "ws://127.0.0.1:8080/v1/ws";

/// Whether an argument is meant as a URL: no channel and no symbol looks like one.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// The WebSocket's URL: `http://host:port`, as `serve` prints it, and `ws://host:port` get the path of the protocol.
pub(super) fn parse_url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").ok_or("a URL such as ws://127.0.0.1:8080/v1/ws")?;
    match scheme {
        "ws" | "http" => {}
        "wss" | "https" => {
            return Err("this command does not speak TLS yet: use ws:// or http://".to_owned());
        }
        other => return Err(format!("`{other}://` is not ws:// or http://")),
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    Ok(format!("ws://{host}{}", if matches!(path, "" | "/") { "/v1/ws" } else { path }))
}

/// `quote`, `book.25`, and so on; `book` and `bar` alone have the parameters that the protocol gives them.
pub(super) fn parse_channel(text: &str) -> Result<Channel, String> {
    match text {
        "book" => return Ok(Channel::Book(Depth::D10)),
        "bar" => return Ok(Channel::Bar(Interval::M1)),
        _ => {}
    }
    Channel::ALL.into_iter().find(|channel| channel.to_string() == text).ok_or_else(|| {
        let names: Vec<String> = Channel::ALL.iter().map(ToString::to_string).collect();
        format!("there is no channel `{text}`: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serve_prints_is_a_url() {
        for text in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "ws://127.0.0.1:8080", DEFAULT_URL] {
            assert_eq!(parse_url(text).as_deref(), Ok(DEFAULT_URL));
        }
        assert_eq!(parse_url("ws://[::1]:9/behind/proxy").as_deref(), Ok("ws://[::1]:9/behind/proxy"));
        for (text, part) in
            [("ftp://x", "`ftp://`"), ("https://x", "TLS"), ("http:///v1/ws", "host"), ("x", "a URL")]
        {
            assert!(parse_url(text).is_err_and(|error| error.contains(part)), "{text}");
        }
        assert!(is_url("http://x") && !is_url("KRAKEN:XBT/USD"));
    }

    #[test]
    fn channels_are_spelled_as_in_the_protocol() {
        for channel in Channel::ALL {
            assert_eq!(parse_channel(&channel.to_string()), Ok(channel));
        }
        assert_eq!(parse_channel("book"), Ok(Channel::Book(Depth::D10)));
        assert_eq!(parse_channel("bar"), Ok(Channel::Bar(Interval::M1)));
        let error = parse_channel("quotes").unwrap_err();
        assert!(error.contains("`quotes`") && error.contains("bar.5m"), "{error}");
    }
}
