//! Packets that are lost, in a network namespace that nobody else is in.

use std::process::Command;

/// Whether this process has a network of its own, as `make chaos` gives it: `CHAOS_NETWORK` says so.
pub(crate) fn is_ours() -> bool {
    std::env::var_os("CHAOS_NETWORK").is_some()
}

/// Rules that hold until this is dropped.
pub(crate) struct Dropping;

impl Dropping {
    /// Every packet from and to an address of this machine.
    pub(crate) fn all_of(address: &str) -> Self {
        Self::rules(&[format!("ip daddr {address} drop"), format!("ip saddr {address} drop")])
    }

    /// So many of a hundred packets, whosever they are.
    pub(crate) fn percent(percent: u32) -> Self {
        Self::rules(&[format!("numgen random mod 100 < {percent} drop")])
    }

    fn rules(rules: &[String]) -> Self {
        nft("add table inet chaos");
        nft("add chain inet chaos in { type filter hook input priority 0; }");
        for rule in rules {
            nft(&format!("add rule inet chaos in {rule}"));
        }
        Self
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        nft("delete table inet chaos");
    }
}

fn nft(rule: &str) {
    let status = Command::new("nft").arg(rule).status();
    assert!(status.expect("Debian's package nftables").success(), "{rule}");
}
