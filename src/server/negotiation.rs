//! What a request says of the answer that it can take: in which coding, and whether it has it already.

use std::io::{self, Write};

use axum::http::header::{self, HeaderMap, HeaderName};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::limits::COMPRESSED_DOCUMENT_BYTES_MIN;

/// How the content of an answer is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// The best of those that are taken.
    pub(super) fn accepted(asked: &HeaderMap) -> Option<Self> {
        [Self::Brotli, Self::Gzip].into_iter().find(|coding| accepts(asked, coding.as_str()))
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What is taken of so much content: short content is not worth it.
    pub(super) fn worth_it(asked: &HeaderMap, bytes: usize) -> Option<Self> {
        if bytes < COMPRESSED_DOCUMENT_BYTES_MIN { None } else { Self::accepted(asked) }
    }

    /// Encodes content whole, at a level that takes about ten milliseconds a megabyte.
    pub(super) fn encode(self, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoded = Vec::with_capacity(content.len() / 4);
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(&mut encoded, Compression::fast());
                encoder.write_all(content)?;
                encoder.finish()?;
            }
            Self::Brotli => {
                let params = brotli::enc::BrotliEncoderParams { quality: 4, lgwin: 18, ..Default::default() };
                brotli::BrotliCompress(&mut &content[..], &mut encoded, &params)?;
            }
        }
        Ok(encoded)
    }
}

/// Whether the client has the content with that tag, or whatever there is.
pub(super) fn has(asked: &HeaderMap, tag: &str) -> bool {
    let bare = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    listed(asked, &header::IF_NONE_MATCH).any(|known| known == "*" || bare(known) == bare(tag))
}

/// Whether a content coding is named, and not with the quality 0.
pub(super) fn accepts(asked: &HeaderMap, encoding: &str) -> bool {
    listed(asked, &header::ACCEPT_ENCODING).any(|entry| {
        let (name, quality) = entry.split_once(';').unwrap_or((entry, ""));
        let refused =
            quality.trim().strip_prefix("q=").is_some_and(|q| q.trim_end_matches(['0', '.']).is_empty());
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

/// The entries of a header that is a list, however often it stands there.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}
