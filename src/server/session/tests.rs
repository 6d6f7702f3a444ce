//! What a connection is told when what it may see changes.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;

use feeds::clock::monotonic;
use feeds::{
    Aggressor, EventBody, Exponent, Instrument, Level, MarketEvent, Price, Size, Symbol, SymbolId, Timestamp,
    Trade,
};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::super::admission::{self, Admission};
use super::super::auth::Auth;
use super::super::stream::Stream;
use super::*;
use crate::bus::{Bus, ShardEnd};
use crate::directory::{Class, Directory};
use crate::fanout::{Form, Shard};
use crate::market::quotes::quote_cache;
use crate::metrics::Metrics;
use crate::publisher::{Publisher, WhenFull};
use crate::topic::TopicId;

/// A session without its reading side, and all that is behind it, in one task.
struct Rig {
    session: Session,
    publisher: RefCell<Publisher>,
    end: RefCell<ShardEnd>,
    hub: Rc<Hub>,
    client: TcpStream,
    unread: Vec<u8>,
    event_time: i64,
}

fn instrument(name: &str) -> Instrument {
    Instrument {
        symbol: Symbol::new(name).expect("a symbol"),
        venue: "TEST",
        price_exponent: Exponent::new(-2).expect("within range"),
        size_exponent: Exponent::ONE,
        tick_size: None,
        currency: None,
        book_levels_max: None,
        begins_stale: false,
    }
}

fn entitlement(written: Value) -> Arc<Entitlement> {
    Arc::new(serde_json::from_value(written).expect("an entitlement"))
}

impl Rig {
    async fn new(has_twins: bool) -> Self {
        let instruments = [instrument("A"), instrument("B")];
        let directory =
            if has_twins { Directory::with_twins(&instruments) } else { Directory::new(&instruments) };
        let metrics = Metrics::default();
        let (bus, mut ends) = Bus::new(TopicId::count(directory.len()), 1);
        let end = ends.pop().expect("a shard");
        let epoch: Arc<str> = "e0".into();
        let quotes = quote_cache(directory.len()).0;
        let shard = Shard::new(0, end.bus.clone(), directory.clone(), Arc::clone(&epoch), monotonic());
        let publisher =
            Publisher::new(directory.clone(), quotes, bus, metrics.clone(), epoch, WhenFull::Conflate);
        let admission = Admission::start(admission::tests::settings(), &metrics).expect("a thread");
        let hub = Rc::new(Hub::new(shard, directory, admission.clone(), metrics.clone(), Auth::everybody()));

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a client");
        let (stream, peer) = listener.accept().await.expect("a connection");
        let place = admission.place(peer.ip()).expect("room");
        let socket =
            Rc::new(Socket::new(Stream::Plain(stream), peer.ip(), Framing::Frames, place, metrics.clone()));
        let connection = hub.join(&socket, Form::default(), None);
        let session = Session {
            reader: Reader::new(Vec::new(), false, metrics),
            bad_requests: 0,
            messages: Meter::new(admission.settings().messages, &Monotonic),
            hub: Rc::clone(&hub),
            socket,
            connection,
            entitlement: Arc::new(Entitlement::everything()),
            clock: Clock::System,
            traced: Span::none(),
        };
        let (publisher, end) = (RefCell::new(publisher), RefCell::new(end));
        Self { session, publisher, end, hub, client, unread: Vec::new(), event_time: 1_000_000_000 }
    }

    /// A quote and a trade of an instrument, or of its twin.
    fn happen(&mut self, name: &str, class: Class, number: i64) {
        self.event_time += 1_000_000;
        let ts = Timestamp(self.event_time);
        let original = SymbolId(u32::from(name == "B"));
        let level = Level { price: Price(100 + number), size: Size(1) };
        let trade = Trade { price: level.price, size: level.size, aggressor: Aggressor::Buy, id: None };
        let bodies = [EventBody::Quote { bid: Some(level), ask: None }, EventBody::Trade(trade)];
        let event = |body| MarketEvent { symbol: original, ts_event: ts, ts_recv: ts, sequence: 0, body };
        let mut events = bodies.map(event);
        let publisher = self.publisher.get_mut();
        match class {
            Class::RealTime => publisher.apply(&events),
            Class::Delayed => publisher.apply_delayed(&mut events),
        }
        publisher.end_turn();
        // Delivered, but not sent: it waits in the shard.
        while let Some(batch) = self.end.get_mut().batches.try_recv() {
            self.hub.deliver(&batch);
        }
    }

    async fn request(&mut self, request: Value) {
        let text = request.to_string();
        let Self { session, publisher, end, hub, .. } = self;
        beside(publisher, end, hub, session.answer(text.as_bytes())).await;
    }

