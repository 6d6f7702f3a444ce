//! Venues that closed, or of which there is little: what each must not get wrong.

use super::*;

fn tell(exchange: &str, payloads: &[String]) -> String {
    let mut capture = Capture::new(exchange);
    for (second, payload) in (1..).zip(payloads) {
        capture.recv(&format!("{second}"), payload);
    }
    story(&capture.play().expect("undamaged"))
}

/// Plays a whole capture, in which nothing is lost.
fn whole(name: &str, messages: u64, instruments: usize) -> Option<Played> {
    let played = play(&shared(name)?).expect("undamaged");
    assert_eq!((played.messages, played.instruments.len(), played.gaps()), (messages, instruments, 0));
    Some(played)
}

fn snapshots(played: &Played) -> usize {
    played.count(|body| matches!(body, EventBody::BookSnapshot(_)))
}

fn trades(played: &Played) -> usize {
    played.count(|body| matches!(body, EventBody::Trade(_)))
}

mod ftx {
    use super::*;

    #[test]
    fn all_checksums_of_the_capture_agree() {
        let Some(played) = whole("crypto-ws/ftx/FTX_20210722.jsonl.zst", 1995, 10) else { return };
        let checksums = |wanted| {
            played.count(|body| *body == EventBody::BookChecksum(BookChecksum::Checked { agrees: wanted }))
        };
        assert_eq!((checksums(true), checksums(false)), (971, 0));
        assert_eq!((snapshots(&played), books(&played).1), (10, 0));
        assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 988);
    }

    fn book(kind: &str, bid: &str, checksum: u32) -> String {
        format!(
            r#"{{"channel": "orderbook", "market": "A/B", "type": "{kind}", "data": {{"time": 1.5, "checksum": {checksum}, "bids": [{bid}], "asks": []}}}}"#
        )
    }

    #[test]
    fn a_wrong_checksum_voids_the_book_until_the_next_snapshot() {
        let crc = |text: &str| crc32fast::hash(text.as_bytes());
        let partial = book("partial", "[0.00005, 10]", crc("5e-05:10.0"));
        let right = book("update", "[0.00005, 2.50]", crc("5e-05:2.5"));
        let wrong = book("update", "[0.00005, 2.50]", crc("0.00005:2.50"));
        let messages = [partial.clone(), right.clone(), wrong, right.clone(), partial];
        assert_eq!(tell("FTX", &messages), "s0 ok +0 ok +0 wrong !0/0 0 s0 ok");
        assert_eq!(tell("FTX", &[right.clone(), right]), "!0/0");
    }

    #[test]
    fn trades_and_quotes_are_read() {
        let trade_message = r#"{"channel": "trades", "market": "A/B", "type": "update", "data": [{"id": 7, "price": 32818.0, "size": 0.25, "side": "sell", "time": "1970-01-01T00:00:02+00:00"}]}"#;
        let ticker = r#"{"channel": "ticker", "market": "A/B", "type": "update", "data": {"bid": 32818.5, "ask": null, "bidSize": 0.25, "askSize": null, "time": 1.25}}"#;
        let mut capture = Capture::new("FTX");
        capture.recv("1", r#"{"type": "subscribed", "channel": "trades", "market": "A/B"}"#);
        let played = capture.recv("2", trade_message).recv("3", ticker).play().expect("undamaged");
        let quote = EventBody::Quote { bid: Some(level(328_185, 25)), ask: None };
        assert_eq!(played.bodies(), [&trade(328_180, 25, Aggressor::Sell, Some(7)), &quote]);
        check_damage(
            "FTX",
            "{}",
            &[
                (trade_message.replace("sell", "up"), "A/B: `side`: expected `buy` or `sell`"),
                (ticker.replace("1.25", "-"), "A/B: `time`: `-` is not a decimal number"),
                (ticker.replace("market", "m"), "`market`: missing"),
                (
                    book("update", "", 0).replace("update", "up"),
                    "A/B: `type`: expected `partial` or `update`",
                ),
                (
                    book("update", "", 0).replace("checksum\": 0", "checksum\": 4294967296"),
                    "A/B: `checksum`: expected a natural number of 32 bits",
                ),
            ],
        );
    }
}

mod kraken_futures {
    use super::*;

