//! Reading object by object.

use serde_json::Value;

use super::client::Client;

impl Client {
    /// The next object.
    pub(crate) fn next(&mut self) -> Value {
        self.until(|_| true)
    }

    /// Reads so many updates.
    pub(crate) fn read_updates(&mut self, count: u64) {
        let end = self.updates + count;
        while self.updates < end {
            self.next();
        }
    }
}
