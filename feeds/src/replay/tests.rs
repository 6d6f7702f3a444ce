use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::format::itch::writer::Writer;
use crate::input::zip::tests::{How, archive};
use crate::record::{Body, Recorder, RecorderSettings};
use crate::shared::shared;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn settings(files: &[PathBuf]) -> ReplaySettings {
    ReplaySettings { files: files.to_vec(), ..ReplaySettings::default() }
}

fn symbol(text: &str) -> Symbol {
    Symbol::new(text).expect("a symbol")
}

fn names(replay: &Replay) -> Vec<&str> {
    replay.instruments().iter().map(|instrument| instrument.symbol.as_str()).collect()
}

/// A message as `due symbol symbol …`, one name an event.
fn step(replay: &mut Replay) -> Result<String, FeedError> {
    let mut events = Vec::new();
    let progress = replay.next_message(&mut events)?;
    let Progress::Message { due } = progress else {
        assert!(events.is_empty());
        return Ok(format!("{progress:?}"));
    };
    let mut shown = due.0.to_string();
    for event in events {
        let instrument = &replay.instruments()[event.symbol.index()];
        if let EventBody::Definition(defined) = &event.body {
            assert_eq!(**defined, *instrument);
        }
        shown.push(' ');
        shown.push_str(instrument.symbol.as_str());
    }
    Ok(shown)
}

fn steps(replay: &mut Replay, count: usize) -> Vec<String> {
    (0..count).map(|_| step(replay).expect("no damage")).collect()
}

/// Two files with times 10, 20, 40 and 20, 30, which share MSFT under unlike locate codes.
fn two_files(folder: &Path) -> [PathBuf; 2] {
    let mut one = Writer::default();
    one.directory(1, 10, "AAPL").directory(2, 20, "MSFT").add(1, 40, "AAPL", 1);
    let mut other = Writer::default();
    other.directory(7, 20, "NVDA").add(1, 30, "MSFT", 2);
    [one.save(folder, "one.itch"), other.save(folder, "other.itch.zst")]
}

#[test]
fn several_files_play_as_one() {
    let folder = folder();
    let files = two_files(folder.path());
    let mut replay = Replay::open(&settings(&files)).expect("two files");
    assert_eq!(names(&replay), ["AAPL", "MSFT", "NVDA"]);
    assert_eq!(
        steps(&mut replay, 7),
        ["10 AAPL", "20 MSFT", "20 NVDA", "30 MSFT", "40 AAPL", "Ended", "Ended"]
    );
    let summary = |path: &PathBuf, messages| RecordingSummary {
        path: path.clone(),
        format: "NASDAQ ITCH 5.0",
        venue: "NASDAQ",
        messages,
    };
    assert_eq!(replay.files(), [summary(&files[0], 3), summary(&files[1], 2)]);
}

#[test]
fn a_filter_leaves_out_events_but_no_time() {
    let folder = folder();
    let mut settings = settings(&two_files(folder.path()));
    for wanted in ["MSFT", "NASDAQ:MSFT"] {
        settings.symbols = Some([symbol(wanted)].into());
        let mut replay = Replay::open(&settings).expect("MSFT is there");
        assert_eq!(names(&replay), ["MSFT"]);
        assert_eq!(steps(&mut replay, 6), ["10", "20 MSFT", "20", "30 MSFT", "40", "Ended"]);
    }
    settings.symbols = Some([symbol("MSFT"), symbol("TSLA")].into());
    let error = Replay::open(&settings).err().expect("TSLA is not there");
    assert_eq!(error.to_string(), "no recording carries TSLA");
}

#[test]
fn a_loop_begins_again_with_its_own_time() {
    let folder = folder();
    let settings = ReplaySettings { repeat: true, ..settings(&two_files(folder.path())) };
    let mut replay = Replay::open(&settings).expect("two files");
    let pass = ["10 AAPL", "20 MSFT", "20 NVDA", "30 MSFT", "40 AAPL", "Restarted"];
    assert_eq!(steps(&mut replay, 13), [&pass[..], &pass, &pass[..1]].concat());
    assert_eq!(replay.files()[0].messages, 1, "counted from the last beginning");
}

