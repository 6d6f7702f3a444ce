//! What the service counts.

use super::process::Service;

impl Service {
    /// What a metric stands at.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let response = self.get("/metrics");
        assert_eq!((response.status, response.header("content-type")), (200, "text/plain; version=0.0.4"));
        let text = response.body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("tickwire_")?.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }
}
