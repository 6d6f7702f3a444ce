//! Where spans go, and how many.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// What OTLP has behind the base address, for spans.
const SPANS_PATH: &str = "/v1/traces";

/// How spans are exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where they go.
    pub collector: Collector,
    /// How many.
    pub ratio: Ratio,
    /// What the process does, by its name in the settings.
    pub role: String,
}

/// A collector's address for spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector(Uri);

/// The share of traces that is exported, 0 to 1. One that was begun elsewhere is exported if it is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

/// Why a text is no collector, or no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectorError {
    /// Something else than a URL of HTTP.
    #[error("a collector's base address, such as http://127.0.0.1:4318")]
    Url,
    /// A name or password in it would be shown.
    #[error(
        "no name or password may stand in it: what a collector asks for goes into OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Credentials,
    /// The address of one signal.
    #[error("`{SPANS_PATH}` is added here: give the base address, such as http://127.0.0.1:4318")]
    Signal,
    /// Neither a share nor all.
    #[error("a share of the traces from 0 to 1, such as 0.1")]
    Ratio,
    /// Built without it.
    #[error("this tickwire was built without the feature `otlp`: build it with that")]
    NotBuilt,
}

impl FromStr for Collector {
    type Err = CollectorError;

    fn from_str(text: &str) -> Result<Self, CollectorError> {
        if cfg!(not(feature = "otlp")) {
            return Err(CollectorError::NotBuilt);
        }
        if feeds::userinfo::is_in(text) {
            return Err(CollectorError::Credentials);
        }
        let uri: Uri = text.parse().map_err(|_| CollectorError::Url)?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(CollectorError::Url);
        };
        let has_port = authority.as_str() != authority.host();
        if authority.host().is_empty() || (has_port && uri.port_u16().is_none()) || uri.query().is_some() {
            return Err(CollectorError::Url);
        }
        let base = uri.path().trim_end_matches('/');
        if base.ends_with(SPANS_PATH) {
            return Err(CollectorError::Signal);
        }
        let whole = format!("{scheme}://{authority}{base}{SPANS_PATH}");
        whole.parse().map(Self).map_err(|_| CollectorError::Url)
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "otlp")]
impl Collector {
    /// Whether it is spoken to in TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

#[cfg(feature = "otlp")]
impl Ratio {
    /// As the sampler takes it.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = CollectorError;

    fn from_str(text: &str) -> Result<Self, CollectorError> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or(CollectorError::Ratio)
    }
}

#[cfg(all(test, feature = "otlp"))]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_base_address() {
        let parse = |text: &str| text.parse::<Collector>().map(|collector| collector.to_string());
        for (text, spans) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://collector.example", "https://collector.example/v1/traces"),
            ("http://[::1]:4318/otlp/", "http://[::1]:4318/otlp/v1/traces"),
        ] {
            assert_eq!(parse(text), Ok(spans.to_owned()));
        }
        for text in [
            "",
            "collector:4318",
            "grpc://a:4317",
            "http://",
            "http://:4318",
            "http://a:99999",
            "http://a b",
            "http://a?b",
        ] {
            assert_eq!(parse(text), Err(CollectorError::Url), "{text}");
        }
        assert_eq!(parse("http://a:4318/v1/traces/"), Err(CollectorError::Signal));
        assert_eq!(parse("http://anna:canary@a:4318"), Err(CollectorError::Credentials));
    }

    #[test]
    fn a_share_is_between_none_and_all() {
        for right in ["0", "1", "0.25", "1e-3"] {
            assert!(right.parse::<Ratio>().is_ok(), "{right}");
        }
        for wrong in ["", "-0.1", "1.01", "10%", "nan", "inf"] {
            assert_eq!(wrong.parse::<Ratio>(), Err(CollectorError::Ratio), "{wrong}");
        }
    }
}
