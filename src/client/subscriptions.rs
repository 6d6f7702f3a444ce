//! What a client wants to follow, to be asked for again on every new connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::topic::Topic;
use crate::limits::{RESUME_BYTES_A_REQUEST, SYMBOLS_A_REQUEST};
use crate::topic::{Channel, Rate};
use crate::wire::{OnOverflow, Symbols};

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

/// On what terms topics are subscribed to.
pub(super) struct Terms<'a> {
    pub(super) rate: Rate,
    pub(super) on_overflow: OnOverflow,
    /// What need not be sent as a whole.
    pub(super) held: Option<&'a Holdings>,
}

/// The states of a channel that are held of earlier connections.
pub(super) struct Holdings {
    epoch: Arc<str>,
    seq: BTreeMap<String, u64>,
}

impl Holdings {
    /// `topics`: of one channel and one epoch.
    pub(super) fn new<'a>(topics: impl Iterator<Item = &'a Topic>) -> Option<Self> {
        let mut epoch = None;
        let mut seq = BTreeMap::new();
        for topic in topics {
            epoch = topic.epoch();
            seq.insert(topic.symbol().as_str().to_owned(), topic.seq());
        }
        Some(Self { epoch: Arc::clone(epoch?), seq })
    }

    /// As a request says it, as far as there is room in it.
    fn of<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<Value> {
        let mut room = RESUME_BYTES_A_REQUEST;
        let mut seq = Map::new();
        for name in names {
            let Some(&number) = self.seq.get(name) else { continue };
            let number = Value::from(number);
            // `"NAME":1,`
            room = match room.checked_sub(name.len() + number.to_string().len() + 4) {
                Some(room) => room,
                None => break,
            };
            seq.insert(name.to_owned(), number);
        }
        (!seq.is_empty()).then(|| json!({"epoch": &*self.epoch, "seq": seq}))
    }
}

/// The texts of a call, as many as its symbols need.
pub(super) fn requests(
    method: &str,
    channel: Channel,
    symbols: &Symbols,
    req_id: i64,
    terms: &Terms<'_>,
    mut each: impl FnMut(String),
) {
    let mut request = |symbols: Value, held: Option<Value>| {
        let mut params = json!({"channel": channel.to_string(), "symbols": symbols});
        if method == "subscribe" {
            if terms.rate != Rate::Raw && channel != Channel::Trade {
                params["max_frequency"] = terms.rate.as_str().into();
            }
            if terms.on_overflow == OnOverflow::Disconnect {
                params["on_overflow"] = "disconnect".into();
            }
            if let Some(held) = held {
                params["resume"] = held;
            }
        }
        each(json!({"method": method, "params": params, "req_id": req_id}).to_string());
    };
    match symbols {
        Symbols::All => {
            let held = terms.held.and_then(|held| held.of(held.seq.keys().map(String::as_str)));
            request(json!(["*"]), held);
        }
        Symbols::Named(names) => names.chunks(SYMBOLS_A_REQUEST).for_each(|names| {
            request(json!(names), terms.held.and_then(|held| held.of(names.iter().map(String::as_str))));
        }),
    }
}

/// The text that asks for a topic anew; `held`: for what it lacks behind the state of that number.
pub(super) fn resync(channel: Channel, symbol: &str, held: Option<u64>, req_id: i64) -> String {
    let mut params = json!({"channel": channel.to_string(), "symbol": symbol});
    if let Some(held) = held {
        params["seq"] = held.into();
    }
    json!({"method": "resync", "params": params, "req_id": req_id}).to_string()
}