    #[test]
    fn the_capture_is_numbered_without_a_hole() {
        let name = "crypto-ws/kraken-futures/KRAKEN_FUTURES_20210722.jsonl.zst";
        let Some(played) = whole(name, 7175, 10) else { return };
        // With the ten snapshots, 7024 numbered messages: ten of those with `book` are answers to subscriptions.
        assert_eq!(snapshots(&played), 10);
        assert_eq!(played.count(|body| matches!(body, EventBody::LevelSet { .. })), 7014);
        assert_eq!((trades(&played), books(&played).1), (3, 0));
        let bitcoin =
            played.instruments.iter().find(|instrument| instrument.symbol.as_str() == "FI_XBTUSD_210730");
        assert_eq!(
            bitcoin.map(|bitcoin| (bitcoin.price_exponent, bitcoin.tick_size)),
            Some((exponent(-1), Some(Price(5))))
        );
    }

    fn snapshot(sequence: u64) -> String {
        format!(
            r#"{{"feed":"book_snapshot","product_id":"PI_AB","timestamp":1500,"seq":{sequence},"bids":[{{"price":10.5,"qty":2.0}}],"asks":[]}}"#
        )
    }

    fn update(sequence: u64) -> String {
        format!(
            r#"{{"feed":"book","product_id":"PI_AB","side":"sell","seq":{sequence},"price":11,"qty":0.0,"timestamp":1600}}"#
        )
    }

    #[test]
    fn a_hole_in_the_numbers_is_a_gap() {
        let messages = [7, 8, 10, 11].map(update);
        let [one, two, three, four] = messages;
        assert_eq!(
            tell("KRAKEN_FUTURES", &[snapshot(6), one, two, three, four, snapshot(20), update(21)]),
            "s6 +7 +8 !9/10 0 s20 +21"
        );
        assert_eq!(tell("KRAKEN_FUTURES", &[update(7), update(8), snapshot(8)]), "!0/0 s8");
    }

