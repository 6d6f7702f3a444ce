//! What the commands that are clients are pointed at: a server and a channel, as they are typed.

use anyhow::{anyhow, bail};
use feeds::{Symbol, userinfo};

use crate::server::auth;
use crate::topic::{Channel, Depth, Interval, Rate};
use crate::wire::{Encoding, Symbols};

/// Where `tickwire serve` listens if it is not told otherwise.
pub(super) const DEFAULT_URL: &str = "ws://127.0.0.1:8080/v1/ws";

/// What is followed, and where.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) channel: Channel,
    pub(super) symbols: Symbols,
}

impl Target {
    /// From the positional arguments.
    pub(super) fn read(words: &[String]) -> anyhow::Result<Self> {
        let (url, words) = match words {
            [first, words @ ..] if is_url(first) => (read_url(first)?, words),
            words => (DEFAULT_URL.to_owned(), words),
        };
        let [channel, names @ ..] = words else { bail!("what is to be followed? A channel and symbols") };
        let channel = parse_channel(channel).map_err(|why| bad("channel", channel, &why))?;
        let symbols = match names {
            [] => bail!("which symbols of `{channel}`? `*` means all"),
            [all] if all == "*" => Symbols::All,
            names => {
                let symbol = |name: &String| match Symbol::new(name) {
                    Ok(symbol) => Ok(symbol.to_string()),
                    Err(error) => Err(bad("symbol", name, &error.to_string())),
                };
                Symbols::Named(names.iter().map(symbol).collect::<anyhow::Result<_>>()?)
            }
        };
        Ok(Self { url, channel, symbols })
    }
}

/// The server's URL, from positional arguments that are to have nothing else.
pub(super) fn read_url_alone(words: &[String]) -> anyhow::Result<String> {
    match words {
        [] => Ok(DEFAULT_URL.to_owned()),
        [url] if is_url(url) => read_url(url),
        _ => bail!("another's connection follows what it does: name the server's URL alone, and no channel"),
    }
}

fn bad(what: &str, text: &str, why: &str) -> anyhow::Error {
    anyhow!("{what} `{text}`: {why}")
}

/// Whether an argument is meant as a URL: no channel and no symbol looks like one.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// [`parse_url`], with an error that names the URL.
pub(super) fn read_url(text: &str) -> anyhow::Result<String> {
    parse_url(text).map_err(|why| anyhow!("URL `{}`: {why}", shown(text)))
}

/// The URL of any WebSocket. `http://host:port`, as `serve` prints it, gets the path of the protocol; what a `ws://` or `wss://`
/// has is its own.
pub(super) fn read_endpoint(text: &str) -> anyhow::Result<String> {
    let url = read_url(text)?;
    let is_whole = text.starts_with("ws://") || text.starts_with("wss://");
    Ok(if is_whole { text.to_owned() } else { url })
}

/// A URL without what in it may be secret.
fn shown(url: &str) -> String {
    let shown = userinfo::hidden(url);
    shown.split_once('?').map_or_else(|| shown.to_string(), |(path, _)| format!("{path}?…"))
}

/// The WebSocket's URL: `https://host:port`, as `serve` prints it, and `wss://host:port` get the path of the protocol; so
/// do those without TLS.
fn parse_url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").ok_or("a URL such as ws://127.0.0.1:8080/v1/ws")?;
    let scheme = match scheme {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        other => return Err(format!("`{other}://` is not ws://, wss://, http:// or https://")),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if userinfo::is_in(text) || auth::is_in_url(text) {
        let why = "names, passwords and tokens are never in a URL, which is written to logs: give --token-file FILE";
        return Err(why.to_owned());
    }
    Ok(format!("{scheme}://{host}{}", if matches!(path, "" | "/") { "/v1/ws" } else { path }))
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

pub(super) fn parse_encoding(text: &str) -> Result<Encoding, String> {
    match text {
        "json" => Ok(Encoding::Json),
        "binary" => Ok(Encoding::Binary),
        _ => Err("json or binary".to_owned()),
    }
}

pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    let names = || format!("one of {}", Rate::ALL.map(Rate::as_str).join(", "));
    Rate::from_text(text).ok_or_else(names)
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
        assert_eq!(parse_url("https://x.example").as_deref(), Ok("wss://x.example/v1/ws"));
        for (text, part) in [
            ("ftp://x", "`ftp://`"),
            ("http:///v1/ws", "host"),
            ("x", "a URL"),
            ("ws://a:b@x", "--token-file"),
            ("ws://x/v1/ws?token=a", "--token-file"),
        ] {
            assert!(parse_url(text).is_err_and(|error| error.contains(part)), "{text}");
        }
        let error = read_url("ws://anna:canary@x/?access_token=canary").expect_err("no URL").to_string();
        assert!(error.starts_with("URL `ws://…@x/?…`: ") && !error.contains("canary"), "{error}");
        assert_eq!(read_endpoint("https://x.example").expect("a URL"), "wss://x.example/v1/ws");
        for url in ["wss://x.example", "ws://x.example/", "wss://x.example/v2?a=b"] {
            assert_eq!(read_endpoint(url).expect("a URL"), url);
        }
        assert!(is_url("http://x") && !is_url("KRAKEN:XBT/USD"));
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_url_may_be_left_out() {
        let Target { url, channel, symbols } = Target::read(&words("quote aapl KRAKEN:XBT/USD")).unwrap();
        assert_eq!((url.as_str(), channel), (DEFAULT_URL, Channel::Quote));
        assert_eq!(symbols, Symbols::Named(words("AAPL KRAKEN:XBT/USD")));
        let Target { url, channel, symbols } = Target::read(&words("http://[::1]:7 status *")).unwrap();
        assert_eq!((url.as_str(), channel, symbols), ("ws://[::1]:7/v1/ws", Channel::Status, Symbols::All));
        for (wrong, part) in [
            ("ftp://x quote A", "URL `ftp://x`"),
            ("quotes A", "channel `quotes`"),
            ("quote", "which symbols of `quote`"),
            ("http://x quote", "which symbols"),
            ("http://x", "a channel and symbols"),
            ("quote A,B", "symbol `A,B`"),
        ] {
            let error = Target::read(&words(wrong)).unwrap_err().to_string();
            assert!(error.to_lowercase().contains(&part.to_lowercase()), "{wrong}: {error}");
        }
    }

    #[test]
    fn of_another_s_connection_the_url_alone_is_said() {
        assert_eq!(read_url_alone(&[]).expect("the usual one"), DEFAULT_URL);
        assert_eq!(read_url_alone(&words("http://[::1]:7")).expect("a URL"), "ws://[::1]:7/v1/ws");
        for wrong in ["quote", "http://x quote", "http://x quote *"] {
            let error = read_url_alone(&words(wrong)).expect_err(wrong).to_string();
            assert!(error.contains("URL alone"), "{error}");
        }
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
