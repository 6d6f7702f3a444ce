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
    /// The body as JSON, which its content type says that it is.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