    #[test]
    fn trades_and_quotes_are_read() {
        let trade_message = r#"{"feed":"trade","product_id":"PI_AB","uid":"e2","side":"buy","type":"fill","seq":56,"time":1700,"qty":320.0,"price":119.44}"#;
        let mut capture = Capture::new("KRAKEN_FUTURES");
        capture
            .recv("1", r#"{"event":"subscribed","feed":"book","product_ids":["PI_AB"]}"#)
            .recv("2", trade_message)
            .recv("3", r#"{"feed":"ticker","product_id":"PI_AB","bid":119.4,"ask":119.5,"bid_size":3,"ask_size":0,"time":1800}"#)
            .recv("4", r#"{"feed":"ticker_lite","product_id":"PI_AB","bid":119.4,"ask":119.5}"#);
        let played = capture.play().expect("undamaged");
        let quote = EventBody::Quote { bid: Some(level(11_940, 3)), ask: None };
        assert_eq!(played.bodies(), [&trade(11_944, 320, Aggressor::Buy, Some(56)), &quote]);
        check_damage(
            "KRAKEN_FUTURES",
            "{}",
            &[
                (update(u64::MAX), "PI_AB: `seq`: expected less than 2^64 - 1"),
                (update(7).replace("sell", "up"), "PI_AB: `side`: expected `buy` or `sell`"),
                (update(7).replace("0.0", "--1"), "PI_AB: `price`: expected a size of zero or more"),
                (snapshot(7).replace("qty", "q"), "PI_AB: `qty`: missing"),
                (snapshot(7).replace("timestamp", "time"), "PI_AB: `timestamp`: missing"),
                (trade_message.replace("product_id", "product"), "`product_id`: missing"),
            ],
        );
    }
}

mod kucoin {
    use super::super::binance::verify_quotes;
    use super::*;

    #[test]
    fn the_capture_is_joined_and_agrees_with_its_quotes() {
        let Some(played) = whole("crypto-ws/kucoin/KUCOIN_20210425.jsonl.zst", 4721, 9) else { return };
        assert_eq!((snapshots(&played), trades(&played), books(&played).1), (9, 18, 0));
        assert_eq!(verify_quotes(&played), QUOTES);
    }

    /// Quotes whose number is also one of a change.
    const QUOTES: usize = 774;

    fn update(first: u64, last: u64, price: &str) -> String {
        format!(
            r#"{{"type":"message","topic":"/market/level2:A-B","subject":"trade.l2update","data":{{"symbol":"A-B","sequenceStart":{first},"sequenceEnd":{last},"changes":{{"asks":[["{price}","1","7"]],"bids":[]}}}}}}"#
        )
    }

    fn answer(capture: &mut Capture, ts: &str, sequence: u64) {
        let answer = format!(
            r#"{{"code":"200000","data":{{"time":1500,"sequence":"{sequence}","bids":[],"asks":[["9","1"]]}}}}"#
        );
        capture.http(ts, "https://api.kucoin.com/api/v3/market/orderbook/level2?symbol=A-B", &answer);
    }

    #[test]
    fn snapshots_join_and_a_hole_is_a_gap() {
        let mut capture = Capture::new("KUCOIN");
        capture.recv("1", &update(8, 9, "1")).recv("2", &update(10, 12, "1"));
        answer(&mut capture, "3", 10);
        capture
            .recv("4", &update(13, 13, "0"))
            .recv("5", &update(14, 14, "1"))
            .recv("6", &update(16, 16, "1"));
        answer(&mut capture, "7", 16);
        capture.recv("8", &update(17, 17, "1"));
        assert_eq!(story(&capture.play().expect("undamaged")), "s10 +12 +14 !15/16 0 s16 +17");
    }

    #[test]
    fn trades_and_quotes_are_read() {
        let matched = r#"{"type":"message","topic":"/market/match:A-B","subject":"trade.l3match","data":{"symbol":"A-B","side":"sell","size":"8.5","price":"0.10","time":"1700000000","tradeId":"6085c0"}}"#;
        let mut capture = Capture::new("KUCOIN");
        capture
            .http("1", "https://api.kucoin.com/api/v1/symbols", r#"{"code":"200000","data":[{"symbol":"A-B","quoteCurrency":"B","baseIncrement":"0.01","priceIncrement":"0.001"}]}"#)
            .recv("1", r#"{"id":"1","type":"ack"}"#)
            .recv("2", matched)
            .recv("3", r#"{"type":"message","topic":"/market/ticker:A-B","subject":"trade.ticker","data":{"sequence":"7","bestBid":"0.1","bestBidSize":"3","bestAsk":"0.2","bestAskSize":"0","time":1600}}"#)
            .recv("4", r#"{"type":"message","topic":"/market/ticker:all","subject":"trade.ticker","data":{}}"#);
        let played = capture.play().expect("undamaged");
        let quote = EventBody::Quote { bid: Some(level(100, 300)), ask: None };
        assert_eq!(played.bodies(), [&trade(100, 850, Aggressor::Sell, None), &quote]);
        assert_eq!(played.instruments[0].currency.as_deref(), Some("B"));
        check_damage(
            "KUCOIN",
            r#"{"type":"welcome"}"#,
            &[
                (matched.replace("sell", "up"), "A-B: `side`: expected `buy` or `sell`"),
                (
                    matched.replace("1700000000", "9999999999999999999"),
                    "A-B: `time`: expected nanoseconds before the year 2262",
                ),
                (matched.replace(":A-B", "A-B"), "`topic`: expected …:<symbol>"),
                (update(1, 2, "x"), "A-B: `asks`: `x` is not a decimal number"),
                (update(1, 2, "1").replace("bids", "b"), "A-B: `bids`: missing"),
                (update(1, 2, "1").replace("\"data\"", "\"d\""), "A-B: `data`: missing"),
                ("{}".to_owned(), "`type`: missing"),
            ],
        );
    }
}

mod gemini {
    use super::*;

    #[test]
    fn the_capture_is_read_whole() {
        let Some(played) = whole("crypto-ws/gemini-v2/GEMINI_20210624.jsonl.zst", 678, 10) else { return };
        assert_eq!((snapshots(&played), trades(&played), books(&played).1), (10, 16, 0));
    }

    const SNAPSHOT: &str = r#"{"type":"l2_updates","symbol":"AB","changes":[["buy","10.5","2"],["sell","11","3"]],"trades":[],"auction_events":[]}"#;
    const UPDATE: &str = r#"{"type":"l2_updates","symbol":"AB","changes":[["buy","10.5","0"]]}"#;
    const TRADE: &str = r#"{"type":"trade","symbol":"AB","event_id":45,"timestamp":1700,"price":"11","quantity":"0.5","side":"buy"}"#;

    #[test]
    fn every_kind_of_message_is_read() {
        let mut capture = Capture::new("GEMINI");
        capture.recv("1", UPDATE).recv("2", SNAPSHOT).recv("3", UPDATE).recv("4", TRADE);
        capture.recv("5", r#"{"type":"heartbeat","timestamp":1}"#).connect("ws.1", "6");
        let played = capture.play().expect("undamaged");
        assert_eq!(story(&played), "!0/0 s0 +0 t45 0");
        let snapshot = BookSnapshot { bids: vec![level(105, 20)], asks: vec![level(110, 30)] };
        assert_eq!(played.bodies()[1], &EventBody::BookSnapshot(Box::new(snapshot)));
        assert_eq!(played.bodies()[3], &trade(110, 5, Aggressor::Buy, Some(45)));
        check_damage(
            "GEMINI",
            "{}",
            &[
                (UPDATE.replace("buy", "bid"), "AB: `changes`: expected `buy` or `sell`"),
                (UPDATE.replace(r#","0""#, ""), "AB: `changes`: missing"),
                (UPDATE.replace("10.5", "10,5"), "AB: `changes`: `10,5` is not a decimal number"),
                (UPDATE.replace("symbol", "s"), "`symbol`: missing"),
                (TRADE.replace("45", "-45"), "AB: `event_id`: expected a natural number"),
                (TRADE.replace("\"buy\"", "\"auction\""), "AB: `side`: expected `buy` or `sell`"),
            ],
        );
    }
}

mod hitbtc {
    use super::*;

    #[test]
    fn the_capture_is_numbered_without_a_hole() {
        let Some(played) = whole("crypto-ws/hitbtc-v2/HITBTC_20210405.jsonl.zst", 4228, 10) else { return };
        assert_eq!((snapshots(&played), trades(&played) >= 13, books(&played).1), (10, true, 0));
        // With the ten snapshots and five updates of nothing, 3248 numbered messages.
        let updates = played.lines.iter().filter(|line| {
            matches!(line.first(), Some(MarketEvent { body: EventBody::LevelSet { .. }, .. }))
        });
        assert_eq!(updates.count(), 3233);
    }

    fn book(method: &str, sequence: u64) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"ask":[{{"price":"11","size":"0.5"}}],"bid":[],"symbol":"AB","sequence":{sequence},"timestamp":"1970-01-01T00:00:01.5Z"}}}}"#
        )
    }

    #[test]
    fn a_hole_in_the_numbers_is_a_gap() {
        let (snapshot, update) = (|n| book("snapshotOrderbook", n), |n| book("updateOrderbook", n));
        assert_eq!(
            tell(
                "HITBTC",
                &[update(5), snapshot(6), update(7), update(9), update(10), snapshot(20), update(21)]
            ),
            "!0/0 s6 +7 !8/9 0 s20 +21"
        );
    }

    #[test]
    fn trades_are_read() {
        let trades = r#"{"jsonrpc":"2.0","method":"updateTrades","params":{"data":[{"id":11,"price":"0.020","quantity":"7.2","side":"sell","timestamp":"1970-01-01T00:00:02Z"}],"symbol":"AB"}}"#;
        let mut capture = Capture::new("HITBTC");
        capture.recv("1", r#"{"jsonrpc":"2.0","result":true,"id":"x"}"#).recv("2", trades);
        capture.recv("3", &trades.replace("update", "snapshot"));
        assert_eq!(capture.play().expect("undamaged").bodies(), [&trade(2, 72, Aggressor::Sell, Some(11))]);
        check_damage(
            "HITBTC",
            "{}",
            &[
                (trades.replace("sell", "up"), "AB: `side`: expected `buy` or `sell`"),
                (trades.replace("params", "p"), "`params`: missing"),
                (book("updateOrderbook", u64::MAX), "AB: `sequence`: expected less than 2^64 - 1"),
                (book("updateOrderbook", 7).replace("\"11\"", "11"), "AB: `price`: expected a text"),
                (
                    book("updateOrderbook", 7).replace("01.5Z", "01.5"),
                    "AB: `timestamp`: expected a time of RFC 3339 before the year 2262",
                ),
            ],
        );
    }
}

mod dydx {
    use super::*;
    use crate::limits::REORDERED_MESSAGES_MAX;

    #[test]
    fn the_capture_that_is_out_of_order_lost_nothing() {
        let name = "crypto-ws/dydx-v3/DYDX_20211028_out-of-order-ids.jsonl.zst";
        let Some(played) = whole(name, 4733, 10) else { return };
        assert_eq!(snapshots(&played), 10);
        assert_eq!(books(&played).1, CROSSED);
    }

    /// Messages after which a book was crossed.
    const CROSSED: usize = 0;

    fn snapshot(id: u64) -> String {
        format!(
            r#"{{"type":"subscribed","message_id":{id},"channel":"v3_orderbook","id":"A-B","contents":{{"bids":[{{"price":"10","offset":"50","size":"6.2"}},{{"price":"12","offset":"50","size":"0"}}],"asks":[]}}}}"#
        )
    }

    fn update(id: u64, offset: u64, price: &str) -> String {
        format!(
            r#"{{"type":"channel_data","message_id":{id},"id":"A-B","channel":"v3_orderbook","contents":{{"offset":"{offset}","bids":[["{price}","1"]],"asks":[]}}}}"#
        )
    }

    fn other(id: u64) -> String {
        format!(r#"{{"type":"unsubscribed","message_id":{id}}}"#)
    }

    #[test]
    fn the_greater_offset_of_a_level_counts() {
        let changes =
            [(2, 60, "10"), (3, 55, "10"), (4, 55, "11"), (5, 40, "9"), (6, 30, "9"), (7, 61, "10")];
        let mut messages = vec![snapshot(1)];
        messages.extend(changes.map(|(id, offset, price)| update(id, offset, price)));
        assert_eq!(tell("DYDX", &messages), "s0 +60 +55 +40 +61");
        assert_eq!(tell("DYDX", &[snapshot(1), update(2, 49, "10"), update(3, 50, "10")]), "s0 +50");
        // A level that is gone has an offset, too.
        let mut capture = Capture::new("DYDX");
        let played =
            capture.recv("1", &snapshot(1)).recv("2", &update(2, 49, "12")).play().expect("undamaged");
        let snapshot = BookSnapshot { bids: vec![level(10, 62)], asks: vec![] };
        assert_eq!(played.bodies(), [&EventBody::BookSnapshot(Box::new(snapshot))]);
    }

    #[test]
    fn a_number_that_does_not_come_in_time_is_a_gap() {
        // 3 comes after 4; 6 comes when as many others have come as may.
        let mut messages = vec![snapshot(1), other(2), other(4), other(3), other(5)];
        messages.extend((7..6 + REORDERED_MESSAGES_MAX).map(other));
        let mut late = messages.clone();
        late.extend([
            other(6),
            update(6 + REORDERED_MESSAGES_MAX, 60, "9"),
            snapshot(7 + REORDERED_MESSAGES_MAX),
        ]);
        assert_eq!(tell("DYDX", &late), "s0 +60 s0");
        let number = 6 + REORDERED_MESSAGES_MAX;
        messages.extend([
            update(number, 60, "9"),
            other(6),
            update(number + 1, 61, "9"),
            snapshot(number + 2),
        ]);
        assert_eq!(tell("DYDX", &messages), format!("s0 !6/{number} 0 s0"));
        // So many at once, that they cannot all be late: what comes of them later is no second gap.
        let far =
            [snapshot(1), other(1_000_000), other(999_999), snapshot(1_000_001), update(1_000_002, 60, "9")];
        assert_eq!(tell("DYDX", &far), "s0 !2/1000000 0 s0 +60");
    }

    #[test]
    fn trades_are_read() {
        let trades = r#"{"type":"channel_data","message_id":2,"id":"A-B","channel":"v3_trades","contents":{"trades":[{"size":"0.1","side":"SELL","price":"42.5","createdAt":"1970-01-01T00:00:02Z"}]}}"#;
        let mut capture = Capture::new("DYDX");
        capture.recv("1", r#"{"type":"connected","message_id":0}"#);
        capture.recv("2", &trades.replace("channel_data", "subscribed")).recv("3", trades);
        assert_eq!(capture.play().expect("undamaged").bodies(), [&trade(425, 1, Aggressor::Sell, None)]);
        check_damage(
            "DYDX",
            r#"{"type":"connected","message_id":0}"#,
            &[
                (trades.replace("SELL", "sell"), "A-B: `side`: expected `BUY` or `SELL`"),
                (trades.replace("contents", "c"), "A-B: `contents`: missing"),
                (trades.replace("message_id", "m"), "`message_id`: missing"),
                (other(u64::MAX), "`message_id`: expected less than 2^64 - 1"),
                (
                    update(1, 1, "1").replace("\"offset\":\"1\"", "\"offset\":\"-1\""),
                    "A-B: `offset`: expected a natural number",
                ),
                (snapshot(1).replace("\"6.2\"", "6.2"), "A-B: `size`: expected a text"),
                (snapshot(1).replace("\"id\"", "\"i\""), "`id`: missing"),
            ],
        );
    }
}
