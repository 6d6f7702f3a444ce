//! The recordings of the shared data set, and the checks that come with them.

use super::*;
use crate::shared::shared;

/// The path, the file's part of the manifest's name, and its messages.
fn recordings() -> Vec<(PathBuf, String, Option<u64>)> {
    let Some(manifest) = shared("MANIFEST.json") else { return Vec::new() };
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(manifest).expect("readable")).expect("JSON");
    let files = manifest.as_array().expect("a list").iter().filter_map(|file| {
        let name = file["path"].as_str().expect("a path").strip_prefix("dbn/")?;
        Some((shared(&format!("dbn/{name}"))?, name.to_owned(), file["messages"].as_u64()))
    });
    files.collect()
}

fn play(path: &Path) -> (Vec<Message>, DbnReader) {
    let saved = Saved { _folder: tempfile::tempdir().expect("a folder"), path: path.to_owned() };
    let (messages, reader, end) = read(&saved);
    assert!(end.is_none(), "{}: {end:?}", path.display());
    (messages, reader)
}

fn bodies_of(name: &str) -> Option<Vec<EventBody>> {
    let (messages, _) = play(&shared(&format!("dbn/{name}"))?);
    Some(messages.into_iter().flat_map(|(_, events)| events).map(|event| event.body).collect())
}

#[test]
fn every_recording_has_the_records_of_the_manifest() {
    let mut whole = 0;
    for (path, name, messages) in recordings() {
        if name.contains(".frag") {
            assert!(DbnReader::open(&path).is_err(), "{name}");
            let mut head = [0; 3];
            Input::open(&path).expect("readable").read_exact_or_end(&mut head).expect("three bytes");
            assert!(is_fragment(&head), "{name}");
            continue;
        }
        let (played, reader) = play(&path);
        assert_eq!(Some(reader.messages()), messages, "{name}");
        let events: usize = played.iter().map(|(_, events)| events.len()).sum();
        let unmapped: u64 = reader.unmapped().map(|(_, count)| count).sum();
        assert!(messages == Some(0) || events as u64 + unmapped > 0, "{name}");
        let is_mapped = !["imbalance", "statistics"].iter().any(|schema| name.contains(schema));
        assert!(!is_mapped || unmapped == 0, "{name}: {:?}", reader.unmapped().collect::<Vec<_>>());
        whole += 1;
    }
    assert!(whole == 0 || whole > 60, "only {whole} recordings");
}

#[test]
fn all_versions_of_a_recording_say_the_same() {
    let mut said: BTreeMap<String, (String, Vec<Message>)> = BTreeMap::new();
    for (path, name, _) in recordings() {
        let Some(schema) = name.strip_prefix("databento-dbn/test_data.").filter(|_| !name.contains(".frag"))
        else {
            continue;
        };
        let schema = schema.split('.').next().expect("a schema").to_owned();
        let (messages, _) = play(&path);
        let (first, expected) = said.entry(schema).or_insert_with(|| (name.clone(), messages.clone()));
        assert_eq!(&messages, expected, "{name} and {first}");
    }
}

/// How many orders are left, and how much is at the two best levels of each side.
type Left = (usize, [[Level; 2]; 2]);

#[test]
fn books_of_real_orders_know_every_order() {
    let december: Left =
        (8_725, [[level(479_900, 16), level(479_875, 21)], [level(479_950, 23), level(479_975, 22)]]);
    let may: Left =
        (13_598, [[level(521_400, 28), level(521_375, 34)], [level(521_425, 17), level(521_450, 16)]]);
    for (name, records, sizes, left) in [
        ("esh4-glbx-mdp3-20231224.mbo.dbn.zst", 8_725, [8_725, 1], december),
        ("orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst", 13_796, [13_601, 185], may),
    ] {
        let Some(path) = shared(&format!("dbn/cme-es/{name}")) else { continue };
        let (messages, reader) = play(&path);
        assert_eq!(reader.messages(), records, "{name}");
        assert_eq!([messages[0].1.len(), messages.len()], sizes, "{name}: a snapshot is one message");
        let mut book = Book::default();
        for (index, (_, events)) in messages.iter().enumerate() {
            events.iter().for_each(|event| book.apply(&event.body));
            let [bids, asks] = book.top(1);
            assert!(bids[0].price < asks[0].price, "{name}: crossed after message {index}");
        }
        let top = book.top(2).map(|side| [side[0], side[1]]);
        assert_eq!((book.unknown, (book.orders.len(), top)), (0, left), "{name}");
    }
}