#[test]
fn a_loop_ends_when_its_file_is_gone_or_another() {
    let folder = folder();
    let path = Writer::default().directory(1, 10, "AAPL").save(folder.path(), "a.itch");
    let settings = ReplaySettings { repeat: true, ..settings(&[path]) };
    let mut replay = Replay::open(&settings).expect("a file");
    assert_eq!(step(&mut replay).expect("a message"), "10 AAPL");
    Writer::default().directory(1, 10, "MSFT").save(folder.path(), "a.itch");
    assert!(matches!(step(&mut replay), Err(FeedError::Settings(_))));
    assert_eq!(steps(&mut replay, 2), ["Ended", "Ended"]);
}

#[test]
fn a_loop_without_any_event_ends() {
    let folder = folder();
    let mut file = Writer::default();
    file.message(b'S', 0, 10, &[b"O"]).message(b'S', 0, 20, &[b"C"]);
    let path = file.save(folder.path(), "silent.itch");
    let mut replay = Replay::open(&ReplaySettings { repeat: true, ..settings(&[path]) }).expect("a file");
    assert_eq!(steps(&mut replay, 4), ["10", "20", "Ended", "Ended"]);
}

#[test]
fn a_file_given_twice_is_refused_by_name() {
    let folder = folder();
    let [one, other] = two_files(folder.path());
    let respelt = folder.path().join("..").join(folder.path().file_name().expect("a name")).join("one.itch");
    let link = folder.path().join("link.itch");
    std::os::unix::fs::symlink(&one, &link).expect("a link");
    for twice in [&one, &respelt, &link] {
        let files = [one.clone(), other.clone(), twice.clone()];
        match Replay::open(&settings(&files)).err() {
            Some(FeedError::Settings(reason)) => {
                assert!(reason.contains(&*twice.to_string_lossy()) && reason.contains("twice"), "{reason}");
            }
            found => panic!("{}: {found:?}", twice.display()),
        }
    }
}

#[test]
fn time_does_not_run_backwards() {
    let folder = folder();
    let mut file = Writer::default();
    file.directory(1, 50, "AAPL").delete(1, 20, 1).delete(1, 60, 2);
    let path = file.save(folder.path(), "a.itch");
    let mut replay = Replay::open(&settings(&[path])).expect("a file");
    assert_eq!(steps(&mut replay, 4), ["50 AAPL", "50 AAPL", "60 AAPL", "Ended"]);
}

#[test]
fn damage_is_reported_where_it_stands_and_ends_the_replay() {
    let folder = folder();
    let [good, _] = two_files(folder.path());
    let mut damaged = Writer::default();
    damaged.directory(9, 15, "TSLA");
    let offset = damaged.0.len() as u64;
    damaged.0.extend_from_slice(&[0, 12, b'?']);
    let path = damaged.save(folder.path(), "damaged.itch");
    let mut replay = Replay::open(&settings(&[good, path.clone()])).expect("good beginnings");
    assert_eq!(steps(&mut replay, 2), ["10 AAPL", "15 TSLA"]);
    match step(&mut replay) {
        Err(FeedError::Damaged { path: named, offset: at, .. }) => assert_eq!((named, at), (path, offset)),
        other => panic!("{other:?}"),
    }
    assert_eq!(steps(&mut replay, 2), ["Ended", "Ended"]);
}

