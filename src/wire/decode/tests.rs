use proptest::prelude::*;

use super::*;

fn one(text: &str) -> ServerMessage<'_> {
    let mut messages = decode(text).expect("a message of the protocol");
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

const TS: Timestamp = Timestamp(1_763_848_800_124_001_000);

const fn head(channel: Channel, base: Base<'_>) -> Head<'_> {
    let merged = if matches!(base, Base::Update { .. }) { 1 } else { 0 };
    Head { channel, symbol: Cow::Borrowed("AAPL"), seq: 78, base, merged, ts_event: TS }
}

const UPDATE: Base<'static> = Base::Update { prev_seq: 77 };
const SNAPSHOT: Base<'static> = Base::Snapshot { epoch: "k3f9", prev_seq: None };

#[test]
fn every_data_message_is_read() {
    let quote = r#"[{"channel":"quote","type":"update","symbol":"AAPL","seq":78,"prev_seq":77,"ts_event":1763848800124001,"bid":"189.11","ask":null,"news":[1,{}]}]"#;
    let fields = QuoteFields { bid: Field::Value("189.11"), ask: Field::Null, ..QuoteFields::default() };
    assert_eq!(one(quote), ServerMessage::Quote(head(Channel::Quote, UPDATE), fields));

    let book = r#"[{"channel":"book","depth":25,"type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":78,"ts_event":1763848800124001,"bids":[["1.0","2"]],"asks":[],"checksum":4294967295}]"#;
    let fields = BookFields { bids: vec![("1.0", "2")], asks: vec![], checksum: Some(u32::MAX) };
    assert_eq!(one(book), ServerMessage::Book(head(Channel::Book(Depth::D25), SNAPSHOT), fields));

    let trade = r#"[{"channel":"trade","type":"update","symbol":"AAPL","seq":78,"prev_seq":77,"ts_event":1763848800124001,"price":"1","size":"2","side":"sell","id":"9"}]"#;
    let fields = TradeFields { price: "1", size: "2", side: "sell", id: Some("9".into()) };
    assert_eq!(one(trade), ServerMessage::Trade(head(Channel::Trade, UPDATE), Some(fields)));
    let none = r#"[{"channel":"trade","type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":78,"ts_event":1763848800124001}]"#;
    assert_eq!(one(none), ServerMessage::Trade(head(Channel::Trade, SNAPSHOT), None));

    let bar = r#"[{"channel":"bar","interval":"1m","type":"update","symbol":"AAPL","seq":78,"prev_seq":77,"ts_event":1763848800124001,"start":60000000,"trades":3,"final":true}]"#;
    let fields = BarFields {
        start: Field::Value(60_000_000),
        trades: Field::Value(3),
        closed: Field::Value(true),
        ..BarFields::default()
    };
    assert_eq!(one(bar), ServerMessage::Bar(head(Channel::Bar(Interval::M1), UPDATE), Box::new(fields)));

    let ticker = r#"[{"channel":"ticker","type":"update","symbol":"AAPL","seq":78,"prev_seq":77,"ts_event":1763848800124001,"last":"1","change_percent":"-0.1000","close":null}]"#;
    let fields = TickerFields {
        last: Field::Value("1"),
        change_percent: Field::Value("-0.1000"),
        close: Field::Null,
        ..TickerFields::default()
    };
    assert_eq!(one(ticker), ServerMessage::Ticker(head(Channel::Ticker, UPDATE), Box::new(fields)));

    let status = r#"[{"channel":"status","type":"update","symbol":"AAPL","seq":78,"prev_seq":77,"ts_event":1763848800124001,"state":"halted","reason":"a \"b\""}]"#;
    let fields = StatusFields { state: "halted", reason: "a \"b\"".into() };
    assert_eq!(one(status), ServerMessage::Status(head(Channel::Status, UPDATE), fields));

    let gap = r#"[{"channel":"trade","type":"gap","symbol":"AAPL","from":78,"to":90,"seq":90,"prev_seq":77,"ts_event":1}]"#;
    let expected = Gap { channel: Channel::Trade, symbol: "AAPL".into(), from: 78, to: 90, prev_seq: 77 };
    assert_eq!(one(gap), ServerMessage::Gap(expected));
}

#[test]
fn every_other_message_is_read() {
    let heartbeat = r#"[{"channel":"heartbeat","ts":1763848800124001,"lag_us":5,"laggard":false}]"#;
    assert_eq!(one(heartbeat), ServerMessage::Heartbeat(Heartbeat { ts: TS, lag_us: 5, laggard: false }));
    let shutdown = r#"[{"channel":"system","type":"shutdown","reconnect_after_ms":3250}]"#;
    assert_eq!(one(shutdown), ServerMessage::Shutdown { reconnect_after_ms: 3_250 });
    let expiring = r#"[{"channel":"system","type":"token_expiring","expires":1763848800000000}]"#;
    let expires = Timestamp(1_763_848_800_000_000_000);
    assert_eq!(one(expiring), ServerMessage::TokenExpiring { expires });
    let entitlement = r#"[{"channel":"system","type":"entitlement","delayed":true,"removed":[{"channel":"book","depth":25,"symbol":"A"}],"moved":[{"channel":"quote","max_frequency":"250ms","symbol":"B"},{"channel":"new","symbol":"C"}]}]"#;
    let name = |channel, symbol| TopicName { channel, symbol: Cow::Borrowed(symbol) };
    assert_eq!(
        one(entitlement),
        ServerMessage::Entitlement {
            delayed: true,
            removed: vec![name(Channel::Book(Depth::D25), "A")],
            moved: vec![name(Channel::Quote, "B")],
        }
    );

    let ack = r#"[{"method":"subscribe","success":true,"req_id":2,"result":{"channel":"book","depth":10,"epoch":"k3f9","granted":[{"symbol":"AAPL","topic":2,"price_exponent":-2,"size_exponent":0,"seq":7}],"rejected":[{"symbol":"A\"B","code":"UNKNOWN_SYMBOL"}]}}]"#;
    let granted =
        GrantedTopic { symbol: "AAPL".into(), topic: 2, price_exponent: -2, size_exponent: 0, seq: 7 };
    assert_eq!(
        one(ack),
        ServerMessage::Ack(Box::new(Ack {
            method: "subscribe".into(),
            req_id: Some(ReqId::Number(2)),
            channel: Some(Channel::Book(Depth::D10)),
            epoch: Some("k3f9"),
            granted: vec![granted],
            removed: vec![],
            rejected: vec![Rejected { symbol: "A\"B".into(), code: "UNKNOWN_SYMBOL" }],
            more: false,
            delayed: false,
            ts: None,
        }))
    );
    let late = ack.replace(r#""epoch""#, r#""delayed":true,"epoch""#);
    assert!(matches!(one(&late), ServerMessage::Ack(ack) if ack.delayed));
    let error = r#"[{"method":null,"success":false,"error":{"code":"BAD_JSON","message":"a \"b\"","retryable":false}}]"#;
    assert_eq!(
        one(error),
        ServerMessage::Error(Box::new(Failure {
            method: None,
            req_id: None,
            code: "BAD_JSON",
            message: "a \"b\"".into(),
            retryable: false,
        }))
    );
    assert_eq!(one(r#"[{"channel":"weather","type":"update"}]"#), ServerMessage::Unknown);
    assert_eq!(decode("[]").map(|messages| messages.len()).ok(), Some(0));
}

/// Encoders there are escape `&`, `<`, `>` or `/`, which may stand in symbols and ids.
#[test]
fn texts_may_have_escapes() {
    let update = r#"[{"channel":"trade","type":"update","symbol":"M\u0026M","seq":78,"prev_seq":77,"ts_event":1763848800124001,"price":"1","size":"2","side":"sell","id":"a\/9"}]"#;
    let ServerMessage::Trade(head, Some(trade)) = one(update) else { panic!("no trade: {update}") };
    assert_eq!(head.symbol, "M&M");
    assert_eq!(trade.id.expect("it has one"), "a/9");

    let gap = r#"[{"channel":"trade","type":"gap","symbol":"BTC\/USD","from":78,"to":90,"seq":90,"prev_seq":77,"ts_event":1}]"#;
    let ServerMessage::Gap(gap) = one(gap) else { panic!("no gap: {gap}") };
    assert_eq!(gap.symbol, "BTC/USD");

    let answers = r#"[{"method":"subscribe","success":true,"result":{"channel":"quote","epoch":"k","granted":[{"symbol":"BTC\/USD","topic":2,"price_exponent":-2,"size_exponent":0,"seq":7}],"rejected":[]}},{"method":"resync","success":true,"result":{"channel":"quote","epoch":"k","symbol":"BTC\/USD","topic":2,"price_exponent":-2,"size_exponent":0,"seq":7}},{"method":"unsubscribe","success":true,"result":{"channel":"quote","removed":["BTC\/USD"],"rejected":[]}}]"#;
    for message in decode(answers).expect("answers") {
        let ServerMessage::Ack(ack) = message else { panic!("no answer: {message:?}") };
        let granted = ack.granted.iter().map(|topic| topic.symbol.to_string());
        let named: Vec<_> = granted.chain(ack.removed.iter().map(ToString::to_string)).collect();
        assert_eq!(named, ["BTC/USD"], "{}", ack.method);
    }

    let entitlement = r#"[{"channel":"system","type":"entitlement","delayed":false,"removed":[{"channel":"quote","symbol":"A\u003cB"}],"moved":[]}]"#;
    let ServerMessage::Entitlement { removed, .. } = one(entitlement) else { panic!("none: {entitlement}") };
    assert_eq!(removed[0].symbol, "A<B");
}

/// `protocol.md`: a client ignores fields, channels and `type`s that it does not know.
#[test]
fn what_later_servers_may_send_is_ignored_whatever_its_fields_are() {
    let heartbeat = r#"{"channel":"heartbeat","ts":1763848800124001,"lag_us":5,"laggard":false}"#;
    for unknown in [
        r#"{"channel":"funding","type":"update","symbol":"A","price":0.01,"size":[1],"seq":-1}"#,
        r#"{"channel":"weather \"here\"","state":{"sun":true}}"#,
        r#"{"channel":"quote","type":"indicative","symbol":"A","bid":1.5}"#,
        r#"{"channel":"system","type":"notice","reason":5}"#,
        r#"{"method":"list","from":"a"}"#,
    ] {
        let text = format!("[{unknown},{heartbeat}]");
        let messages = decode(&text).expect(unknown);
        assert_eq!(messages[0], ServerMessage::Unknown, "{unknown}");
        assert!(matches!(messages[1], ServerMessage::Heartbeat(_)), "{unknown}");
    }
    for known in [
        r#"{"channel":"quote","type":"update","symbol":"A","seq":1,"prev_seq":0,"ts_event":1,"bid":1.5}"#,
        r#"{"channel":"heartbeat","ts":"1"}"#,
        r#"{"channel":"system","type":"shutdown","reconnect_after_ms":-1}"#,
        r#"{"method":"ping","success":true,"result":5}"#,
        r#"{"channel":5}"#,
        "5",
    ] {
        assert!(decode(&format!("[{known}]")).is_err(), "{known}");
    }
}

#[test]
fn what_is_not_the_protocol_is_refused_with_the_field_named() {
    let cases = [
        (r#"{"channel":"quote"}"#, "not a message"),
        (r#"[{"channel":"quote","type":"update","symbol":"A","seq":1,"ts_event":1}]"#, "`prev_seq`"),
        (r#"[{"channel":"quote","type":"snapshot","symbol":"A","seq":1,"ts_event":1}]"#, "`epoch`"),
        (r#"[{"channel":"quote","type":"snapshot","symbol":"A","epoch":"e","ts_event":1}]"#, "`seq`"),
        (r#"[{"channel":"quote","type":"snapshot","symbol":"A","epoch":"e","seq":-1}]"#, "not a message"),
        (r#"[{"channel":"quote","symbol":"A"}]"#, "`type`"),
        (r#"[{"channel":"book","depth":11,"type":"snapshot"}]"#, "`depth` is `11`"),
        (r#"[{"channel":"bar","type":"snapshot"}]"#, "`interval`"),
        (r#"[{"channel":"heartbeat","ts":9223372036854775807,"lag_us":0,"laggard":false}]"#, "`ts`"),
        (r#"[{"method":"list","success":true}]"#, "`result`"),
    ];
    for (text, named) in cases {
        let error = decode(text).expect_err(text).to_string();
        assert!(error.contains(named), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(text: String) {
        let _ = decode(&text);
    }
}

#[test]
fn merged_changes_are_counted() {
    let update = r#"[{"channel":"quote","type":"update","symbol":"AAPL","seq":78,"prev_seq":70,"n":8,"ts_event":1763848800124001,"bid":"1"}]"#;
    let fields = QuoteFields { bid: Field::Value("1"), ..QuoteFields::default() };
    let expected = Head { merged: 8, ..head(Channel::Quote, Base::Update { prev_seq: 70 }) };
    assert_eq!(one(update), ServerMessage::Quote(expected, fields));

    let mut caught_up = Vec::new();
    let snapshot = r#"{"channel":"status","type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":78,"ts_event":1763848800124001,"state":"halted","reason":""}"#;
    super::super::json::caught_up(&mut caught_up, snapshot.as_bytes(), 7, 71);
    let caught_up = format!("[{}]", String::from_utf8(caught_up).expect("UTF-8"));
    let base = Base::Snapshot { epoch: "k3f9", prev_seq: Some(7) };
    let fields = StatusFields { state: "halted", reason: "".into() };
    let expected = Head { merged: 71, ..head(Channel::Status, base) };
    assert_eq!(one(&caught_up), ServerMessage::Status(expected, fields));
}

#[test]
fn an_answer_to_resync_grants_its_topic() {
    let ack = r#"[{"method":"resync","success":true,"req_id":6,"result":{"channel":"book","depth":25,"epoch":"k3f9","symbol":"AAPL","topic":15,"price_exponent":-2,"size_exponent":0,"seq":918240}}]"#;
    let ServerMessage::Ack(ack) = one(ack) else { panic!("no answer: {ack}") };
    let topic =
        GrantedTopic { symbol: "AAPL".into(), topic: 15, price_exponent: -2, size_exponent: 0, seq: 918_240 };
    assert_eq!(
        (&*ack.method, ack.channel, ack.epoch),
        ("resync", Some(Channel::Book(Depth::D25)), Some("k3f9"))
    );
    assert_eq!(ack.granted, [topic]);
    let lacking =
        r#"[{"method":"resync","success":true,"result":{"channel":"quote","epoch":"k","symbol":"A"}}]"#;
    assert!(decode(lacking).is_err());
}