#[test]
fn trades_are_those_of_the_quotes_that_they_met() {
    let (Some(trades), Some(tbbo)) = (
        bodies_of("databento-dbn/test_data.trades.v3.dbn.zst"),
        bodies_of("databento-dbn/test_data.tbbo.v3.dbn.zst"),
    ) else {
        return;
    };
    let is_trade = |body: &EventBody| matches!(body, EventBody::Trade(_));
    assert!(trades.iter().all(is_trade) && trades.len() == 2);
    let of_quotes: Vec<_> = tbbo.iter().filter(|body| is_trade(body)).cloned().collect();
    assert_eq!(trades, of_quotes);
    for pair in tbbo.chunks(2) {
        let [EventBody::Quote { bid: Some(bid), ask: Some(ask) }, EventBody::Trade(trade)] = pair else {
            panic!("{pair:?}");
        };
        assert!([bid.price, ask.price].contains(&trade.price), "{pair:?}");
    }
}

/// The two files are of one second: the first level that the one tells is between what the other told before and after.
#[test]
fn quotes_are_of_the_market_of_the_levels() {
    let (Some(mbp_1), Some(mbp_10)) = (
        bodies_of("databento-dbn/test_data.mbp-1.v3.dbn.zst"),
        bodies_of("databento-dbn/test_data.mbp-10.v3.dbn.zst"),
    ) else {
        return;
    };
    let quote = |bid, ask| EventBody::Quote { bid: Some(bid), ask: Some(ask) };
    let bid = level(372_025, 24);
    assert_eq!(mbp_1, [quote(bid, level(372_050, 11)), quote(bid, level(372_050, 12))]);
    let [EventBody::BookSnapshot(snapshot), change] = &mbp_10[..] else { panic!("{mbp_10:?}") };
    assert_eq!((snapshot.bids[0], snapshot.asks[0]), (bid, level(372_050, 10)));
    assert_eq!((snapshot.bids.len(), snapshot.asks.len()), (10, 10));
    assert_eq!(*change, EventBody::LevelSet { side: Side::Bid, level: level(372_000, 30) });
}

#[test]
fn names_and_scales_are_those_of_the_file() {
    for (name, expected) in [
        ("cme-es/order_book_deltas_catalog-orderbooks_definition.dbn.zst", vec![("ESM4", -2, Some(25))]),
        (
            "cme-es/options_catalog-futures_definition.dbn.zst",
            vec![("ESM4", -2, Some(25)), ("NQM4", -2, Some(25))],
        ),
        (
            "cme-es/options_bbo-1m_2024-05-09T09-55_2024-05-09T10-05.dbn.zst",
            vec![("ESM4_P5230", -2, None), ("ESM4_P5250", -2, None)],
        ),
        // Two numbers, one after the other, of one name.
        ("databento-dbn/test_data.definition.v1.dbn.zst", vec![("MSFT", 0, None)]),
        ("databento-dbn/test_data.statistics.dbn", vec![("INSTRUMENT-1-146945", 0, None)]),
    ] {
        let Some(path) = shared(&format!("dbn/{name}")) else { continue };
        let reader = DbnReader::open(&path).expect(name);
        let found: Vec<_> = (reader.instruments().iter())
            .map(|instrument| {
                let tick = instrument.tick_size.map(|tick| tick.0);
                (instrument.symbol.as_str(), instrument.price_exponent.get(), tick)
            })
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
