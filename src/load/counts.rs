//! What one client has counted.

use std::ops::{Add, Sub};

use crate::client::Stats;

/// Since a client was made. A drain leaves zero what it does not look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// WebSocket messages.
    pub(super) frames: u64,
    /// Of those, the ones that a drain cannot count updates in: compressed, or binary.
    pub(super) opaque: u64,
    /// Bytes of messages, without headers.
    pub(super) bytes: u64,
    /// Bytes of the socket behind the handshake.
    pub(super) wire_bytes: u64,
    /// Objects in messages.
    pub(super) messages: u64,
    pub(super) snapshots: u64,
    pub(super) updates: u64,
    /// Changes of the feed that updates, and snapshots in their place, stand for.
    pub(super) merged: u64,
    /// How many of those stand for more than one.
    pub(super) merges: u64,
    /// Changes that the server's numbers tell of, and its counts do not, or the other way round.
    pub(super) unaccounted: u64,
    pub(super) gaps: u64,
    pub(super) lost: u64,
    pub(super) checksums_ok: u64,
    pub(super) checksums_failed: u64,
    pub(super) reconnects: u64,
    pub(super) connect_failures: u64,
}

impl Counts {
    /// What a verifying client has counted.
    pub(super) const fn of(stats: &Stats) -> Self {
        Self {
            frames: stats.frames,
            opaque: 0,
            bytes: stats.bytes,
            wire_bytes: stats.wire_bytes,
            messages: stats.messages,
            snapshots: stats.snapshots,
            updates: stats.updates,
            merged: stats.merged,
            merges: stats.merges,
            unaccounted: stats.unaccounted,
            gaps: stats.gaps,
            lost: stats.lost,
            checksums_ok: stats.checksums_ok,
            checksums_failed: stats.checksums_failed,
            reconnects: stats.reconnects,
            connect_failures: stats.connect_failures,
        }
    }

    fn each(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            frames: with(self.frames, other.frames),
            opaque: with(self.opaque, other.opaque),
            bytes: with(self.bytes, other.bytes),
            wire_bytes: with(self.wire_bytes, other.wire_bytes),
            messages: with(self.messages, other.messages),
            snapshots: with(self.snapshots, other.snapshots),
            updates: with(self.updates, other.updates),
            merged: with(self.merged, other.merged),
            merges: with(self.merges, other.merges),
            unaccounted: with(self.unaccounted, other.unaccounted),
            gaps: with(self.gaps, other.gaps),
            lost: with(self.lost, other.lost),
            checksums_ok: with(self.checksums_ok, other.checksums_ok),
            checksums_failed: with(self.checksums_failed, other.checksums_failed),
            reconnects: with(self.reconnects, other.reconnects),
            connect_failures: with(self.connect_failures, other.connect_failures),
        }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.each(other, |one, other| one + other)
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.each(other, |one, other| one - other)
    }
}
