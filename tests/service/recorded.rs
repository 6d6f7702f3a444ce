//! Services of recordings that are over.

use super::eventually::eventually;
use super::process::Service;

impl Service {
    /// A recording that ships with the product, to its end: nothing changes any more.
    pub(crate) fn ended(recording: &str) -> Self {
        let feed = format!("replay:{}/feeds/recordings/{recording}", env!("CARGO_MANIFEST_DIR"));
        let service = Self::start(["--feed", &feed, "--speed", "max"]);
        eventually("the recording is over", || service.json("/health/ready")["feed"] == "ended");
        service
    }
}
