//! Which pages' scripts may connect. A browser tells the page's origin, and lets any page open a WebSocket anywhere:
//! RFC 6455 section 10.2.

use std::fmt;
use std::str::FromStr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// An origin as browsers write it: `https://dash.example.com`, `http://localhost:3000`, `null`, or `*`: any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// It is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin such as https://dash.example.com or http://localhost:3000 (no path), null, or *")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "*" || text == "null" {
            return Ok(Self(text.to_owned()));
        }
        let (scheme, host) = split(text).ok_or(OriginError)?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if is_scheme && authority(host).is_some() { Ok(Self(normal(scheme, host))) } else { Err(OriginError) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether whoever asks may connect: what is no browser tells no origin; a page may connect to where it came from, and
/// those that are allowed may.
#[must_use]
pub fn may_connect(headers: &HeaderMap, host: &str, is_tls: bool, allowed: &[Origin]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (origin, None) = (origins.next(), origins.next()) else { return false };
    let Some(origin) = origin else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if allowed.iter().any(|allowed| allowed.0 == "*") {
        return true;
    }
    let Some((scheme, its_host)) = split(origin) else {
        return allowed.iter().any(|allowed| allowed.0 == origin);
    };
    let own = normal(scheme, its_host);
    // Behind a proxy that speaks TLS for us, a page is https while we are not.
    let is_own = (scheme == "https" || (scheme == "http" && !is_tls)) && own == normal(scheme, host);
    is_own || allowed.iter().any(|allowed| allowed.0 == own)
}

/// The host that a request is for; `None` where that cannot be told: RFC 9112 section 3.2.
#[must_use]
pub fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap, is_http_1_0: bool) -> Option<&'a str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok()?,
        (None, None) if is_http_1_0 => "",
        _ => return None,
    };
    let is_host = host.is_empty() || authority(host).is_some();
    is_host.then(|| uri.authority().map_or(host, Authority::as_str))
}

/// Whether a host, with or without its port, is one of these, which have none.
#[must_use]
pub fn is_of(host: &str, allowed: &[String]) -> bool {
    let host = authority(host);
    host.is_some_and(|host| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host.host())))
}

/// A host and perhaps a port, and nothing else: of `[::1].evil.example` the host would be `[::1]`.
fn authority(text: &str) -> Option<Authority> {
    let is_whole =
        text.rfind(']').is_none_or(|end| matches!(text.as_bytes().get(end + 1), None | Some(b':')));
    let authority: Authority = text.parse().ok()?;
    let is_host = is_whole && !authority.host().is_empty() && !text.contains('@');
    is_host.then_some(authority)
}

fn split(origin: &str) -> Option<(&str, &str)> {
    origin.split_once("://").filter(|(_, host)| !host.is_empty())
}

/// In lower case, and without the port that the scheme has anyway.
fn normal(scheme: &str, host: &str) -> String {
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => "",
    };
    format!("{scheme}://{}", host.strip_suffix(port).unwrap_or(&host))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn may(origin: &str, host: &str, is_tls: bool, allowed: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).expect("a value"));
        let allowed: Vec<_> = allowed.iter().map(|text| text.parse().expect("an origin")).collect();
        may_connect(&headers, host, is_tls, &allowed)
    }

    #[test]
    fn a_page_connects_to_where_it_came_from() {
        for (origin, host, is_tls) in [
            ("http://localhost:8080", "localhost:8080", false),
            ("http://LOCALHOST:8080", "LocalHost:8080", false),
            ("http://example.com", "example.com", false),
            ("http://example.com", "example.com:80", false),
            ("https://example.com", "example.com", true),
            ("https://example.com", "example.com:443", true),
            ("https://example.com", "example.com", false),
            ("http://[::1]:8080", "[::1]:8080", false),
        ] {
            assert!(may(origin, host, is_tls, &[]), "{origin} {host}");
        }
        for (origin, host, is_tls) in [
            ("http://evil.example", "localhost:8080", false),
            ("http://localhost:3000", "localhost:8080", false),
            ("http://localhost", "localhost:8080", false),
            ("http://example.com", "example.com", true),
            ("http://example.com.evil.example", "example.com", false),
            ("http://evil.example#example.com", "example.com", false),
            ("null", "example.com", false),
            ("", "example.com", false),
            ("http://", "", false),
            ("ftp://example.com", "example.com", false),
            ("example.com", "example.com", false),
        ] {
            assert!(!may(origin, host, is_tls, &[]), "{origin} {host}");
        }
    }

    #[test]
    fn those_that_are_allowed_connect_and_who_tells_none() {
        let allowed = ["https://dash.example.com", "http://localhost:3000"];
        assert!(may("https://dash.example.com", "ticks.example.com", true, &allowed));
        assert!(may("https://dash.example.com:443", "ticks.example.com", true, &allowed));
        assert!(may("http://localhost:3000", "ticks.example.com", true, &allowed));
        assert!(!may("http://dash.example.com", "ticks.example.com", true, &allowed));
        assert!(!may("https://x.dash.example.com", "ticks.example.com", true, &allowed));
        assert!(!may("null", "ticks.example.com", true, &allowed));
        assert!(may("null", "ticks.example.com", true, &["null"]));
        assert!(may("http://anything", "ticks.example.com", true, &["*"]));
        assert!(may_connect(&HeaderMap::new(), "ticks.example.com", true, &[]));
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(header::ORIGIN, HeaderValue::from_static("http://localhost"));
        }
        assert!(!may_connect(&twice, "localhost", false, &[]));
    }

    #[test]
    fn what_is_no_origin_cannot_be_allowed() {
        for text in [
            "",
            "dash.example.com",
            "https://",
            "https://:443",
            "https://a/b",
            "https://a@b",
            "://a",
            "1x://a",
            "https://*.a b",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text:?}");
        }
    }

    #[test]
    fn a_request_is_for_one_host() {
        let ask = |uri: &'static str, hosts: &[&'static str], is_http_1_0| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            host(&Uri::from_static(uri), &headers, is_http_1_0).map(str::to_owned)
        };
        assert_eq!(ask("/", &["a:1"], false).as_deref(), Some("a:1"));
        assert_eq!(ask("http://b/x", &["a:1"], false).as_deref(), Some("b"));
        assert_eq!(ask("/", &[], true).as_deref(), Some(""));
        for hosts in [&[][..], &["a", "a"], &["a b"], &["u@a"], &["a/b"], &["[::1].evil.example"], &[":80"]] {
            assert_eq!(ask("/", hosts, false), None, "{hosts:?}");
        }
        assert!(is_of("Ticks.example.com:8443", &["ticks.example.com".to_owned()]));
        assert!(is_of("[::1]:80", &["[::1]".to_owned()]));
        assert!(!is_of("x.ticks.example.com", &["ticks.example.com".to_owned()]));
        assert!(!is_of("", &["a".to_owned()]));
        assert!(!is_of("[::1].evil.example", &["[::1]".to_owned()]));
    }
}
