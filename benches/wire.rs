//! What a message costs: encoding it once per process, decoding it once per client.
//!
//! Encoding runs once per update of a topic that somebody follows, on the ingest's thread: 1 µs here is 1 % of a core
//! at 10,000 updates a second. Decoding is the client's half, and bounds how many clients a load harness can hold.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use feeds::{Aggressor, Exponent, Level, Price, Size, Timestamp, Trade};
use tickwire::state::Quote;
use tickwire::topic::Depth;
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

/// Encodes into one buffer again and again, and checks what stands there in the end.
fn encode(c: &mut Criterion, name: &str, expected: &str, write: impl Fn(&mut Vec<u8>)) {
    let mut out = Vec::with_capacity(1_024);
    let mut group = c.benchmark_group("encode");
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
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

fn encoding(c: &mut Criterion) {
    let old = Quote { bid: Some(level(9_876_542, 1)), ask: Some(level(9_876_600, 2)) };
    let new = Quote { bid: Some(level(9_876_543, 12_345_678)), ask: Some(level(9_876_599, 100_000_000)) };
    encode(c, "quote_update_4_fields", BOTH, |out| {
        json::quote_update(out, &envelope(), 918_240, black_box(&old), black_box(&new));
    });
    let bid_only = Quote { bid: new.bid, ask: old.ask };
    let bid = Quote { bid: Some(level(9_876_542, 12_345_678)), ask: old.ask };
    let expected = r#"{"channel":"quote","type":"update","symbol":"BTC-USD","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"bid":"98765.43"}"#;
    encode(c, "quote_update_1_field", expected, |out| {
        json::quote_update(out, &envelope(), 918_240, black_box(&bid), black_box(&bid_only));
    });
    let trade =
        Trade { price: Price(9_876_543), size: Size(5_000), aggressor: Aggressor::Sell, id: Some(77) };
    let expected = r#"{"channel":"trade","type":"update","symbol":"BTC-USD","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"price":"98765.43","size":"0.00005000","side":"sell","id":"77"}"#;
    encode(c, "trade_update", expected, |out| {
        json::trade_update(out, &envelope(), 918_240, black_box(&trade));
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
    group.finish();
}

criterion_group!(benches, encoding, decoding);
criterion_main!(benches);
