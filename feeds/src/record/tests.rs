//! What is recorded is read again, whatever happened to the disk or the recorder meanwhile.

mod damage;
mod disk;
mod events;

use std::fmt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::entry::{Body, Record, SourceId};
use super::queue::Batch;
use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn source(number: usize) -> Source {
    Source {
        venue: "VENUE".to_owned(),
        format: "json".to_owned(),
        address: "wss://venue".to_owned(),
        name: format!("ws.{number}"),
    }
}

fn index(ts: i64) -> usize {
    usize::try_from(ts).expect("a small number")
}

fn time(index: usize) -> i64 {
    i64::try_from(index).expect("a small number")
}

fn sources(count: usize) -> Vec<Source> {
    (0..count).map(source).collect()
}

/// A record that owns what is in it.
#[derive(Clone, PartialEq, Eq)]
struct Kept {
    source: Option<Source>,
    ts: i64,
    kind: u8,
    text: String,
    payload: Vec<u8>,
}

impl fmt::Debug for Kept {
    /// Not megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, ts, kind, text, payload } = self;
        let name = source.as_ref().map(|source| source.name.as_str());
        write!(f, "{name:?} at {ts}, {kind}, {text:?}, {} bytes", payload.len())
    }
}

impl Kept {
    fn received(ts: i64, payload: &[u8]) -> Self {
        Self { source: Some(source(0)), ts, kind: 0, text: String::new(), payload: payload.to_vec() }
    }

    fn body(&self) -> Body<'_> {
        match self.kind {
            0 => Body::Received(&self.payload),
            1 => Body::Sent(&self.payload),
            2 => Body::Answered { url: &self.text, payload: &self.payload },
            3 => Body::Connected(&self.text),
            4 => Body::Disconnected(&self.text),
            _ => Body::Note(&self.text),
        }
    }

    fn of(record: &Record<'_>, source: Option<&Source>) -> Self {
        let (kind, text, payload) = match record.body {
            Body::Received(payload) => (0, "", payload),
            Body::Sent(payload) => (1, "", payload),
            Body::Answered { url, payload } => (2, url, payload),
            Body::Connected(text) => (3, text, &[][..]),
            Body::Disconnected(text) => (4, text, &[][..]),
            Body::Note(text) => (5, text, &[][..]),
            Body::Lost(lost) => panic!("{lost:?}"),
        };
        Self {
            source: source.cloned(),
            ts: record.ts_recv.0,
            kind,
            text: text.to_owned(),
            payload: payload.to_vec(),
        }
    }
}

fn batch(records: &[Kept], known: &[Source]) -> Batch {
    let mut batch = Batch { sources: known.to_vec(), ..Batch::default() };
    for record in records {
        let source = record.source.as_ref().map(|source| {
            let at = known.iter().position(|known| known == source).expect("told before");
            SourceId(u32::try_from(at).expect("few"))
        });
        Record { source, ts_recv: Timestamp(record.ts), body: record.body() }.write(&mut batch.bytes);
    }
    batch
}

fn settings(folder: &Path, rotate_bytes: u64) -> RecorderSettings {
    RecorderSettings { rotate_bytes, ..RecorderSettings::new(folder.to_owned()) }
}

fn writer(settings: &RecorderSettings) -> Writer<Folder> {
    let disk = Folder::open(&settings.folder).expect("a folder of our own");
    let end = reader::end_of(&settings.folder).expect("sound");
    Writer::new(disk, settings, end).expect("room")
}

fn read_from(path: &Path, from: Option<i64>) -> Result<(Vec<Kept>, Verified), FeedError> {
    let mut reader = RecordReader::open(path)?;
    if let Some(from) = from {
        reader.seek(Timestamp(from))?;
    }
    rest(reader)
}

fn rest(mut reader: RecordReader) -> Result<(Vec<Kept>, Verified), FeedError> {
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        let source = record.source;
        let mut kept = Kept::of(&record, None);
        kept.source = source.map(|id| reader.source(id).expect("told before").clone());
        records.push(kept);
    }
    Ok((records, reader.verified().clone()))
}

fn read(path: &Path) -> (Vec<Kept>, Verified) {
    read_from(path, None).expect("sound")
}

fn any_record() -> impl Strategy<Value = Kept> {
    let payload = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..60),
        1 => (0..400_000_usize).prop_map(|length| vec![7; length]),
    ];
    (proptest::option::weighted(0.9, 0..5_usize), -2..20_i64, 0..6_u8, "[a-é]{0,9}", payload).prop_map(
        |(from, step, kind, text, payload)| Kept {
            source: from.map(source),
            ts: step,
            kind,
            text: if kind < 2 { String::new() } else { text },
            payload: if kind < 3 { payload } else { Vec::new() },
        },
    )
}

