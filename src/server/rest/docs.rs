//! `/v1/openapi.json`, `/v1/asyncapi.json`, and a page for people, `/v1/docs`, without a script.

use std::fmt::Write;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use serde_json::Value;
use utoipa::OpenApi;

use super::super::negotiation::{self, Coding};
use super::describe::Description;
use super::{problem, tag_of};
use crate::wire::code::ErrorCode;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
/// A page, and its style.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(in crate::server) fn routes() -> Router {
    let description = Description::openapi();
    let openapi = description.to_json().expect("a description is JSON");
    let page = page(&serde_json::from_str(&openapi).expect("a description is JSON"));
    Router::new()
        .route("/v1/openapi.json", document(JSON, openapi))
        .route("/v1/asyncapi.json", document(JSON, include_str!("../../wire/asyncapi.json").to_owned()))
        .route("/v1/docs", document(HTML, page))
        .route("/v1/docs.css", document(CSS, include_str!("docs.css").to_owned()))
}

/// A document that does not change while the process lives.
fn document(content_type: &'static str, content: String) -> MethodRouter {
    let tag = tag_of(content.as_bytes());
    let content = Bytes::from(content);
    get(move |headers: HeaderMap| async move { answer(content_type, &content, &tag, &headers) })
}

fn answer(content_type: &str, content: &Bytes, tag: &str, asked: &HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::ETAG, tag),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::VARY, "accept-encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if negotiation::has(asked, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let coding = Coding::worth_it(asked, content.len());
    if let Some((coding, encoded)) = coding.and_then(|coding| Some((coding, coding.encode(content).ok()?))) {
        let mut response = (headers, encoded).into_response();
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
        return response;
    }
    (headers, content.clone()).into_response()
}

/// The description for people.
fn page(description: &Value) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width\">\n<title>Tickwire: what it answers</title>\n\
        <link rel=\"stylesheet\" href=\"docs.css\">\n<main>\n<h1>Tickwire</h1>\n",
    );
    paragraph(&mut page, &description["info"]["description"]);
    page.push_str("<p>For programs: <a href=\"openapi.json\">openapi.json</a>, <a href=\"asyncapi.json\">asyncapi.json</a>.</p>\n");
    for (path, methods) in description["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "<h2><code>{} {}</code></h2>", method.to_uppercase(), escaped(path));
            paragraph(&mut page, &operation["summary"]);
            rows(
                &mut page,
                "parameter",
                operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|parameter| (text(&parameter["name"]), text(&parameter["description"]))),
            );
            rows(
                &mut page,
                "status",
                operation["responses"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(status, response)| (status.as_str(), text(&response["description"]))),
            );
        }
    }
    page.push_str("<h2>Errors</h2>\n<p>By HTTP a problem document (RFC 9457), on the socket an answer with the same code.</p>\n<table>\n<tr><th>code<th>means<th>what to do\n");
    for code in ErrorCode::ALL {
        let (title, action) = (escaped(problem::title(code)), escaped(problem::action(code)));
        let _ = writeln!(page, "<tr id=\"{code}\"><td><code>{code}</code><td>{title}<td>{action}");
    }
    page.push_str("</table>\n</main>\n</html>\n");
    page
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn paragraph(page: &mut String, value: &Value) {
    let _ = writeln!(page, "<p>{}</p>", escaped(text(value)));
}

fn rows<'a>(page: &mut String, head: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = writeln!(page, "<table>\n<tr><th>{head}<th>");
    for (name, meaning) in rows {
        let _ = writeln!(page, "<tr><td><code>{}</code><td>{}", escaped(name), escaped(meaning));
    }
    page.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
