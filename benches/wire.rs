//! What a message costs: encoding it once per process, decoding it once per client.
//!
//! Encoding runs once per update of a topic that somebody follows, on the ingest's thread: 1 µs here is 1 % of a core
//! at 10,000 updates a second. Decoding is the client's half, and bounds how many clients a load harness can hold.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use feeds::{Aggressor, Exponent, Level, Price, Size, SymbolId, Timestamp, Trade};
use tickwire::state::Quote;
use tickwire::topic::{Channel, Depth, TopicId};
use tickwire::wire::binary::{self, BookSide, Change, Head, Held, What, decode_records};
use tickwire::wire::decode::{Field, decode};
use tickwire::wire::{Envelope, ServerMessage, json};

fn envelope() -> Envelope<'static> {
    Envelope {
        symbol: "BTC-USD",
        price_exponent: Exponent::new(-2).expect("within range"),
        size_exponent: Exponent::new(-8).expect("within range"),
        seq: 918_241,
        merged: 1,
        ts_event: Timestamp(1_763_848_800_124_001_999),
    }
}

const fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

const BOTH: &str = r#"{"channel":"quote","type":"update","symbol":"BTC-USD","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"bid":"98765.43","bid_size":"0.12345678","ask":"98765.99","ask_size":"1.00000000"}"#;

const OLD: Quote = Quote { bid: Some(level(9_876_542, 1)), ask: Some(level(9_876_600, 2)) };
const NEW: Quote =
    Quote { bid: Some(level(9_876_543, 12_345_678)), ask: Some(level(9_876_599, 100_000_000)) };
const HELD: Held = Held { seq: 918_240, ts_event: Timestamp(1_763_848_800_123_456_789) };

fn head(channel: Channel) -> Head {
    Head::new(TopicId::new(channel, SymbolId(150)), 918_241, envelope().ts_event)
}

/// Encodes into one buffer again and again, and checks what stands there in the end.
fn encode(c: &mut Criterion, name: &str, expected: &str, write: impl Fn(&mut Vec<u8>)) {
    encode_bytes(c, "encode", name, expected.as_bytes(), write);
}

/// The same update as a binary record.
fn encode_binary(c: &mut Criterion, name: &str, expected: &str, write: impl Fn(&mut Vec<u8>)) {
    let byte = |at: usize| u8::from_str_radix(&expected[at..at + 2], 16).expect("hex");
    let expected: Vec<u8> = (0..expected.len()).step_by(2).map(byte).collect();
    encode_bytes(c, "encode_binary", name, &expected, write);
}

fn encode_bytes(c: &mut Criterion, group: &str, name: &str, expected: &[u8], write: impl Fn(&mut Vec<u8>)) {
    let mut out = Vec::with_capacity(1_024);
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Bytes(expected.len() as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            out.clear();
            write(black_box(&mut out));
        });
    });
    group.finish();
    out.clear();
    write(&mut out);
    assert_eq!(out, expected, "{}", String::from_utf8_lossy(&out));
}

fn encoding(c: &mut Criterion) {
    let (old, new) = (OLD, NEW);
    encode(c, "quote_update_4_fields", BOTH, |out| {
        json::quote_update(out, &envelope(), 918_240, black_box(&old), black_box(&new));
    });
    encode_binary(c, "quote_update_4_fields", "a038f1a1040f02cec2f1050180c2d72f", |out| {
        binary::quote_update(out, &head(Channel::Quote), &HELD, black_box(&old), black_box(&new));
    });
    let bid_only = Quote { bid: new.bid, ask: old.ask };
    let bid = Quote { bid: Some(level(9_876_542, 12_345_678)), ask: old.ask };
    let expected = r#"{"channel":"quote","type":"update","symbol":"BTC-USD","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"bid":"98765.43"}"#;
    encode(c, "quote_update_1_field", expected, |out| {
        json::quote_update(out, &envelope(), 918_240, black_box(&bid), black_box(&bid_only));
    });
    encode_binary(c, "quote_update_1_field", "a038f1a104b1", |out| {
        binary::quote_update(out, &head(Channel::Quote), &HELD, black_box(&bid), black_box(&bid_only));
    });
    let trade =
        Trade { price: Price(9_876_543), size: Size(5_000), aggressor: Aggressor::Sell, id: Some(77) };
    let expected = r#"{"channel":"trade","type":"update","symbol":"BTC-USD","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"price":"98765.43","size":"0.00005000","side":"sell","id":"77"}"#;
    encode(c, "trade_update", expected, |out| {
        json::trade_update(out, &envelope(), 918_240, black_box(&trade));
    });
    let before = Trade { price: Price(9_876_540), id: Some(70), ..trade };
    encode_binary(c, "trade_update", "a438f1a104eef4030e", |out| {
        binary::trade_update(out, &head(Channel::Trade), &HELD, black_box(Some(&before)), black_box(&trade));
    });
    let (bids, asks) = ([level(9_876_543, 0), level(9_876_540, 7)], [level(9_876_599, 100_000_000)]);
    let expected = r#"{"channel":"book","depth":10,"type":"update","symbol":"BTC-USD","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"bids":[["98765.43","0.00000000"],["98765.40","0.00000007"]],"asks":[["98765.99","1.00000000"]],"checksum":123456789}"#;
    encode(c, "book_update_3_levels", expected, |out| {
        let checksum = Some(123_456_789);
        json::book_update(
            out,
            &envelope(),
            918_240,
            Depth::D10,
            black_box(&bids),
            black_box(&asks),
            checksum,
        );
    });
    let side = |best, changed| BookSide { best: Some(Price(best)), changed, last: None };
    encode_binary(c, "book_update_3_levels", "ab3888f1a10415cd5b07010019070a80c2d72f", |out| {
        let (bids, asks) = (side(9_876_543, black_box(&bids)), side(9_876_598, black_box(&asks)));
        binary::book_update(out, &head(Channel::Book(Depth::D10)), &HELD, &bids, &asks, Some(123_456_789));
    });
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for count in [1, 16] {
        let text = format!("[{}]", vec![BOTH; count].join(","));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("quote_updates_{count}"), |b| {
            b.iter(|| {
                let messages = decode(black_box(&text)).expect("a message of the protocol");
                assert_eq!(messages.len(), count);
                messages
            });
        });
        for message in decode(&text).expect("a message of the protocol") {
            let ServerMessage::Quote(head, fields) = message else { panic!("not a quote") };
            assert_eq!((head.seq, fields.ask), (918_241, Field::Value("98765.99")));
        }
    }
    for count in [1, 16] {
        let mut message = Vec::new();
        for _ in 0..count {
            binary::quote_update(&mut message, &head(Channel::Quote), &HELD, &OLD, &NEW);
        }
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("binary_quote_updates_{count}"), |b| {
            b.iter(|| {
                let mut ask = Price::ZERO;
                for record in decode_records(black_box(&message)) {
                    let Ok(What::Update(update)) = record.map(|record| record.what) else {
                        panic!("an update")
                    };
                    let Change::Quote(change) = update.change else { panic!("a quote") };
                    ask = change.apply(black_box(&OLD)).ask.expect("an ask").price;
                }
                assert_eq!(ask, Price(9_876_599));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encoding, decoding);
criterion_main!(benches);