    async fn entitle(&mut self, entitlement: Arc<Entitlement>) {
        let Self { session, publisher, end, hub, .. } = self;
        beside(publisher, end, hub, session.entitle(entitlement)).await;
    }

    /// All that the client has been sent since it was last asked.
    async fn received(&mut self) -> Vec<Value> {
        self.request(json!({"method": "ping"})).await;
        self.hub.flush(monotonic());
        let mut received = Vec::new();
        loop {
            while let Some(text) = take_text(&mut self.unread) {
                let objects: Vec<Value> = serde_json::from_str(&text).expect("an array");
                received.extend(objects);
            }
            if received.last().is_some_and(|object| object["method"] == "ping") {
                received.pop();
                return received;
            }
            self.session.write().expect("a client");
            self.client.read_buf(&mut self.unread).await.expect("a server");
        }
    }
}

/// Does work, and meanwhile what the publisher and the shard would do in threads of their own.
async fn beside<T>(
    publisher: &RefCell<Publisher>,
    end: &RefCell<ShardEnd>,
    hub: &Hub,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::task::yield_now() => {}
        }
        publisher.borrow_mut().end_turn();
        while let Some(batch) = end.borrow_mut().batches.try_recv() {
            hub.deliver(&batch);
        }
        hub.flush(monotonic());
    }
}

/// Takes the first frame, if it is whole.
fn take_text(bytes: &mut Vec<u8>) -> Option<String> {
    let (len, head) = match *bytes.get(1)? {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        len => (usize::from(len), 2),
    };
    let text = bytes.get(head..head + len)?.to_vec();
    bytes.drain(..head + len);
    Some(String::from_utf8(text).expect("text"))
}

fn with_rig<F: Future<Output = ()>>(has_twins: bool, test: impl FnOnce(Rig) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(async { test(Rig::new(has_twins).await).await }));
}

/// In a few words: what it is, of what, and its price.
fn brief(objects: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let brief = |object: &Value| {
        let price = ["price", "bid"].map(|field| text(&object[field])).concat();
        let words = [&object["channel"], &object["type"], &object["symbol"]].map(text);
        if object["method"] == "subscribe" {
            let granted = object["result"]["granted"].as_array().expect("an array");
            let names: Vec<_> = granted.iter().map(|granted| text(&granted["symbol"])).collect();
            return format!("ack {} {}", text(&object["result"]["channel"]), names.join(","));
        }
        [&words[..], &[price]].concat().join(" ").trim().to_owned()
    };
    objects.iter().map(brief).collect()
}

fn subscribe(channel: &str, symbols: &[&str]) -> Value {
    json!({"method": "subscribe", "params": {"channel": channel, "symbols": symbols}, "req_id": 1})
}

#[test]
fn what_may_not_be_seen_any_more_ends_where_it_is_announced() {
    with_rig(false, |mut rig| async move {
        rig.happen("A", Class::RealTime, 1);
        rig.happen("B", Class::RealTime, 2);
        for channel in ["quote", "trade", "book.25"] {
            rig.request(subscribe(channel, &["A", "B"])).await;
        }
        rig.received().await;

        rig.happen("A", Class::RealTime, 3);
        rig.happen("B", Class::RealTime, 4);
        let narrow = json!({"symbols": ["A"], "channels": ["quote", "trade", "book"], "depth": 10, "max_frequency": "250ms"});
        rig.entitle(entitlement(narrow)).await;
        rig.happen("A", Class::RealTime, 5);
        rig.happen("B", Class::RealTime, 6);
        let received = rig.received().await;

        let announced =
            received.iter().position(|object| object["channel"] == "system").expect("an announcement");
        assert_eq!(
            received[announced],
            json!({
                "channel": "system", "type": "entitlement", "delayed": false,
                "removed": [
                    {"channel": "book", "depth": 25, "symbol": "A"},
                    {"channel": "quote", "symbol": "B"},
                    {"channel": "trade", "symbol": "B"},
                    {"channel": "book", "depth": 25, "symbol": "B"},
                ],
                "moved": [{"channel": "quote", "max_frequency": "250ms", "symbol": "A"}],
            })
        );
        // What was on its way comes before, in any order.
        let mut before = brief(&received[..announced]);
        before.sort();
        assert_eq!(
            before,
            ["quote update A 1.03", "quote update B 1.04", "trade update A 1.03", "trade update B 1.04"]
        );
        let after = &received[announced + 1..];
        assert_eq!(brief(after), ["ack quote A", "quote snapshot A 1.03", "trade update A 1.05"]);
        assert_eq!(after[0]["result"]["max_frequency"], "250ms");
        assert_eq!((after[0].get("req_id"), &after[0]["result"]["rejected"]), (None, &json!([])));
    });
}

