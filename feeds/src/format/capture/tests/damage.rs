use std::io::Read;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room on the disk");
    file
}

fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(recording(name)).expect("a recording");
    zstd::Decoder::new(file).expect("zstd").read_to_end(&mut bytes).expect("whole");
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compression_makes_no_difference() {
    let name = "binance-20211012.jsonl.zst";
    let bytes = unpacked(name);
    let packed = play(&recording(name)).expect("undamaged");
    for file in [file_of(&bytes), file_of(&gzip(&bytes))] {
        let played = play(file.path()).expect("undamaged");
        assert_eq!(played.instruments, packed.instruments);
        assert_eq!(played.lines, packed.lines);
    }
}

#[test]
fn what_is_no_capture_is_an_unknown_format() {
    for (bytes, reason) in [
        ("", "an empty file"),
        ("\x01\x02", "the first line is no header"),
        (r#"{"t":"recv","conn":"a","ts":1,"data":"{}"}"#, "the first line is no header"),
        (r#"{"t":"header"}"#, "`exchange`: missing"),
        (r#"{"t":"header","exchange":"NOWHERE"}"#, "a capture of `NOWHERE`, a venue that is not known here"),
    ] {
        match CaptureReader::open(file_of(bytes.as_bytes()).path()) {
            Err(FeedError::UnknownFormat { reason: found, .. }) => assert!(found.contains(reason), "{found}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("opened {bytes}"),
        }
    }
}

#[test]
fn damage_before_the_first_message_refuses_to_open() {
    let mut capture = Capture::new("KRAKEN");
    let header_bytes = capture.0.as_file().metadata().expect("a file").len();
    capture.line("{").recv("1", r#"{"event":"heartbeat"}"#);
    match CaptureReader::open(capture.0.path()) {
        Err(FeedError::Damaged { offset, .. }) => assert_eq!(offset, header_bytes),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn damaged_lines_are_told_where_they_are() {
    let recv = |data: &str| format!(r#"{{"t":"recv","conn":"a","ts":1,"data":{data}}}"#);
    for (line, reason) in [
        (recv(r#""{""#), "`message`: not JSON"),
        (recv("7"), "`data`: expected a text"),
        (recv("null").replace(r#","data":null"#, ""), "`data`: missing"),
        (recv(r#""{}""#).replace(r#""ts":1,"#, ""), "`ts`: expected a number"),
        (recv(r#""{}""#).replace("1", "1e9"), "`ts`: `1e9` is not a decimal number"),
        (recv(r#""{}""#).replace("1", "\"1\""), "`ts`: `\"1\"` is not a decimal number"),
        (recv(r#""{}""#).replace(r#""conn":"a","#, ""), "`conn`: missing"),
        (recv(r#""{}""#).replace("recv", "http"), "`url`: missing"),
        (
            r#"{"t":"header","exchange":"COINBASE"}"#.to_owned(),
            "`exchange`: expected the venue of the first header",
        ),
        (r#"{"ts":1}"#.to_owned(), "`t`: missing"),
        ("[1]".to_owned(), "`line`: expected an object"),
        (recv(r#""{}""#)[..20].to_owned(), "`message`: not JSON"),
    ] {
        let mut capture = Capture::new("KRAKEN");
        capture.recv("0.5", r#"{"event":"heartbeat"}"#);
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.line(&line);
        let (found_offset, found) = capture.damage();
        assert!(found.contains(reason), "{line}: {found}");
        assert_eq!(found_offset, offset, "{line}");
    }
}

/// An answer that nobody wants is not taken apart, but is a line of JSON like any other.
#[test]
fn answers_that_nobody_wants_are_read_to_their_end() {
    let answer = |ts: &str, data: &str| {
        format!(r#"{{"t":"http","conn":"h","ts":{ts},"url":"https://venue/time","data":"{data}"}}"#)
    };
    for data in ["", r#"{\"a\":\"\\\"b\"}"#, r"\/\b\f\n\r\t", r"\u00e9\ud83d\ude00", "é"] {
        let mut capture = Capture::new("KRAKEN");
        capture.recv("1", "{}").line(&answer("2", data)).recv("3", "{}");
        assert_eq!(capture.play().expect("undamaged").lines.len(), 3, "{data}");
    }
    for (ts, data) in [
        ("2", r#"a"b"#),
        ("2", r"a\"),
        ("2", r"\x"),
        ("2", r"\u12"),
        ("2", r"\ud83d"),
        ("2", "\t"),
        ("2", r#"","more":"x","data":"#),
        ("02", ""),
        ("-02", ""),
    ] {
        let mut capture = Capture::new("KRAKEN");
        capture.recv("1", "{}").line(&answer(ts, data)).recv("3", "{}");
        assert!(capture.damage().1.contains("not JSON"), "{ts} {data}");
    }
}

#[test]
fn a_file_that_ends_within_a_line_says_so() {
    let whole = r#"{"t":"recv","conn":"ws.1","ts":1,"data":"{\"event\":\"heartbeat\"}"}"#;
    let mut capture = Capture::new("KRAKEN");
    capture.recv("0.5", r#"{"event":"heartbeat"}"#);
    let before = std::fs::read(capture.0.path()).expect("a file");
    let file_with = |end: &str| file_of(&[&before, end.as_bytes()].concat());
    for length in 1..whole.len() {
        match play(file_with(&whole[..length]).path()) {
            Err(FeedError::Damaged { offset, reason, .. }) => {
                assert_eq!((offset, reason.as_str()), (before.len() as u64, "the file ends within a line"));
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("no damage in {}", &whole[..length]),
        }
    }
    assert_eq!(play(file_with(whole).path()).expect("whole, but for its line end").messages, 2);
    // What is whole is wrong for its own reason, and so is what has a line end.
    for (end, reason) in [("[1]", "`line`: expected an object"), (&format!("{}\n", &whole[..30]), "not JSON")]
    {
        let error = play(file_with(end).path()).err().expect("damage").to_string();
        assert!(error.contains(reason) && !error.contains("ends within"), "{error}");
    }
    let header = play(file_of(&before[..20]).path()).err().expect("no header").to_string();
    assert!(header.contains("the file ends within a line"), "{header}");
}

#[test]
fn unknown_lines_blank_lines_and_further_headers_make_no_events() {
    let mut capture = Capture::new("KRAKEN");
    capture
        .line(r#"{"t":"note","text":"hello"}"#)
        .line("")
        .line(r#"{"t":"header","exchange":"KRAKEN"}"#)
        .line(r#"{"t":"send","conn":"a","ts":1,"data":"{}"}"#)
        .recv("2", r#"{"event":"heartbeat"}"#);
    let mut reader = CaptureReader::open(capture.0.path()).expect("undamaged");
    let mut events = Vec::new();
    assert_eq!(reader.next_message(&mut events).expect("undamaged"), Some(Timestamp(1_000_000_000)));
    assert_eq!((reader.messages(), reader.unknown_lines()), (0, 1));
    assert_eq!(reader.next_message(&mut events).expect("undamaged"), Some(Timestamp(2_000_000_000)));
    assert_eq!(reader.messages(), 1);
    assert_eq!(reader.next_message(&mut events).expect("undamaged"), None);
    assert_eq!(events, []);
}

#[test]
fn a_file_that_is_cut_off_plays_up_to_there() {
    let bytes = unpacked("kraken-20210417.jsonl.zst");
    let packed = gzip(&bytes);
    let cut = file_of(&packed[..packed.len() * 9 / 10]);
    let mut reader = CaptureReader::open(cut.path()).expect("undamaged at first");
    assert_eq!(reader.instruments().len(), 7);
    let mut events = Vec::new();
    let error = loop {
        match reader.next_message(&mut events) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FeedError::Io { offset: Some(offset), .. } if offset > 0), "{error}");
    assert!(reader.messages() > 100 && reader.messages() < 937, "{}", reader.messages());
    assert!(matches!(reader.next_message(&mut events), Ok(None)));
}

#[test]
fn a_damaged_message_leaves_no_events() {
    let mut capture = Capture::new("KRAKEN");
    capture.recv("1", r#"{"event":"heartbeat"}"#);
    capture.recv("2", r#"[1,[["1","1","1","b","m",""],["1","1","1","?","m",""]],"trade","A/B"]"#);
    let mut reader = CaptureReader::open(capture.0.path()).expect("undamaged at first");
    let mut events = Vec::new();
    reader.next_message(&mut events).expect("a heartbeat");
    reader.next_message(&mut events).expect_err("damage");
    assert_eq!(events, []);
}

/// The lines of the small recordings, those longer than a screen left out.
fn some_lines(name: &str) -> Vec<Vec<u8>> {
    let bytes = unpacked(name);
    let short = |line: &&[u8]| line.len() < 2000;
    bytes.split(|byte| *byte == b'\n').filter(short).take(400).map(<[u8]>::to_vec).collect()
}

/// A small capture of each venue: an answer, a snapshot, changes, a quote, a trade.
const SAMPLES: &[(&str, &[&str])] = &[
    (
        "BINANCE",
        &[
            r#"{"stream":"ab@depth","data":{"e":"depthUpdate","E":1500,"s":"AB","U":9,"u":11,"b":[["2","1"]],"a":[]}}"#,
            r#"{"lastUpdateId":10,"bids":[["1","5"]],"asks":[["99","5.5"]]}"#,
            r#"{"stream":"ab@bookTicker","data":{"u":11,"s":"AB","b":"2","B":"1","a":"99","A":"5.5"}}"#,
            r#"{"e":"trade","E":1,"s":"AB","t":1,"p":"1","q":"1","m":true}"#,
        ],
    ),
    (
        "BINANCE_FUTURES",
        &[
            r#"{"lastUpdateId":10,"symbol":"AB","bids":[["1","5"]],"asks":[["99","5.5"]]}"#,
            r#"{"stream":"ab@depth","data":{"e":"depthUpdate","E":1,"T":2,"s":"AB","U":9,"u":11,"pu":8,"b":[["2","1"]],"a":[]}}"#,
        ],
    ),
    (
        "BITFINEX",
        &[
            r#"{"event":"conf","status":"OK","flags":196608}"#,
            r#"{"event":"subscribed","channel":"book","chanId":7,"symbol":"tAB","prec":"P0"}"#,
            r#"{"event":"subscribed","channel":"trades","chanId":8,"symbol":"tAB"}"#,
            "[7,[[10.50,2,3],[11,1,-2.5e-1]],1]",
            "[7,[10.5,0,1],2]",
            r#"[7,"cs",-1176218271,3]"#,
            r#"[8,"te",[40,1574694478808,-0.5,10.5],4]"#,
            r#"{"event":"info","code":20060,"msg":"maintenance"}"#,
            r#"{"event":"unsubscribed","status":"OK","chanId":7}"#,
        ],
    ),
    (
        "BITMEX",
        &[
            r#"{"table":"orderBookL2","action":"partial","filter":{"symbol":"AB"},"data":[{"symbol":"AB","id":1,"side":"Sell","size":5,"price":11}]}"#,
            r#"{"table":"orderBookL2","action":"insert","data":[{"symbol":"AB","id":2,"side":"Buy","size":5,"price":1e1}]}"#,
            r#"{"table":"orderBookL2","action":"update","data":[{"symbol":"AB","id":2,"side":"Buy","size":6}]}"#,
            r#"{"table":"orderBookL2","action":"delete","data":[{"symbol":"AB","id":2,"side":"Buy"}]}"#,
            r#"{"table":"quote","action":"insert","data":[{"timestamp":"2021-07-22T22:36:10.014Z","symbol":"AB","bidSize":3,"bidPrice":10.5,"askPrice":null,"askSize":null}]}"#,
            r#"{"table":"trade","action":"insert","data":[{"timestamp":"2021-07-22T22:36:10Z","symbol":"AB","side":"Buy","size":100,"price":1.05e1}]}"#,
        ],
    ),
    (
        "BITSTAMP",
        &[
            r#"{"data":{"microtimestamp":"1500000","bids":[["10.5","2.00"]],"asks":[]},"channel":"diff_order_book_abcd","event":"data"}"#,
            r#"{"data":{"id":216,"amount_str":"0.79","price_str":"10.50","type":1,"microtimestamp":"17"},"channel":"live_trades_abcd","event":"trade"}"#,
        ],
    ),
    (
        "BYBIT",
        &[
            r#"{"topic":"orderbook.50.AB","type":"snapshot","ts":1500,"data":{"s":"AB","b":[["10.5","1"]],"a":[],"u":7},"cts":1499}"#,
            r#"{"topic":"orderbook.50.AB","type":"delta","ts":1500,"data":{"s":"AB","b":[["10.5","0"]],"a":[],"u":8},"cts":1499}"#,
            r#"{"topic":"tickers.AB","type":"delta","data":{"bid1Price":"10.5","bid1Size":"1"},"cs":1,"ts":1600}"#,
            r#"{"topic":"publicTrade.AB","data":[{"T":1700,"S":"Sell","v":"0.04","p":"10.5","i":"17"}]}"#,
        ],
    ),
    (
        "COINBASE",
        &[
            r#"{"type":"snapshot","product_id":"A-B","asks":[["10.1","1.50"]],"bids":[["10.0","2"]]}"#,
            r#"{"type":"l2update","product_id":"A-B","changes":[["buy","9","3"]],"time":"2021-04-17T16:43:37Z"}"#,
        ],
    ),
    (
        ADVANCED,
        &[
            r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":0,"events":[{"type":"snapshot","product_id":"A-B","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48Z","price_level":"10.5","new_quantity":"2"}]}]}"#,
            r#"{"channel":"market_trades","timestamp":"2026-08-09T21:05:48Z","sequence_num":1,"events":[{"type":"update","trades":[{"product_id":"A-B","trade_id":"8","price":"10.5","size":"0.1","time":"2026-08-09T21:05:48Z","side":"SELL"}]}]}"#,
            r#"{"channel":"ticker","timestamp":"2026-08-09T21:05:48Z","sequence_num":3,"events":[{"type":"update","tickers":[{"product_id":"A-B","best_bid":"10.5","best_ask":"11","best_bid_quantity":"2","best_ask_quantity":"0"}]}]}"#,
        ],
    ),
    (
        "DERIBIT",
        &[
            r#"{"method":"subscription","params":{"channel":"book.A-B.raw","data":{"type":"snapshot","timestamp":1500,"instrument_name":"A-B","change_id":7,"bids":[["new",0.0015,4714.0]],"asks":[["new",1e-2,8.5]]}}}"#,
            r#"{"method":"subscription","params":{"channel":"book.A-B.raw","data":{"type":"change","timestamp":1600,"instrument_name":"A-B","prev_change_id":7,"change_id":9,"bids":[],"asks":[["delete",0.010,0.0]]}}}"#,
            r#"{"method":"subscription","params":{"channel":"ticker.A-B.raw","data":{"timestamp":1650,"instrument_name":"A-B","best_bid_price":0.0015,"best_bid_amount":4714.0,"best_ask_price":null}}}"#,
            r#"{"method":"subscription","params":{"channel":"trades.A-B.raw","data":[{"trade_seq":30,"timestamp":1700,"price":0.0020,"instrument_name":"A-B","direction":"sell","amount":2.5}]}}"#,
        ],
    ),
    (
        "DYDX",
        &[
            r#"{"type":"subscribed","message_id":1,"channel":"v3_orderbook","id":"A-B","contents":{"bids":[{"price":"10","offset":"50","size":"6.2"}],"asks":[]}}"#,
            r#"{"type":"channel_data","message_id":3,"id":"A-B","channel":"v3_orderbook","contents":{"offset":"51","bids":[["10","1"]],"asks":[]}}"#,
            r#"{"type":"channel_data","message_id":2,"id":"A-B","channel":"v3_trades","contents":{"trades":[{"size":"0.1","side":"SELL","price":"42.5","createdAt":"2021-10-28T18:03:51.833Z"}]}}"#,
            r#"{"type":"unsubscribed","message_id":900}"#,
        ],
    ),
    (
        "FTX",
        &[
            r#"{"channel": "orderbook", "market": "A/B", "type": "partial", "data": {"time": 1.5, "checksum": 7, "bids": [[0.00005, 10]], "asks": []}}"#,
            r#"{"channel": "orderbook", "market": "A/B", "type": "update", "data": {"time": 1.5, "checksum": 7, "bids": [], "asks": [[5e-03, 2.50]]}}"#,
            r#"{"channel": "trades", "market": "A/B", "type": "update", "data": [{"id": 7, "price": 32818.0, "size": 0.25, "side": "sell", "time": "2021-07-22T22:45:25.174228+00:00"}]}"#,
        ],
    ),
    (
        "GEMINI",
        &[
            r#"{"type":"l2_updates","symbol":"AB","changes":[["buy","10.5","2"],["sell","11","3"]],"trades":[]}"#,
            r#"{"type":"l2_updates","symbol":"AB","changes":[["buy","10.5","0"]]}"#,
            r#"{"type":"trade","symbol":"AB","event_id":45,"timestamp":1700,"price":"11","quantity":"0.5","side":"buy"}"#,
        ],
    ),
    (
        "HITBTC",
        &[
            r#"{"method":"snapshotOrderbook","params":{"ask":[{"price":"11","size":"0.5"}],"bid":[],"symbol":"AB","sequence":7,"timestamp":"2021-04-05T19:02:54.103Z"}}"#,
            r#"{"method":"updateOrderbook","params":{"ask":[{"price":"11","size":"0"}],"bid":[],"symbol":"AB","sequence":8,"timestamp":"2021-04-05T19:02:54.103Z"}}"#,
            r#"{"method":"updateTrades","params":{"data":[{"id":11,"price":"0.020","quantity":"7.2","side":"sell","timestamp":"2021-04-05T19:02:54Z"}],"symbol":"AB"}}"#,
        ],
    ),
    (
        "HYPERLIQUID",
        &[
            r#"{"channel":"l2Book","data":{"coin":"BTC","time":1737918843893,"levels":[[{"px":"105055.0","sz":"3.03622","n":5}],[]]}}"#,
            r#"{"channel":"trades","data":[{"coin":"BTC","side":"B","px":"105056.0","sz":"0.00219","time":1737918794873,"tid":121451470284048}]}"#,
        ],
    ),
    (
        "KRAKEN",
        &[
            r#"[7,{"as":[["10.10","1.5","1618678123.481570"]],"bs":[]},"book-10","XBT/EUR"]"#,
            r#"[7,{"a":[["10.10","1.0","1618678124.1"]],"c":"1"},"book-10","XBT/EUR"]"#,
        ],
    ),
    (
        "KRAKEN_FUTURES",
        &[
            r#"{"feed":"book_snapshot","product_id":"PI_AB","timestamp":1500,"seq":6,"bids":[{"price":10.5,"qty":2.0}],"asks":[]}"#,
            r#"{"feed":"book","product_id":"PI_AB","side":"sell","seq":7,"price":11,"qty":0.0,"timestamp":1600}"#,
            r#"{"feed":"trade","product_id":"PI_AB","side":"buy","type":"fill","seq":56,"time":1700,"qty":320.0,"price":119.44}"#,
        ],
    ),
    (
        "KUCOIN",
        &[
            r#"{"type":"message","topic":"/market/level2:A-B","subject":"trade.l2update","data":{"symbol":"A-B","sequenceStart":7,"sequenceEnd":9,"changes":{"asks":[["1","1","7"]],"bids":[]}}}"#,
            r#"{"type":"message","topic":"/market/match:A-B","subject":"trade.l3match","data":{"symbol":"A-B","side":"sell","size":"8.5","price":"0.10","time":"1700000000"}}"#,
            r#"{"type":"message","topic":"/market/ticker:A-B","subject":"trade.ticker","data":{"sequence":"7","bestBid":"0.1","bestBidSize":"3","time":1600}}"#,
        ],
    ),
    (
        "OKX",
        &[
            r#"{"arg":{"channel":"books","instId":"A-B"},"action":"snapshot","data":[{"asks":[["11","3","0","1"]],"bids":[],"ts":"1500","checksum":-855196043,"prevSeqId":-1,"seqId":7}]}"#,
            r#"{"arg":{"channel":"books","instId":"A-B"},"action":"update","data":[{"asks":[["11","0","0","1"]],"bids":[],"ts":"1500","checksum":0,"prevSeqId":7,"seqId":8}]}"#,
            r#"{"arg":{"channel":"tickers","instId":"A-B"},"data":[{"askPx":"11","askSz":"3","bidPx":"","bidSz":"","ts":"1700"}]}"#,
            r#"{"arg":{"channel":"trades","instId":"A-B"},"data":[{"tradeId":"12","px":"10.7","sz":"1.5","side":"sell","ts":"1600"}]}"#,
        ],
    ),
];

/// Coinbase's messages are others at this address.
const ADVANCED: &str = "COINBASE (wss://advanced-trade-ws.coinbase.com)";

/// Answers that some of the samples wait for, and lists of instruments; what a venue does not ask for is not read.
const ANSWERS: &[(&str, &str)] = &[
    ("https://venue/depth?symbol=AB", r#"{"lastUpdateId":10,"bids":[["1","5"]],"asks":[]}"#),
    (
        "https://venue/order_book/abcd/",
        r#"{"microtimestamp": "1400000", "bids": [["10.50", "1.00"]], "asks": []}"#,
    ),
    (
        "https://venue/orderbook/level2?symbol=A-B",
        r#"{"data":{"time":1500,"sequence":"6","bids":[],"asks":[["9","1"]]}}"#,
    ),
    (
        "https://venue/public/instruments",
        r#"{"data":[{"instId":"A-B","quoteCcy":"B","tickSz":"0.10","lotSz":"0.01"}]}"#,
    ),
    (
        "https://venue/instruments-info?category=spot",
        r#"{"result":{"list":[{"symbol":"AB","quoteCoin":"B","priceFilter":{"tickSize":"0.50"},"lotSizeFilter":{"qtyStep":"0.01"}}]}}"#,
    ),
    (
        "https://venue/get_instruments",
        r#"{"result":[{"tick_size":5e-4,"min_trade_amount":1,"quote_currency":"B","instrument_name":"A-B"}]}"#,
    ),
    (
        "https://venue/trading-pairs-info/",
        r#"[{"url_symbol": "abcd", "name": "AB/CD", "base_decimals": 3, "counter_decimals": 2}]"#,
    ),
];

/// The lines of a sample.
fn sample(exchange: &str, payloads: &[&str]) -> Vec<Vec<u8>> {
    let exchange_only = exchange.split(' ').next().unwrap_or_default();
    let mut capture = Capture::new(exchange_only);
    capture.line(&format!(r#"{{"t":"connect","conn":"ws.1","ts":1,"addr":"{exchange}"}}"#));
    for payload in payloads {
        capture.recv("2", payload);
    }
    for (url, answer) in ANSWERS {
        capture.http("2.5", url, answer);
    }
    for payload in payloads.iter().rev() {
        capture.recv("3", payload);
    }
    let bytes = std::fs::read(capture.0.path()).expect("a file");
    bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Plays what can be played.
fn play_to_the_end_or_damage(bytes: &[u8]) {
    let file = file_of(bytes);
    if let Ok(mut reader) = CaptureReader::open(file.path()) {
        let mut events = Vec::new();
        while let Ok(Some(_)) = reader.next_message(&mut events) {
            events.clear();
        }
    }
}

#[test]
fn samples_are_undamaged_to_the_last_line() {
    for (exchange, payloads) in SAMPLES {
        // Answers of other venues may look like one's own: of those one venue does not document the other's.
        let lines = sample(exchange, payloads);
        let own: Vec<_> = lines.iter().filter(|line| !line.starts_with(br#"{"t":"http""#)).cloned().collect();
        let played =
            play(file_of(&own.join(&b'\n')).path()).unwrap_or_else(|error| panic!("{exchange}: {error}"));
        assert_eq!(played.messages, payloads.len() as u64 * 2, "{exchange}");
        assert!(played.events().next().is_some(), "{exchange}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn changed_samples_of_every_venue_never_panic(
        (exchange, payloads) in prop::sample::select(SAMPLES),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0_u8..5), 1..6),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut lines = sample(exchange, payloads);
        for (line, at, byte, how) in changes {
            let line = line.index(lines.len() - 1) + 1;
            let line = &mut lines[line];
            if line.is_empty() {
                continue;
            }
            let at = at.index(line.len());
            match how {
                0 => line[at] ^= 1 << (byte % 8),
                1 => line.truncate(at),
                2 => line.insert(at, byte),
                3 => line[at] = b'0' + byte % 10,
                _ => line[at] = b"\"[]{},:0-.\\e"[usize::from(byte) % 12],
            }
        }
        let mut bytes = lines.join(&b'\n');
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        play_to_the_end_or_damage(&bytes);
        // The same messages in the other envelopes.
        let mut stamped = Vec::new();
        let mut bare = br#"{"topic":"x","ts":1}"#.to_vec();
        for payload in payloads.iter().chain([&String::from_utf8_lossy(&bytes[bytes.len() / 2..]).as_ref()]) {
            stamped.extend_from_slice(format!("1723161256172216566 {payload}\n").as_bytes());
            bare.extend_from_slice(format!("\n{payload}").as_bytes());
        }
        play_to_the_end_or_damage(&stamped);
        play_to_the_end_or_damage(&bare);
    }

    #[test]
    fn random_bytes_never_panic(
        header in prop::sample::select(&["", "{\"t\":\"header\",\"exchange\":\"OKX\"}\n", "1 {", "{\"topic\"", "PK\x03\x04"][..]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        play_to_the_end_or_damage(&[header.as_bytes(), &bytes].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in a file, it is read or refused.
    #[test]
    fn changed_lines_never_panic(
        name in prop::sample::select(&["kraken-20210417.jsonl.zst", "coinbase-20210417.jsonl.zst", "binance-20211012.jsonl.zst"][..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..12),
        keep_header: bool,
    ) {
        let mut lines = some_lines(name);
        for (line, at, byte, how) in changes {
            let line = line.index(lines.len() - usize::from(keep_header)) + usize::from(keep_header);
            let line = &mut lines[line];
            if line.is_empty() {
                continue;
            }
            let at = at.index(line.len());
            match how {
                0 => line[at] = byte,
                1 => line.truncate(at),
                2 => line.insert(at, byte),
                _ => line[at] = b"\"[]{},:0-.\\"[usize::from(byte) % 11],
            }
        }
        play_to_the_end_or_damage(&lines.join(&b'\n'));
    }
}
