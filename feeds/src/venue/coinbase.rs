//! Coinbase.