#[test]
fn who_may_see_it_only_late_is_moved_to_the_twins_and_back() {
    with_rig(true, |mut rig| async move {
        rig.happen("A", Class::RealTime, 1);
        rig.happen("A", Class::RealTime, 2);
        rig.happen("A", Class::Delayed, 1);
        rig.request(subscribe("quote", &["A"])).await;
        rig.request(subscribe("trade", &["A"])).await;
        let at_once = rig.received().await;
        assert_eq!(
            brief(&at_once),
            ["ack quote A", "quote snapshot A 1.02", "ack trade A", "trade snapshot A 1.02"]
        );
        let topic = |ack: &Value| ack["result"]["granted"][0]["topic"].as_u64().expect("a number");

        rig.happen("A", Class::RealTime, 3);
        let all =
            |delayed: bool| json!({"symbols": ["*"], "channels": ["quote", "trade"], "delayed": delayed});
        rig.entitle(entitlement(all(true))).await;
        rig.happen("A", Class::RealTime, 4);
        rig.happen("A", Class::Delayed, 2);
        let late = rig.received().await;
        assert_eq!(
            late[2],
            json!({
                "channel": "system", "type": "entitlement", "delayed": true, "removed": [],
                "moved": [{"channel": "quote", "symbol": "A"}, {"channel": "trade", "symbol": "A"}],
            })
        );
        let (before, after) = (brief(&late[..2]), brief(&late[3..]));
        assert_eq!(before, ["trade update A 1.03", "quote update A 1.03"]);
        assert_eq!(
            after,
            [
                "ack quote A",
                "quote snapshot A 1.01",
                "ack trade A",
                "trade snapshot A 1.01",
                "trade update A 1.02",
                "quote update A 1.02",
            ]
        );
        assert_eq!(
            (&late[3]["result"]["delayed"], at_once[0]["result"].get("delayed")),
            (&json!(true), None)
        );
        assert_ne!(topic(&late[3]), topic(&at_once[0]));

        rig.request(json!({"method": "list"})).await;
        let list = rig.received().await;
        let rows = json!([{"channel": "quote", "symbol": "A", "seq": 2}, {"channel": "trade", "symbol": "A", "seq": 2}]);
        assert_eq!(list[0]["result"]["subscriptions"], rows);
        rig.request(json!({"method": "resync", "params": {"channel": "quote", "symbol": "A"}})).await;
        assert_eq!(brief(&rig.received().await)[1], "quote snapshot A 1.02");

        rig.entitle(entitlement(all(false))).await;
        rig.happen("A", Class::Delayed, 3);
        rig.happen("A", Class::RealTime, 5);
        let again = rig.received().await;
        assert_eq!(again[0]["delayed"], json!(false));
        assert_eq!(
            brief(&again[1..]),
            [
                "ack quote A",
                "quote snapshot A 1.04",
                "ack trade A",
                "trade snapshot A 1.04",
                "trade update A 1.05",
                "quote update A 1.05",
            ]
        );
        rig.entitle(entitlement(all(false))).await;
        assert_eq!(rig.received().await, Vec::<Value>::new(), "nothing has changed");
    });
}

#[test]
fn where_nothing_is_late_who_may_only_see_that_sees_nothing() {
    with_rig(false, |mut rig| async move {
        rig.request(subscribe("quote", &["A"])).await;
        rig.received().await;
        rig.entitle(entitlement(json!({"symbols": ["*"], "channels": ["quote"], "delayed": true}))).await;
        rig.happen("A", Class::RealTime, 1);
        let received = rig.received().await;
        assert_eq!(received.len(), 1, "{received:?}");
        assert_eq!(received[0]["removed"], json!([{"channel": "quote", "symbol": "A"}]));
        rig.request(subscribe("quote", &["*"])).await;
        let refused = rig.received().await;
        assert_eq!(refused[0]["error"]["code"], "ENTITLEMENT_DENIED");
    });
}

#[test]
fn many_topics_are_announced_in_parts() {
    with_rig(false, |mut rig| async move {
        let topics: Vec<_> = (0..2)
            .flat_map(|symbol| Channel::ALL.map(|channel| TopicId::new(channel, SymbolId(symbol))))
            .collect();
        let many: Vec<TopicId> = topics.iter().copied().cycle().take(SUBSCRIBE_PART_TOPICS + 300).collect();
        let Rig { session, publisher, end, hub, .. } = &mut rig;
        assert!(beside(publisher, end, hub, session.announce(&many, &many)).await);
        let received = rig.received().await;
        let parts: Vec<_> = received
            .iter()
            .map(|part| ["removed", "moved"].map(|field| part[field].as_array().expect("an array").len()))
            .collect();
        let part = SUBSCRIBE_PART_TOPICS;
        assert_eq!(parts, [[part, 0], [300, part - 300], [0, 600]]);
        let more: Vec<_> = received.iter().map(|part| part.get("more").is_some()).collect();
        assert_eq!(more, [true, true, false]);
    });
}
