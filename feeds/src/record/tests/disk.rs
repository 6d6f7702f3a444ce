//! Disks that are full, or slow.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::super::disk::Disk;
use super::*;

pub(super) use super::super::disk::segment_path;

/// A real folder on a disk that has room for so many bytes.
struct SmallDisk {
    folder: Folder,
    room: Arc<Mutex<u64>>,
    /// Whether it can take anything back.
    can_cut: bool,
}

impl Disk for SmallDisk {
    fn create(&mut self, number: u64) -> io::Result<()> {
        self.folder.create(number)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut room = self.room.lock().expect("one thread");
        let fits = bytes.len().min(usize::try_from(*room).expect("small"));
        self.folder.append(&bytes[..fits])?;
        *room -= fits as u64;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        if self.can_cut { self.folder.cut(bytes) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn close(&mut self) -> io::Result<()> {
        self.folder.close()
    }

    fn remove(&mut self, number: u64) -> io::Result<()> {
        if self.can_cut { self.folder.remove(number) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn replace_manifest(&mut self, text: &str) -> io::Result<()> {
        if *self.room.lock().expect("one thread") == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.folder.replace_manifest(text)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whenever the disk becomes full, in a block, at the beginning of a segment or at its end.
    #[test]
    fn a_full_disk_takes_nothing_that_was_accepted(
        records in any_records(),
        rooms in proptest::collection::vec(1..2_000_u64, 0..6),
        rotate_bytes in 1..3_000_u64,
        can_cut in any::<bool>(),
    ) {
        let folder = folder();
        let settings = settings(folder.path(), rotate_bytes);
        let room = Arc::new(Mutex::new(1));
        let disk = SmallDisk {
            folder: Folder::open(folder.path()).expect("a folder of our own"),
            room: Arc::clone(&room),
            can_cut,
        };
        let end = reader::end_of(folder.path()).expect("sound");
        let mut writer = Writer::new(disk, &settings, end).expect("room");
        let mut rooms = rooms.into_iter();
        let mut more = || *room.lock().expect("one thread") = rooms.next().unwrap_or(1 << 40);
        for some in records.chunks(7) {
            let mut batch = batch(some, &sources(5));
            while let Err(error) = writer.write(&mut batch) {
                prop_assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                more();
            }
        }
        while let Err(error) = writer.finish() {
            prop_assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            more();
        }
        drop(writer);
        let (found, verified) = read(folder.path());
        prop_assert_eq!(&found, &records);
        prop_assert!(!can_cut || verified.cuts.is_empty(), "{:?}", verified);

        // And a recorder that is started again goes on behind it.
        let mut writer = super::writer(&settings);
        writer.write(&mut batch(&records, &sources(5))).expect("room");
        writer.finish().expect("room");
        prop_assert_eq!(read(folder.path()).0, [&records[..], &records[..]].concat());
    }
}

/// A disk that says when it is asked to write, and waits until it is told that it may.
struct SlowDisk {
    folder: Folder,
    asked: SyncSender<()>,
    may: Receiver<io::Result<()>>,
}

impl Disk for SlowDisk {
    fn create(&mut self, number: u64) -> io::Result<()> {
        self.folder.create(number)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // At the end of the test nobody listens any more.
        let _ = self.asked.send(());
        self.may.recv().unwrap_or(Ok(()))?;
        self.folder.append(bytes)
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.folder.cut(bytes)
    }

    fn close(&mut self) -> io::Result<()> {
        self.folder.close()
    }

    fn remove(&mut self, number: u64) -> io::Result<()> {
        self.folder.remove(number)
    }

    fn replace_manifest(&mut self, text: &str) -> io::Result<()> {
        self.folder.replace_manifest(text)
    }
}

struct Slow {
    folder: TempDir,
    recorder: Recorder,
    asked: Receiver<()>,
    may: SyncSender<io::Result<()>>,
    reports: Receiver<RecorderReport>,
}

fn slow(when_full: WhenFull) -> Slow {
    let folder = folder();
    let settings = RecorderSettings { when_full, ..settings(folder.path(), 1 << 40) };
    let (asked_sender, asked) = sync_channel(0);
    let (may, may_receiver) = sync_channel(1_000);
    let disk = SlowDisk {
        folder: Folder::open(folder.path()).expect("a folder of our own"),
        asked: asked_sender,
        may: may_receiver,
    };
    let end = reader::end_of(folder.path()).expect("sound");
    let writer = Writer::new(disk, &settings, end).expect("room");
    let (report, reports) = sync_channel(1_000);
    let recorder = Recorder::start_writer(writer, &settings, move |one| report.send(one).expect("room"));
    Slow { folder, recorder: recorder.expect("a thread"), asked, may, reports }
}

const MEBIBYTE: usize = 1 << 20;

#[test]
fn a_slow_disk_delays_nobody_and_what_is_lost_is_told_where_it_is_missing() {
    let Slow { folder, recorder, asked, may, reports } = slow(WhenFull::Lose);
    let handle = recorder.handle().clone();
    let payload = |ts: i64| vec![index(ts).to_le_bytes()[0]; MEBIBYTE];
    let record = |ts: i64| handle.record(None, Timestamp(ts), Body::Received(&payload(ts)));

    assert!(record(0));
    asked.recv().expect("asked to write the first");
    // The disk stands still. There is room for 63 of these, each a bit more than a mebibyte.
    let taken: Vec<i64> = (1..=70).filter(|&ts| record(ts)).collect();
    assert_eq!(taken, (1..=63).collect::<Vec<_>>());
    assert_eq!(handle.stats().records_lost, 7);
    // What is small may still fit, and comes behind what was lost.
    assert!(handle.record(None, Timestamp(71), Body::Note("small")));
    assert!(!record(72));

    may.send(Ok(())).expect("it waits");
    asked.recv().expect("asked to write the second");
    assert!(record(73), "there is room again");
    drop((asked, may));
    let stats = recorder.stop().expect("room");
    assert_eq!((stats.records, stats.records_lost), (66, 8));

    let mut reader = RecordReader::open(folder.path()).expect("a recording");
    let mut times = Vec::new();
    let mut lost = Vec::new();
    while let Some(record) = reader.next_record().expect("sound") {
        match record.body {
            Body::Lost(some) => lost.push((times.len(), some.records, some.bytes, some.first.0, some.last.0)),
            Body::Received(bytes) => {
                assert_eq!(bytes, payload(record.ts_recv.0));
                times.push(record.ts_recv.0);
            }
            _ => times.push(record.ts_recv.0),
        }
    }
    assert_eq!(times, (0..=63).chain([71, 73]).collect::<Vec<_>>());
    let mebibyte = MEBIBYTE as u64;
    assert_eq!(lost, [(64, 7, 7 * mebibyte, 64, 70), (65, 1, mebibyte, 72, 72)]);
    let told: Vec<RecorderReport> = reports.into_iter().collect();
    let [RecorderReport::Lost(all)] = told[..] else { panic!("{told:?}") };
    assert_eq!((all.records, all.first.0, all.last.0), (8, 64, 72));
}

#[test]
fn whoever_would_rather_wait_for_a_slow_disk_loses_nothing() {
    let Slow { folder, recorder, asked, may, .. } = slow(WhenFull::Wait);
    let handle = recorder.handle().clone();
    let sender = std::thread::spawn(move || {
        let payload = vec![1; MEBIBYTE];
        (0..130).filter(|&ts| handle.record(None, Timestamp(ts), Body::Received(&payload))).count()
    });
    // The sender fills the queue, and the disk is asked for one block after the other.
    for _ in 0..130 {
        asked.recv().expect("it goes on");
        may.send(Ok(())).expect("it waits");
    }
    drop((asked, may));
    assert_eq!(sender.join().expect("no panic"), 130);
    assert_eq!(recorder.stop().expect("room").records_lost, 0);
    assert_eq!(RecordReader::open(folder.path()).expect("a recording").verify().expect("sound").records, 130);
}

#[test]
fn a_disk_that_fails_is_told_of_and_tried_again() {
    let Slow { folder, recorder, asked, may, reports } = slow(WhenFull::Lose);
    let handle = recorder.handle().clone();
    let big = vec![1; MEBIBYTE];
    assert!(handle.record(None, Timestamp(0), Body::Received(&big)));
    for result in [Ok(()), Err(io::ErrorKind::StorageFull.into()), Err(io::ErrorKind::StorageFull.into())] {
        asked.recv().expect("asked to write");
        may.send(result).expect("it waits");
        handle.record(None, Timestamp(1), Body::Received(&big));
    }
    // Tried a third time, by itself.
    asked.recv().expect("asked to write again");
    assert_eq!(handle.stats().failures, 2);
    drop((asked, may));
    let stats = recorder.stop().expect("room");
    assert_eq!((stats.records, stats.records_lost, stats.segments), (4, 0, 2));
    let told: Vec<RecorderReport> = reports.into_iter().collect();
    let [RecorderReport::Failed { error }, RecorderReport::Recovered] = &told[..] else { panic!("{told:?}") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let verified = RecordReader::open(folder.path()).expect("a recording").verify().expect("sound");
    assert_eq!((verified.records, verified.segments, verified.is_closed), (4, 2, true));
}

#[test]
fn a_disk_that_fails_to_the_end_loses_what_was_left() {
    let Slow { folder, recorder, asked, may, reports: _reports } = slow(WhenFull::Lose);
    let handle = recorder.handle().clone();
    let big = vec![1; MEBIBYTE];
    assert!(handle.record(None, Timestamp(0), Body::Received(&big)));
    asked.recv().expect("asked to write");
    // What has not been taken from the queue is lost as well.
    assert!(handle.record(None, Timestamp(1), Body::Received(b"more")));
    assert!(handle.record(None, Timestamp(2), Body::Received(b"and more")));
    handle.queue.close();
    may.send(Err(io::ErrorKind::StorageFull.into())).expect("it waits");
    let error = recorder.stop().expect_err("nothing was written");
    assert!(
        matches!(&error, FeedError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull),
        "{error}"
    );
    let stats = handle.stats();
    assert_eq!((stats.records, stats.bytes, stats.records_lost), (0, 0, 3));
    assert!(!handle.record(None, Timestamp(3), Body::Received(&big)), "it has been stopped");
    assert_eq!(read(folder.path()).0, []);
}

#[test]
fn who_waits_for_a_disk_is_let_go_when_that_is_asked_for() {
    let Slow { recorder, asked, may, reports: _reports, folder: _folder } = slow(WhenFull::Wait);
    let handle = recorder.handle().clone();
    let big = vec![1; MEBIBYTE];
    assert!(handle.record(None, Timestamp(0), Body::Received(&big)));
    asked.recv().expect("asked to write");
    let sender = {
        let (handle, big) = (handle.clone(), big.clone());
        std::thread::spawn(move || {
            (1..).take_while(|&time| handle.record(None, Timestamp(time), Body::Received(&big))).count()
        })
    };
    handle.stop_waiting();
    let taken = sender.join().expect("it ends") as u64;
    assert!(taken < 64, "{taken}");
    may.send(Err(io::ErrorKind::StorageFull.into())).expect("it waits");
    handle.queue.close();
    drop(may);
    drop(asked);
    let _ = recorder.stop();
    let stats = handle.stats();
    assert_eq!(stats.records + stats.records_lost, taken + 2);
}
