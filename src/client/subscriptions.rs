//! What a client wants to follow, to be asked for again on every new connection.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::limits::SYMBOLS_A_REQUEST;
use crate::topic::Channel;
use crate::wire::Symbols;

#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<Channel, Wanted>);

#[derive(Debug)]
enum Wanted {
    These(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Subscriptions {
    pub(super) fn add(&mut self, channel: Channel, symbols: Symbols) {
        let wanted = self.0.entry(channel).or_insert_with(|| Wanted::These(BTreeSet::new()));
        match (wanted, symbols) {
            (wanted, Symbols::All) => *wanted = Wanted::AllBut(BTreeSet::new()),
            (Wanted::These(names), Symbols::Named(symbols)) => names.extend(symbols),
            (Wanted::AllBut(names), Symbols::Named(symbols)) => names.retain(|name| !symbols.contains(name)),
        }
    }

    pub(super) fn remove(&mut self, channel: Channel, symbols: &Symbols) {
        match (self.0.get_mut(&channel), symbols) {
            (_, Symbols::All) => {
                self.0.remove(&channel);
            }
            (Some(Wanted::These(names)), Symbols::Named(symbols)) => {
                names.retain(|name| !symbols.contains(name))
            }
            (Some(Wanted::AllBut(names)), Symbols::Named(symbols)) => names.extend(symbols.iter().cloned()),
            (None, Symbols::Named(_)) => {}
        }
    }

    /// The method calls that ask for all of it.
    pub(super) fn all(&self) -> Vec<(&'static str, Channel, Symbols)> {
        let named = |names: &BTreeSet<String>| Symbols::Named(names.iter().cloned().collect());
        let mut calls = Vec::new();
        for (&channel, wanted) in &self.0 {
            match wanted {
                Wanted::These(names) if names.is_empty() => {}
                Wanted::These(names) => calls.push(("subscribe", channel, named(names))),
                Wanted::AllBut(names) => {
                    calls.push(("subscribe", channel, Symbols::All));
                    if !names.is_empty() {
                        calls.push(("unsubscribe", channel, named(names)));
                    }
                }
            }
        }
        calls
    }
}

/// The texts of a call, as many as its symbols need.
pub(super) fn requests(
    method: &str,
    channel: Channel,
    symbols: &Symbols,
    req_id: i64,
    mut each: impl FnMut(String),
) {
    let mut request = |symbols: Value| {
        let params = json!({"channel": channel.to_string(), "symbols": symbols});
        each(json!({"method": method, "params": params, "req_id": req_id}).to_string());
    };
    match symbols {
        Symbols::All => request(json!(["*"])),
        Symbols::Named(names) => names.chunks(SYMBOLS_A_REQUEST).for_each(|names| request(json!(names))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Method, Request};

    fn named(names: &[&str]) -> Symbols {
        Symbols::Named(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn what_is_asked_for_again_is_what_is_wanted() {
        let mut wanted = Subscriptions::default();
        wanted.add(Channel::Quote, named(&["B", "A"]));
        wanted.add(Channel::Quote, named(&["C"]));
        wanted.remove(Channel::Quote, &named(&["B"]));
        wanted.add(Channel::Trade, Symbols::All);
        wanted.remove(Channel::Trade, &named(&["A", "B"]));
        wanted.add(Channel::Trade, named(&["A"]));
        wanted.add(Channel::Status, Symbols::All);
        wanted.remove(Channel::Status, &Symbols::All);
        wanted.remove(Channel::Ticker, &named(&["A"]));
        assert_eq!(
            wanted.all(),
            [
                ("subscribe", Channel::Quote, named(&["A", "C"])),
                ("subscribe", Channel::Trade, Symbols::All),
                ("unsubscribe", Channel::Trade, named(&["B"])),
            ]
        );
        wanted.remove(Channel::Quote, &named(&["A", "C"]));
        wanted.add(Channel::Trade, Symbols::All);
        assert_eq!(wanted.all(), [("subscribe", Channel::Trade, Symbols::All)]);
    }

    #[test]
    fn requests_are_ones_that_the_server_reads() {
        let names: Vec<String> =
            (0..2 * SYMBOLS_A_REQUEST + 1).map(|index| format!("{index:0>64}")).collect();
        let mut asked = Vec::new();
        for channel in Channel::ALL {
            asked.clear();
            requests("subscribe", channel, &Symbols::Named(names.clone()), 7, |text| {
                let request = Request::parse(text.as_bytes()).expect("a request");
                let Method::Subscribe {
                    channel: read, symbols: Symbols::Named(symbols), snapshot: true, ..
                } = request.method
                else {
                    panic!("not what was asked: {text}");
                };
                assert_eq!(read, channel);
                asked.extend(symbols);
            });
            assert_eq!(asked, names);
        }
    }
}
