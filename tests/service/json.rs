//! Answers as JSON.

use serde_json::Value;

use super::http::Response;
use super::process::Service;

impl Service {
    /// The JSON that a GET is answered with.
    pub(crate) fn json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.json()
    }
}

impl Response {
    /// The body as JSON, which its content type says that it is: a document, or a problem.
    pub(crate) fn json(&self) -> Value {
        let kind = if self.status >= 400 && self.body.starts_with("{\"type\":") {
            "application/problem+json"
        } else {
            "application/json"
        };
        assert_eq!(self.header("content-type"), kind, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
