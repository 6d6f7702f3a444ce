//! What memory the service takes, as Linux says.

use std::fs;

use super::process::Service;

impl Service {
    /// Memory that it holds, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Forgets the peak, and tells what is held now.
    pub(crate) fn begin_peak(&self) -> u64 {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(path, "5").expect("our own process");
        self.resident_kib()
    }

    /// The most that it held since [`Service::begin_peak`], in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}