/// Records with times that mostly go forward.
fn any_records() -> impl Strategy<Value = Vec<Kept>> {
    proptest::collection::vec(any_record(), 0..60).prop_map(|mut records| {
        let mut now = 0;
        for record in &mut records {
            now += record.ts;
            record.ts = now;
        }
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_recorded_is_read_from_the_beginning_and_from_any_time(
        records in any_records(),
        rotate_bytes in 1..3_000_u64,
        every in proptest::option::of(1..50_u64),
        batches in 1..9_usize,
        closes in any::<bool>(),
    ) {
        let folder = folder();
        let settings = RecorderSettings {
            rotate_every: every.map(Duration::from_nanos),
            ..settings(folder.path(), rotate_bytes)
        };
        let mut writer = writer(&settings);
        for (index, some) in records.chunks(records.len() / batches + 1).enumerate() {
            // Sources become known in mid-recording.
            writer.write(&mut batch(some, &sources(5 + index))).expect("room");
        }
        if closes {
            writer.finish().expect("room");
        }
        drop(writer);

        let (found, verified) = read(folder.path());
        prop_assert_eq!(&found, &records);
        prop_assert_eq!(verified.records, records.len() as u64);
        prop_assert_eq!(verified.is_closed, closes || records.is_empty());
        prop_assert_eq!(verified.cuts, vec![]);
        let times = records.iter().map(|record| record.ts);
        prop_assert_eq!(verified.span, times.clone().min().zip(times.max()).map(|(a, b)| (Timestamp(a), Timestamp(b))));
        for from in records.iter().map(|record| record.ts).chain([-100, 10_000]) {
            let first = records.iter().position(|record| record.ts >= from).unwrap_or(records.len());
            let (found, _) = read_from(folder.path(), Some(from)).expect("sound");
            prop_assert_eq!(&found, &records[first..], "from {}", from);
        }
        if let Some(every) = every {
            for number in 1..=verified.segments {
                let (part, _) = read(&disk::segment_path(folder.path(), number));
                let begun = part[0].ts;
                prop_assert!(part.iter().all(|record| record.ts < begun + i64::try_from(every).expect("small")), "{:?}", part);
            }
        }
    }
}

#[test]
fn a_segment_by_itself_is_a_recording() {
    let folder = folder();
    let records: Vec<Kept> = (0..40).map(|ts| Kept::received(ts, &[b'x'; 9])).collect();
    let mut writer = writer(&settings(folder.path(), 1_000));
    for some in records.chunks(4) {
        writer.write(&mut batch(some, &sources(1))).expect("room");
    }
    writer.finish().expect("room");
    let segments = read(folder.path()).1.segments;
    assert!(segments > 2);
    let mut found = Vec::new();
    for number in 1..=segments {
        let path = disk::segment_path(folder.path(), number);
        found.extend(read(&path).0);
        // Any zstd can decompress it, for it skips what is ours.
        let file = std::fs::File::open(&path).expect("there");
        assert!(!zstd::decode_all(file).expect("frames of zstd").is_empty());
    }
    assert_eq!(found, records);
}

fn record_again(from: &Path, to: &Path) {
    let settings = RecorderSettings { when_full: WhenFull::Wait, ..settings(to, 5_000) };
    let recorder = Recorder::start(&settings, |report| panic!("{report:?}")).expect("room");
    let mut reader = RecordReader::open(from).expect("a recording");
    assert!(copy(&mut reader, recorder.handle(), || false).expect("sound"));
    recorder.stop().expect("room");
}

#[test]
fn what_is_recorded_again_is_the_same() {
    let (one, two, three) = (folder(), folder(), folder());
    let records: Vec<Kept> = (0..3_000)
        .map(|ts| Kept {
            source: Some(source(index(ts) % 3)),
            ..Kept::received(ts, ts.to_string().as_bytes())
        })
        .collect();
    let recorder =
        Recorder::start(&settings(one.path(), 9_000), |report| panic!("{report:?}")).expect("room");
    let ids: Vec<SourceId> =
        sources(3).into_iter().map(|source| recorder.handle().source(source).expect("few")).collect();
    for record in &records {
        assert!(recorder.handle().record(
            Some(ids[index(record.ts) % 3]),
            Timestamp(record.ts),
            record.body()
        ));
    }
    let stats = recorder.stop().expect("room");
    assert_eq!((stats.records, stats.records_lost, stats.failures), (3_000, 0, 0));
    record_again(one.path(), two.path());
    record_again(two.path(), three.path());
    for folder in [&one, &two, &three] {
        assert_eq!(read(folder.path()).0, records);
    }
    // Behind what is there, whatever their numbers are called now.
    record_again(three.path(), one.path());
    assert_eq!(read(one.path()).0, [&records[..], &records[..]].concat());
    record_again(one.path(), two.path());
    assert_eq!(read(two.path()).0, [&records[..], &records[..], &records[..]].concat());
}

#[test]
fn a_recorder_goes_on_where_the_one_before_ended_and_is_alone() {
    let folder = folder();
    let settings = settings(folder.path(), 1 << 20);
    for run in 0..3 {
        let recorder = Recorder::start(&settings, |report| panic!("{report:?}")).expect("room");
        let Err(error) = Recorder::start(&settings, |_| {}) else { panic!("two of them") };
        assert!(error.to_string().ends_with("another process records into it"), "{error}");
        let handle = recorder.handle();
        let id = handle.source(source(run)).expect("few");
        assert!(handle.record(Some(id), Timestamp(time(run)), Body::Received(b"one")));
        recorder.stop().expect("room");
    }
    let (found, verified) = read(folder.path());
    let expected = (0..3).map(|run| Kept { source: Some(source(run)), ..Kept::received(time(run), b"one") });
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!((verified.segments, verified.is_closed), (3, true));
}

#[test]
fn a_recorder_that_is_abandoned_takes_back_what_it_made_and_nothing_else() {
    let folder = folder();
    let record = |path: &Path, ts: i64| {
        let recorder = Recorder::start(&settings(path, 1 << 30), |_| {}).expect("a recorder");
        recorder.handle().record(None, Timestamp(ts), Body::Note("hello"));
        recorder
    };
    let deep = folder.path().join("of").join("the").join("day");
    record(&deep, 1).abandon();
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);

    // The folder was there, with something of somebody else in it.
    let kept = folder.path().join("kept");
    std::fs::create_dir(&kept).expect("room");
    std::fs::write(kept.join("notes.txt"), "mine").expect("room");
    record(&kept, 1).abandon();
    let left: Vec<_> =
        std::fs::read_dir(&kept).expect("there").flatten().map(|one| one.file_name()).collect();
    assert_eq!(left, ["notes.txt"]);

    // So was a recording.
    record(&kept, 1).stop().expect("room");
    record(&kept, 2).abandon();
    let times: Vec<i64> = read(&kept).0.iter().map(|record| record.ts).collect();
    assert_eq!(times, [1, 2]);
    assert!(read(&kept).1.is_closed);
}

#[test]
fn losses_are_told_one_by_one_up_to_a_bound() {
    let folder = folder();
    let recorder = Recorder::start(&settings(folder.path(), 1 << 30), |_| {}).expect("a recorder");
    let lost = |number| Lost { records: number, bytes: 10 * number, first: Timestamp(1), last: Timestamp(7) };
    let most = crate::limits::RECORD_LOSSES_KEPT_MAX as u64;
    for number in 1..=most + 3 {
        recorder.handle().record(None, Timestamp(8), Body::Lost(lost(number)));
    }
    recorder.stop().expect("room");
    let verified = RecordReader::open(folder.path()).and_then(RecordReader::verify).expect("sound");
    assert_eq!(verified.losses, (1..=most).map(lost).collect::<Vec<_>>());
    assert_eq!(verified.records_lost, (1..=most + 3).sum::<u64>());
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = folder();
    let recorder = Recorder::start(&RecorderSettings::new(folder.path().to_owned()), |_| {}).expect("room");
    let handle = recorder.handle();
    let long = Source { name: "x".repeat(crate::limits::RECORD_TEXT_BYTES_MAX + 1), ..source(0) };
    assert!(matches!(handle.source(long), Err(FeedError::Settings(_))));
    let longest = || Source { name: "x".repeat(crate::limits::RECORD_TEXT_BYTES_MAX), ..source(0) };
    assert_eq!((0..).take_while(|_| handle.source(longest()).is_ok()).count(), 63, "4 MiB of them");
    let nameless = || {
        let nothing = String::new;
        Source { venue: nothing(), format: nothing(), address: nothing(), name: nothing() }
    };
    for _ in 63..crate::limits::CONNECTIONS_MAX {
        handle.source(nameless()).expect("room");
    }
    assert!(matches!(handle.source(nameless()), Err(FeedError::Settings(_))));
    let longest = vec![0; crate::limits::RECORD_BYTES_MAX];
    let too_long = vec![0; crate::limits::RECORD_BYTES_MAX + 1];
    let url = "x".repeat(crate::limits::RECORD_URL_BYTES_MAX);
    assert!(handle.record(None, Timestamp(1), Body::Answered { url: &url, payload: &longest }));
    assert!(!handle.record(None, Timestamp(2), Body::Received(&too_long)));
    let url = format!("{url}x");
    assert!(!handle.record(None, Timestamp(3), Body::Answered { url: &url, payload: b"" }));
    let stats = recorder.stop().expect("room");
    assert_eq!((stats.records, stats.records_lost), (1, 2));
    let mut reader = RecordReader::open(folder.path()).expect("a recording");
    let first = reader.next_record().expect("sound").expect("one");
    assert_eq!(first.body.payload(), &longest);
    // The disk's thread may have come between the two.
    let mut lost = (0, 0);
    while let Some(record) = reader.next_record().expect("sound") {
        let Body::Lost(some) = record.body else { panic!("{record:?}") };
        lost = (lost.0 + some.records, lost.1 + some.bytes);
    }
    assert_eq!(lost, (2, too_long.len() as u64));
}