#[test]
fn the_format_is_told_by_the_content() {
    let folder = folder();
    for (bytes, reason) in [
        (&b""[..], "empty"),
        (b"\x00", "begins with `\\x00`"),
        (b"id,price\n", "begins with `id,`"),
        (b"\x00\x0cZ", "begins with `\\x00\\x0cZ`"),
        (
            b"\x0e\xa0\x01\x00",
            "a fragment of DBN: records without the metadata that tell their version and symbols",
        ),
    ] {
        for name in ["what.itch", "what.gz", "what.zst"] {
            let path = Writer(bytes.to_vec()).save(folder.path(), name);
            match Replay::open(&settings(std::slice::from_ref(&path))).err() {
                Some(FeedError::UnknownFormat { path: named, reason: found }) => {
                    assert_eq!((named, found.as_str()), (path, reason));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let capture = crate::format::pcap::writer::Writer::new(crate::format::pcap::writer::NANOSECONDS);
    let path = capture.save(folder.path(), "nothing.pcap");
    match Replay::open(&settings(&[path])).err() {
        Some(FeedError::UnknownFormat { reason, .. }) => {
            assert!(reason.starts_with("a capture of 0 packets and 0 UDP datagrams"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    for (text, format) in [
        ("34200.5,1,11,18,5853300,1\n", "LOBSTER messages"),
        ("time,price,size\n2024-01-01 00:00:00,1,2\n", "CSV"),
    ] {
        let path = Writer(text.as_bytes().to_vec()).save(folder.path(), "AAPL.zst");
        assert_eq!(Replay::open(&settings(&[path])).expect(format).files()[0].format, format);
    }
    let damaged = Writer(b"\x00\x00S".to_vec()).save(folder.path(), "no-lengths.itch");
    assert!(matches!(Replay::open(&settings(&[damaged])).err(), Some(FeedError::Damaged { offset: 0, .. })));
    assert!(matches!(
        Replay::open(&settings(&[folder.path().join("none")])).err(),
        Some(FeedError::Io { .. })
    ));
    assert!(matches!(Replay::open(&settings(&[])).err(), Some(FeedError::Settings(_))));
}

#[test]
fn a_capture_and_an_itch_file_play_together() {
    let Some(capture) = shared("crypto-ws/binance-spot/BINANCE_20211012.jsonl.zst") else { return };
    let folder = folder();
    // A stock with the name of a coin, at 20:28:40 in New York: 00:28:40 UTC, in the middle of the capture.
    let mut file = Writer::default();
    file.directory(1, 73_720_000_000_000, "AAPL").directory(2, 73_720_000_000_000, "NKNUSDT");
    let itch = file.save(folder.path(), "20211011.itch");

    let mut alone = Replay::open(&settings(std::slice::from_ref(&capture))).expect("a capture");
    assert!(names(&alone).contains(&"NKNUSDT"));
    let mut replay = Replay::open(&settings(&[capture.clone(), itch.clone()])).expect("two files");
    for name in ["BINANCE:NKNUSDT", "NASDAQ:NKNUSDT", "AAPL"] {
        assert!(names(&replay).contains(&name), "{name}");
    }
    let formats: Vec<_> = replay.files().iter().map(|file| (file.format, file.venue)).collect();
    assert_eq!(formats, [("exchange capture", "BINANCE"), ("NASDAQ ITCH 5.0", "NASDAQ")]);

    // The capture's own messages come in the same order and with the same events as without the other file.
    let play = |replay: &mut Replay| {
        let mut messages = Vec::new();
        loop {
            let mut events = Vec::new();
            let Progress::Message { due } = replay.next_message(&mut events).expect("no damage") else {
                break;
            };
            let mut shown = Vec::new();
            for mut event in events {
                let instrument = &replay.instruments()[event.symbol.index()];
                let name = instrument.symbol.as_str();
                if let EventBody::Definition(defined) = &mut event.body {
                    assert_eq!(defined.symbol, instrument.symbol);
                    defined.symbol = symbol(name.trim_start_matches("BINANCE:"));
                }
                if instrument.venue == "NASDAQ" {
                    assert!(event.ts_recv == due && !messages.is_empty(), "merged by the time of receipt");
                } else {
                    shown.push((name.trim_start_matches("BINANCE:").to_owned(), event.ts_recv, event.body));
                }
            }
            messages.extend((!shown.is_empty()).then_some(shown));
        }
        messages
    };
    let (expected, found) = (play(&mut alone), play(&mut replay));
    assert!(!expected.is_empty() && expected == found);
    assert_eq!((replay.files()[0].messages, replay.files()[1].messages), (alone.files()[0].messages, 2));

    let wanted = Some([symbol("NASDAQ:NKNUSDT")].into());
    let replay = Replay::open(&ReplaySettings { symbols: wanted, ..settings(&[capture, itch]) });
    assert_eq!(names(&replay.expect("there")), ["NASDAQ:NKNUSDT"]);
}

#[test]
fn every_recording_of_a_known_kind_plays_to_its_end() {
    for (name, messages) in [
        ("itch/nasdaq-20191230-0930-1000msgs.itch", 1_000),
        ("itch/nasdaq-20191230-directory-1000msgs.itch", 1_000),
        ("itch/nasdaq-20200130-AAPL-first4000.itch", 4_000),
        ("itch/ritch-bx-20191230-obfuscated.reframed.itch.zst", 12_012),
        ("dbn/cme-es/orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst", 13_796),
        ("dbn/databento-dbn/test_data.mbp-10.dbn", 2),
        ("crypto-ws/binance-spot/BINANCE_20211012.jsonl.zst", 265),
        ("crypto-ws/coinbase-exchange/COINBASE_20210417_products-A.jsonl.zst", 6_450),
        ("crypto-ws/kraken-spot-v1/KRAKEN_20210417.jsonl.zst", 4_430),
        ("iex/tops-20260713-first55min.pcap.zst", 69_987),
        ("iex/deep-20260713-first55min.pcap.zst", 58_403),
        ("lobster/AAPL_2012-06-21_34200000_57600000_message_10.first999.csv", 999),
        // Of CSV without the header, which the data set's list counts as a line.
        ("csv/truefx-usdjpy-ticks.csv", 1_000),
        ("csv/xcme-6EH4-1min-bars-202401.csv.gz", 29_996),
        ("csv/tardis/binance-futures_book_snapshot_25_BTCUSDT.csv", 10),
        ("csv/tardis/deribit_incremental_book_L2_BTC-PERPETUAL.csv", 15),
    ] {
        let Some(path) = shared(name) else { continue };
        let mut replay = Replay::open(&settings(&[path])).expect(name);
        let mut events = Vec::new();
        while replay.next_message(&mut events).expect(name) != Progress::Ended {}
        assert!(!events.is_empty(), "{name}");
        assert_eq!(replay.files()[0].messages, messages, "{name}");
    }
}

/// The files that begin neither with a header nor with a message of ITCH.
#[test]
fn captures_in_other_envelopes_are_told_by_the_content() {
    let stamped = br#"1723161256172216566 {"stream":"x","data":{"e":"depthUpdate","E":1,"s":"AB","U":1,"u":1,"b":[],"a":[]}}"#;
    let bare = br#"{"topic":"orderbook.500.AB","type":"snapshot","ts":1500,"data":{"s":"AB","b":[],"a":[],"u":7},"cts":1499}"#;
    let folder = folder();
    for (bytes, venue) in
        [(stamped.to_vec(), "BINANCE"), (bare.to_vec(), "BYBIT"), (archive(&[bare], How::Deflated), "BYBIT")]
    {
        let path = Writer(bytes).save(folder.path(), "some.file");
        let mut replay = Replay::open(&settings(&[path])).expect("undamaged");
        assert_eq!(steps(&mut replay, 2).len(), 2);
        let file = &replay.files()[0];
        assert_eq!((file.format, file.venue, file.messages), ("exchange capture", venue, 1));
        assert_eq!(replay.instruments()[0].symbol.as_str(), "AB");
    }
}

#[test]
fn a_recording_that_is_given_twice_is_refused_by_name() {
    let folder = folder();
    let day = folder.path().join("day");
    let recorder = Recorder::start(&RecorderSettings::new(day.clone()), |_| {}).expect("room");
    recorder.handle().record(None, Timestamp(1), Body::Note("hello"));
    recorder.stop().expect("room");
    let segment = day.join("00000001.twr");
    let [one, other] = two_files(folder.path());
    // What stands in the folder and is no segment is another recording.
    let beside = day.join("one.itch");
    std::fs::copy(&one, &beside).expect("room");
    check_distinct(&[day.clone(), beside, one.clone(), other]).expect("four recordings");

    let roundabout = folder.path().join("day").join("..").join("day");
    for (files, named) in [
        ([day.clone(), roundabout.clone()], [&day, &roundabout]),
        ([day.clone(), segment.clone()], [&segment, &day]),
        ([segment.clone(), roundabout.clone()], [&segment, &roundabout]),
        ([one.clone(), one.clone()], [&one, &one]),
    ] {
        let error = Replay::open(&settings(&files)).err().expect("refused").to_string();
        assert!(error.contains("would be doubled"), "{error}");
        for path in named {
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}

#[test]
fn lines_of_no_known_kind_are_counted_through_every_repetition() {
    let folder = folder();
    let path = folder.path().join("some.jsonl");
    let note = r#"{"t":"note","text":"hello"}"#;
    let trade = r#"{"t":"recv","conn":"a","ts":2,"data":"[1,[[\"5541.20000\",\"0.15850568\",\"1534614057.321597\",\"s\",\"l\",\"\"]],\"trade\",\"XBT/USD\"]"}"#;
    let text = format!("{}\n{note}\n{trade}\n{note}\n", r#"{"t":"header","exchange":"KRAKEN"}"#);
    std::fs::write(&path, text).expect("room");
    let mut replay = Replay::open(&ReplaySettings { repeat: true, ..settings(&[path]) }).expect("sound");
    assert_eq!(replay.unknown_lines(), 0);
    let mut events = Vec::new();
    for passes in 1..4 {
        while replay.next_message(&mut events).expect("sound") != Progress::Restarted {}
        assert_eq!(replay.unknown_lines(), 2 * passes);
    }
}

#[test]
fn csv_files_of_one_instrument_share_the_finest_of_their_scales() {
    let folder = folder();
    let save = |name: &str, text: &str| Writer(text.as_bytes().to_vec()).save(folder.path(), name);
    let trades = save("trades.csv", "exchange,symbol,time,price,size\nx,A,2024-01-01 00:00:01,10.5,0.25\n");
    let quotes = save(
        "quotes.csv",
        "exchange,symbol,time,bid,bid_size,ask,ask_size\nx,A,2024-01-01 00:00:00,10.125,3,11,4\n",
    );
    let bars = save(
        "bars.csv",
        "exchange,symbol,time,open,high,low,close,volume,interval_ns\nx,B,2024-01-01 00:00:00,1,2,1,2,5,1000\n",
    );
    for files in [[&trades, &quotes, &bars], [&bars, &quotes, &trades]] {
        let mut replay = Replay::open(&settings(&files.map(Clone::clone))).expect("alike");
        let scale = |name: &str| {
            let of_name = |instrument: &&Instrument| instrument.symbol.as_str() == name;
            let instrument = replay.instruments().iter().find(of_name).expect("there");
            (instrument.price_exponent.get(), instrument.size_exponent.get())
        };
        assert_eq!((scale("A"), scale("B")), ((-3, -2), (0, 0)));
        let mut events = Vec::new();
        while let Progress::Message { .. } = replay.next_message(&mut events).expect("sound") {}
        let level = |price, size| Some(crate::Level { price: crate::Price(price), size: crate::Size(size) });
        let quote = EventBody::Quote { bid: level(10_125, 300), ask: level(11_000, 400) };
        assert!(events.iter().any(|event| event.body == quote));
        let is_trade = |event: &MarketEvent| matches!(&event.body, EventBody::Trade(trade) if (trade.price.0, trade.size.0) == (10_500, 25));
        assert!(events.iter().any(is_trade));
    }
}
