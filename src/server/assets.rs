//! The page at `/`, inside the binary: `build.rs` says which files those are.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use ring::digest::{SHA256, digest};

use super::negotiation::{self, accepts};

/// No script, style, worker or connection but our own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One file of the page, as it is built and compressed.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    content_type: &'static str,
    /// Another content has another name.
    is_named_by_content: bool,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

mod page {
    use super::File;

    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

pub(super) fn routes() -> Router {
    page::FILES.iter().fold(Router::new(), |router, &file| {
        // Weak: it stands for the content in whatever encoding.
        let hash = digest(&SHA256, file.plain);
        let tag = format!("W/\"{}\"", data_encoding::HEXLOWER.encode(&hash.as_ref()[..16]));
        router.route(file.path, get(move |headers: HeaderMap| async move { file.answer(&tag, &headers) }))
    })
}

impl File {
    fn answer(self, tag: &str, asked: &HeaderMap) -> Response {
        let cache_control =
            if self.is_named_by_content { "public, max-age=31536000, immutable" } else { "no-cache" };
        let headers = [
            (header::CONTENT_TYPE, self.content_type),
            (header::CACHE_CONTROL, cache_control),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::ETAG, tag),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::VARY, "accept-encoding"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        if negotiation::has(asked, tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let encodings = [("br", self.brotli), ("gzip", self.gzip)];
        let encoded = encodings.into_iter().find_map(|(name, content)| {
            content.filter(|_| accepts(asked, name)).map(|content| (name, content))
        });
        let (encoding, content) = encoded.unzip();
        let mut response = (headers, Bytes::from_static(content.unwrap_or(self.plain))).into_response();
        if let Some(encoding) = encoding {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }
}