/// The text that asks for the server's time.
pub(super) fn ping(req_id: i64) -> String {
    json!({"method": "ping", "req_id": req_id}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Method, ReqId, Request};

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

    fn asked(method: &str, channel: Channel, symbols: &Symbols, terms: &Terms<'_>) -> Vec<Method> {
        let mut asked = Vec::new();
        requests(method, channel, symbols, 7, terms, |text| {
            let request = Request::parse(text.as_bytes()).expect("a request");
            assert_eq!(request.req_id, Some(ReqId::Number(7)));
            asked.push(request.method);
        });
        asked
    }

    #[test]
    fn requests_are_ones_that_the_server_reads() {
        let names: Vec<String> =
            (0..2 * SYMBOLS_A_REQUEST + 1).map(|index| format!("{index:0>64}")).collect();
        let seq: BTreeMap<String, u64> = names.iter().map(|name| (name.clone(), u64::MAX)).collect();
        let held = Holdings { epoch: "e".into(), seq };
        let terms = Terms { rate: Rate::Ms250, on_overflow: OnOverflow::Disconnect, held: Some(&held) };
        for wanted in Channel::ALL {
            let mut named = Vec::new();
            for method in asked("subscribe", wanted, &Symbols::Named(names.clone()), &terms) {
                let Method::Subscribe { channel, symbols, snapshot, rate, resume, on_overflow } = method
                else {
                    panic!("not what was asked: {method:?}");
                };
                let merged = if wanted == Channel::Trade { Rate::Raw } else { Rate::Ms250 };
                assert_eq!((channel, snapshot, rate), (wanted, true, merged));
                assert_eq!(on_overflow, Some(OnOverflow::Disconnect));
                let Symbols::Named(symbols) = symbols else { panic!("all") };
                let resume = resume.expect("something is held");
                assert_eq!(resume.epoch, "e");
                assert!(resume.seq.keys().all(|name| symbols.contains(name)));
                assert!(resume.seq.len() == symbols.len() || resume.seq.len() > SYMBOLS_A_REQUEST / 2);
                assert!(resume.seq.values().all(|&number| number == u64::MAX));
                named.extend(symbols);
            }
            assert_eq!(named, names);
        }
    }

    #[test]
    fn what_is_held_is_said_and_nothing_that_is_not() {
        let held = Holdings { epoch: "e1".into(), seq: BTreeMap::from([("A".into(), 7), ("B".into(), 8)]) };
        let none = Terms { rate: Rate::Raw, on_overflow: OnOverflow::Conflate, held: None };
        let terms = Terms { held: Some(&held), ..none };
        let resume = |symbols: &Symbols| match &asked("subscribe", Channel::Trade, symbols, &terms)[..] {
            [Method::Subscribe { resume, on_overflow: None, rate: Rate::Raw, .. }] => {
                resume.as_ref().map(|resume| {
                    let mut seq: Vec<_> = resume.seq.clone().into_iter().collect();
                    seq.sort_unstable();
                    (resume.epoch.clone(), seq)
                })
            }
            other => panic!("not what was asked: {other:?}"),
        };
        let (a, b) = (("A".to_owned(), 7), ("B".to_owned(), 8));
        assert_eq!(resume(&named(&["B", "C"])), Some(("e1".to_owned(), vec![b.clone()])));
        assert_eq!(resume(&named(&["C"])), None);
        assert_eq!(resume(&Symbols::All), Some(("e1".to_owned(), vec![a, b])));
        let symbols = named(&["A"]);
        assert_eq!(
            asked("unsubscribe", Channel::Quote, &symbols, &terms),
            [Method::Unsubscribe { channel: Channel::Quote, symbols: symbols.clone() }]
        );
        for held in [None, Some(u64::MAX)] {
            let text = resync(Channel::Book(crate::topic::Depth::D25), "A", held, -1);
            let request = Request::parse(text.as_bytes()).expect("a request");
            let channel = Channel::Book(crate::topic::Depth::D25);
            assert_eq!(request.method, Method::Resync { channel, symbol: "A".to_owned(), held });
        }
        let request = Request::parse(ping(7).as_bytes()).expect("a request");
        assert_eq!((request.method, request.req_id), (Method::Ping, Some(ReqId::Number(7))));
    }
}
