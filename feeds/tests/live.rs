//! Live feeds against venues that are real servers and play rudely: the books end as the venue's own, and whatever was
//! lost on the way has been told.

mod live {
    mod binance;
    mod client;
    mod coinbase;
    mod fake;
    mod kraken;
    mod replayed;

    /// Longer than any test.
    const NEVER: std::time::Duration = std::time::Duration::from_secs(600);
}
